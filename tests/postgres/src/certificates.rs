//! Certificates for servers of tests, made by openssl: an authority, a server `localhost` of it, and
//! another authority that nobody knows. A part of the crates that start such servers.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Files of PEM in a directory.
#[derive(Clone, Debug)]
pub struct Certificates {
    /// The authority.
    pub ca: PathBuf,
    /// Another authority, of the same name.
    pub other_ca: PathBuf,
    /// Certificate of `localhost`, and of no other name or address.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Certificates {
    /// Makes them in a directory.
    ///
    /// # Panics
    ///
    /// If openssl is not there.
    #[must_use]
    pub fn make(dir: &Path) -> Self {
        let file = |name: &str| dir.join(name);
        for name in ["ca", "other-ca"] {
            let (key, pem) = (file(&format!("{name}.key")), file(&format!("{name}.pem")));
            let new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
                       -subj /CN=Test -addext keyUsage=critical,keyCertSign";
            openssl(new, &[("-keyout", &key), ("-out", &pem)]);
        }
        let (key, request) = (file("server.key"), file("server.csr"));
        let new = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost";
        openssl(new, &[("-keyout", &key), ("-out", &request)]);
        let (extensions, certificate) = (file("server.ext"), file("server.pem"));
        let text = "subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n\
                    basicConstraints=critical,CA:FALSE\n";
        std::fs::write(&extensions, text).unwrap();
        let (ca, ca_key) = (file("ca.pem"), file("ca.key"));
        openssl(
            "x509 -req -days 2 -CAcreateserial",
            &[
                ("-in", &request),
                ("-CA", &ca),
                ("-CAkey", &ca_key),
                ("-extfile", &extensions),
                ("-out", &certificate),
            ],
        );
        Self { ca, other_ca: file("other-ca.pem"), certificate, key }
    }
}

fn openssl(words: &str, files: &[(&str, &Path)]) {
    let mut command = Command::new("openssl");
    command.args(words.split_whitespace());
    for (option, file) in files {
        command.arg(option).arg(file);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
}
