//! An authority of tests, by `openssl`, that issues certificates of this machine's loopback.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Arguments of a new key.
const NEW_KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

/// An authority in a directory of its own.
pub struct Authority {
    dir: PathBuf,
}

/// A certificate with its key.
pub struct Issued {
    /// The certificate, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM and private.
    pub key: PathBuf,
}

impl Authority {
    /// Makes one in a directory.
    pub fn make(dir: &Path) -> Self {
        let dir = dir.join("authority");
        std::fs::create_dir(&dir).unwrap();
        let configuration = format!(
            "[ca]\ndefault_ca=own\n[own]\ndatabase={dir}/index\nnew_certs_dir={dir}\nrand_serial=yes\n\
             default_md=sha256\npolicy=any\nunique_subject=no\n[any]\ncommonName=supplied\n\
             [server]\nsubjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n\
             basicConstraints=critical,CA:FALSE\n",
            dir = dir.display()
        );
        std::fs::write(dir.join("ca.cnf"), configuration).unwrap();
        std::fs::write(dir.join("index"), "").unwrap();
        let authority = Self { dir };
        let words = ["-subj", "/CN=Test authority", "-days", "3"];
        let files = [("-keyout", "ca.key"), ("-out", "ca.pem")];
        authority.openssl(&["req", "-x509"], &[&NEW_KEY, &words[..]].concat(), &files);
        authority
    }

    /// Its own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Issues a certificate that is valid from now on for a year.
    pub fn issue(&self, name: &str) -> Issued {
        self.issue_between(name, &["-days", "365"])
    }

    /// Issues one that has expired.
    pub fn issue_expired(&self, name: &str) -> Issued {
        let dates = ["-startdate", "20200101000000Z", "-enddate", "20210101000000Z"];
        self.issue_between(name, &dates)
    }

    fn issue_between(&self, name: &str, dates: &[&str]) -> Issued {
        let file = |end: &str| format!("{name}.{end}");
        let (key, request, certificate) = (file("key"), file("csr"), file("pem"));
        let files = [("-keyout", &*key), ("-out", &*request)];
        self.openssl(&["req"], &[&NEW_KEY, &["-subj", "/CN=localhost"][..]].concat(), &files);
        let words = ["-config", "ca.cnf", "-batch", "-notext", "-extensions", "server"];
        let files = [
            ("-cert", "ca.pem"),
            ("-keyfile", "ca.key"),
            ("-in", &*request),
            ("-out", &*certificate),
        ];
        self.openssl(&["ca"], &[&words[..], dates].concat(), &files);
        let issued = Issued { certificate: self.dir.join(certificate), key: self.dir.join(key) };
        std::fs::set_permissions(&issued.key, Permissions::from_mode(0o600)).unwrap();
        issued
    }

    fn openssl(&self, command: &[&str], words: &[&str], files: &[(&str, &str)]) {
        let mut openssl = Command::new("openssl");
        openssl.current_dir(&self.dir).args(command).args(words);
        for (option, file) in files {
            openssl.args([option, file]);
        }
        let output = openssl.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {said}");
    }
}

impl Issued {
    /// Puts them where a server reads its own, each in one step, as tools that renew do.
    pub fn install(&self, certificate: &Path, key: &Path) {
        for (from, to) in [(&self.certificate, certificate), (&self.key, key)] {
            let draft = to.with_extension("draft");
            std::fs::copy(from, &draft).unwrap();
            std::fs::rename(&draft, to).unwrap();
        }
    }
}
