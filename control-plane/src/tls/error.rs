//! Faults of a certificate and its key.

use std::io;
use std::path::PathBuf;

/// Reason why a certificate and its key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// It is a directory, a device or a FIFO.
    #[error("{0} is not a regular file")]
    NotAFile(PathBuf),
    /// It is larger than any file of certificates.
    #[error("{path} is larger than {limit} bytes, the limit of such a file")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Limit, in bytes.
        limit: u64,
    },
    /// Others than the owner can read the key.
    #[error(
        "{path} can be read by others than its owner (mode {mode:04o}): make it private with \
         `chmod 600`, or give it to root and a group of the server's alone with `chmod 640`"
    )]
    OpenKey {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The key belongs to somebody else, who could exchange it.
    #[error("{path} belongs to user {owner}: a key has to be root's or that of the server's user")]
    ForeignKey {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// There is no certificate in the file.
    #[error("{0} has no certificate in PEM (`-----BEGIN CERTIFICATE-----`)")]
    NoCertificate(PathBuf),
    /// There is no key in the file.
    #[error("{0} has no private key in PEM that can be used without a password")]
    NoKey(PathBuf),
    /// The certificate is broken.
    #[error("the certificate in {path} cannot be used: {reason}")]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// Fault.
        reason: String,
    },
    /// The key is broken, or of a kind that is not supported.
    #[error("the key in {path} cannot be used: {reason}")]
    BadKey {
        /// The file.
        path: PathBuf,
        /// Fault.
        reason: String,
    },
    /// They do not belong together.
    #[error("the key in {key} does not belong to the certificate in {certificate}")]
    Mismatch {
        /// File of the certificate.
        certificate: PathBuf,
        /// File of the key.
        key: PathBuf,
    },
    /// A renewed certificate is worse than the one that is in use.
    #[error("the certificate in {path} expired at {at}, before the one that is in use")]
    Expired {
        /// The file.
        path: PathBuf,
        /// Its end, as RFC 3339.
        at: String,
    },
    /// TLS cannot be set up, which is a fault of this program.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}
