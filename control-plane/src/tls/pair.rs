//! A certificate with its key, read from files.
//!
//! Threat: whoever reads the key is the server to everybody, so a key that others can read is
//! refused, as is one that somebody else could exchange. Each file is opened once, and what was
//! opened is what is looked at: nobody can exchange it between.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use nix::fcntl::OFlag;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use webpki::{EndEntityCert, KeyUsage};
use zeroize::Zeroizing;

use super::TlsFiles;
use super::error::TlsError;

/// Longest file, in bytes. A chain is a few kilobytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Permissions of group and others.
const OF_OTHERS: u32 = 0o077;

/// Permission of the group to read.
const GROUP_READS: u32 = 0o040;

/// Contents of both files.
#[derive(Debug)]
pub(super) struct Contents {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Contents {
    /// Reads both files.
    pub(super) fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let mut certificate = Vec::new();
        read_into(&files.certificate, &mut certificate, |_| Ok(()))?;
        // As large as it can be from the start: what grows leaves copies behind that nobody wipes.
        let mut key = Zeroizing::new(Vec::with_capacity(16 * 1024));
        read_into(&files.key, &mut key, |file| check_private(file, &files.key))?;
        Ok(Self { certificate, key })
    }

    /// Returns the same number for the same contents.
    pub(super) fn print(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&u64::try_from(self.certificate.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(&self.certificate);
        hasher.update(&self.key);
        hasher.finalize()
    }
}

fn read_into(
    path: &Path,
    bytes: &mut Vec<u8>,
    check: impl FnOnce(&File) -> Result<(), TlsError>,
) -> Result<(), TlsError> {
    let failed = |source| TlsError::Io { path: path.to_owned(), source };
    // A FIFO would keep the opening waiting. Links are followed: certbot has its newest files
    // behind them.
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(TlsError::NotAFile(path.to_owned()));
    }
    check(&file)?;
    file.take(MAX_FILE_BYTES + 1).read_to_end(bytes).map_err(failed)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
        return Err(TlsError::TooLarge { path: path.to_owned(), limit: MAX_FILE_BYTES });
    }
    Ok(())
}

/// Refuses a key that others could read or exchange. Root may let a group read it, as PostgreSQL
/// allows too, so that a server's own user needs no copy.
fn check_private(file: &File, path: &Path) -> Result<(), TlsError> {
    let failed = |source| TlsError::Io { path: path.to_owned(), source };
    let meta = file.metadata().map_err(failed)?;
    let allowed = if meta.uid() == 0 { GROUP_READS } else { 0 };
    if meta.mode() & OF_OTHERS & !allowed != 0 {
        let mode = meta.mode() & 0o7777;
        return Err(TlsError::OpenKey { path: path.to_owned(), mode });
    }
    let own = nix::unistd::geteuid().as_raw();
    // Root looks at the files of others for them.
    if ![0, own].contains(&meta.uid()) && own != 0 {
        return Err(TlsError::ForeignKey { path: path.to_owned(), owner: meta.uid() });
    }
    Ok(())
}

/// A certificate with its chain and key.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(super) certified: Arc<CertifiedKey>,
    /// Host names of it.
    pub(crate) names: Vec<String>,
    /// First second of its validity, since 1970.
    pub(crate) not_before_s: i64,
    /// Last second of its validity, since 1970.
    pub(crate) not_after_s: i64,
}

impl Pair {
    /// Makes a pair of the contents of the files.
    pub(super) fn of(contents: &Contents, files: &TlsFiles) -> Result<Self, TlsError> {
        let bad =
            |reason: String| TlsError::BadCertificate { path: files.certificate.clone(), reason };
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(&contents.certificate)
                .collect::<Result<_, _>>()
                .map_err(|error| bad(error.to_string()))?;
        let Some(first) = chain.first() else {
            return Err(TlsError::NoCertificate(files.certificate.clone()));
        };
        let key = PrivateKeyDer::from_pem_slice(&contents.key)
            .map_err(|_| TlsError::NoKey(files.key.clone()))?;
        let (names, (not_before_s, not_after_s)) =
            describe(first).map_err(|error| bad(error.to_string()))?;
        let certified =
            CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
                Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch {
                    certificate: files.certificate.clone(),
                    key: files.key.clone(),
                },
                error => TlsError::BadKey { path: files.key.clone(), reason: error.to_string() },
            })?;
        Ok(Self { certified: Arc::new(certified), names, not_before_s, not_after_s })
    }
}

/// Cryptography of the server's TLS.
pub(super) fn provider() -> CryptoProvider {
    ring::default_provider()
}

/// Returns host names and validity of a certificate.
fn describe(der: &CertificateDer<'_>) -> Result<(Vec<String>, (i64, i64)), webpki::Error> {
    let certificate = EndEntityCert::try_from(der)?;
    let names = certificate.valid_dns_names().map(str::to_owned).collect();
    // Nothing says how long a certificate is valid but the refusal at a time when it is not.
    let refusal = |seconds| {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let usage = KeyUsage::server_auth();
        certificate.verify_for_usage(&[], &[], &[], time, usage, None, None).err()
    };
    let seconds = |time: UnixTime| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let not_after_s = match refusal(u64::MAX) {
        Some(webpki::Error::CertExpired { not_after, .. }) => seconds(not_after),
        Some(error) => return Err(error),
        None => i64::MAX,
    };
    let not_before_s = match refusal(0) {
        Some(webpki::Error::CertNotValidYet { not_before, .. }) => seconds(not_before),
        // It is valid from 1970 on, or from before.
        _ => 0,
    };
    Ok((names, (not_before_s, not_after_s)))
}
