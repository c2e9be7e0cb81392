//! Identities that sign and submit. Secrets come from files, the environment or a keychain;
//! arguments can be read by everybody on a machine, so none is one.
//!
//! | what | file in `--credentials DIR` | variable |
//! |---|---|---|
//! | signs code | `application.p12` with `application.password`, or `application.pem` | `RUSSET_APPLICATION_P12` (base64) with `RUSSET_APPLICATION_PASSWORD`, or `RUSSET_APPLICATION_PEM` |
//! | signs the package | the same with `installer` | the same with `INSTALLER` |
//! | submits | `notary.json`: `{"issuer", "key_id", "private_key"}` | `RUSSET_NOTARY_JSON` |
//! | signs the manifest | `update.pem`: an Ed25519 key in PKCS#8 | `RUSSET_UPDATE_PEM` |
//!
//! With Apple's tools, code and package can be signed out of a keychain instead: the identities'
//! names are in `RUSSET_APPLICATION_IDENTITY` and `RUSSET_INSTALLER_IDENTITY`, the profile that
//! `notarytool store-credentials` made in `RUSSET_NOTARY_PROFILE`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use apple_codesign::AppleCertificate as _;
use apple_codesign::cryptography::parse_pfx_data;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use russet_protocol::secret::Secret;
use x509_certificate::{CapturedX509Certificate, InMemorySigningKeyPair, KeyInfoSigner};
use zeroize::Zeroizing;

/// Variables that hold secrets: no program that is started here inherits them.
pub const SECRET_VARIABLES: [&str; 8] = [
    "RUSSET_APPLICATION_P12",
    "RUSSET_APPLICATION_PASSWORD",
    "RUSSET_APPLICATION_PEM",
    "RUSSET_INSTALLER_P12",
    "RUSSET_INSTALLER_PASSWORD",
    "RUSSET_INSTALLER_PEM",
    "RUSSET_NOTARY_JSON",
    "RUSSET_UPDATE_PEM",
];

/// A secret is not longer than this.
const MAX_SECRET: u64 = 1 << 20;

/// Sources of secrets.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// A directory with files of the names above.
    pub directory: Option<PathBuf>,
}

/// Purpose of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Code.
    Application,
    /// Packages.
    Installer,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Installer => "installer",
        }
    }
}

/// A certificate with its key and those that it was issued by.
pub struct Identity {
    /// The key.
    pub key: Box<dyn KeyInfoSigner>,
    /// Its certificate.
    pub certificate: CapturedX509Certificate,
    /// Certificates of its issuers, in order.
    pub chain: Vec<CapturedX509Certificate>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("subject", &self.name()).finish_non_exhaustive()
    }
}

impl Identity {
    /// Whose it is.
    #[must_use]
    pub fn name(&self) -> String {
        self.certificate.subject_common_name().unwrap_or_else(|| "(no name)".to_owned())
    }

    /// The team in it, as Apple writes it.
    #[must_use]
    pub fn team(&self) -> Option<String> {
        self.certificate.apple_team_id()
    }
}

/// A key of App Store Connect.
#[derive(serde::Deserialize)]
pub struct NotaryKey {
    /// The issuer's id.
    pub issuer: String,
    /// The key's id.
    pub key_id: String,
    /// The key: PKCS#8, PEM, as it is downloaded (`AuthKey_….p8`).
    pub private_key: Secret,
}

impl std::fmt::Debug for NotaryKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NotaryKey").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Returns the identity that signs, if there is one.
    ///
    /// # Errors
    ///
    /// There is something that cannot be read, or not with this password.
    pub fn identity(&self, purpose: Purpose) -> Result<Option<Identity>> {
        let name = purpose.name();
        let upper = name.to_uppercase();
        if let Some(pem) = self.find(&format!("{name}.pem"), &format!("RUSSET_{upper}_PEM"))? {
            return pem_identity(&pem)
                .with_context(|| format!("the {name} certificate (PEM) cannot be used"))
                .map(Some);
        }
        let file = format!("{name}.p12");
        let Some(pfx) = self.find_bytes(&file, &format!("RUSSET_{upper}_P12"))? else {
            return Ok(None);
        };
        let password =
            self.find(&format!("{name}.password"), &format!("RUSSET_{upper}_PASSWORD"))?;
        let password = Zeroizing::new(password.unwrap_or_default());
        let (certificate, key) = parse_pfx_data(&pfx, password.trim_end_matches(['\r', '\n']))
            .with_context(|| format!("{file} cannot be opened with its password"))?;
        let chain = certificate.apple_root_certificate_chain().map(|mut chain| {
            // The first is the certificate itself.
            chain.drain(..1.min(chain.len()));
            chain
        });
        let chain = chain.unwrap_or_default();
        Ok(Some(Identity { key: Box::new(key), certificate, chain }))
    }

    /// Returns the key that submits, if there is one.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn notary(&self) -> Result<Option<NotaryKey>> {
        let Some(text) = self.find("notary.json", "RUSSET_NOTARY_JSON")? else { return Ok(None) };
        let text = Zeroizing::new(text);
        // The message of serde would quote what is in it.
        let Ok(key) = serde_json::from_str(&text) else {
            bail!("notary.json is not `{{\"issuer\": …, \"key_id\": …, \"private_key\": …}}`");
        };
        Ok(Some(key))
    }

    /// The key that signs the manifest, PKCS#8 in DER.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn update_key(&self) -> Result<Option<Zeroizing<Vec<u8>>>> {
        match self.find("update.pem", "RUSSET_UPDATE_PEM")? {
            Some(text) => pem_key(&Zeroizing::new(text)).context("update.pem").map(Some),
            None => Ok(None),
        }
    }

    fn find(&self, file: &str, variable: &str) -> Result<Option<String>> {
        if let Ok(text) = std::env::var(variable) {
            return Ok(Some(text));
        }
        let Some(bytes) = self.read(file)? else { return Ok(None) };
        String::from_utf8(bytes).map(Some).map_err(|_| anyhow::anyhow!("{file} is no text"))
    }

    fn find_bytes(&self, file: &str, variable: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        if let Ok(text) = std::env::var(variable) {
            let text = Zeroizing::new(text);
            let bytes = STANDARD.decode(text.trim());
            return bytes
                .map(|bytes| Some(Zeroizing::new(bytes)))
                .map_err(|_| anyhow::anyhow!("{variable} is not base64"));
        }
        Ok(self.read(file)?.map(Zeroizing::new))
    }

    fn read(&self, file: &str) -> Result<Option<Vec<u8>>> {
        let Some(directory) = &self.directory else { return Ok(None) };
        let path = directory.join(file);
        if !path.exists() {
            return Ok(None);
        }
        private(&path)?;
        let read = || format!("could not read {}", path.display());
        if std::fs::metadata(&path).with_context(read)?.len() > MAX_SECRET {
            bail!("{} is too long for what it should be", path.display());
        }
        std::fs::read(&path).with_context(read).map(Some)
    }
}

/// Refuses a file that others can read.
fn private(path: &Path) -> Result<()> {
    let mode = std::fs::metadata(path)
        .with_context(|| format!("could not look at {}", path.display()))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        bail!("others can read {0}, which holds a secret\n  hint: chmod 600 {0}", path.display());
    }
    Ok(())
}

fn pem_identity(pem: &str) -> Result<Identity> {
    let pair = InMemorySigningKeyPair::from_pkcs8_der(pem_key(pem)?.as_slice())?;
    let mut certificates = CapturedX509Certificate::from_pem_multiple(pem)?;
    if certificates.is_empty() {
        bail!("there is no certificate in it");
    }
    let certificate = certificates.remove(0);
    Ok(Identity { key: Box::new(pair), certificate, chain: certificates })
}

/// The first private key of a PEM file (PKCS#8), as DER.
///
/// # Errors
///
/// There is none, or its text is not base64.
pub fn pem_key(pem: &str) -> Result<Zeroizing<Vec<u8>>> {
    let body = pem
        .split_once("-----BEGIN PRIVATE KEY-----")
        .and_then(|(_, rest)| rest.split_once("-----END PRIVATE KEY-----"))
        .map(|(body, _)| body)
        .context("there is no `-----BEGIN PRIVATE KEY-----` (PKCS#8)")?;
    let body = Zeroizing::new(body.split_whitespace().collect::<String>());
    let key = STANDARD.decode(body.as_bytes()).map_err(|_| anyhow::anyhow!("not base64"))?;
    Ok(Zeroizing::new(key))
}
