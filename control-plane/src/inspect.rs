//! Looks at what a server needs, without starting one: for `russet server doctor`. Nothing is
//! changed, but for a small object that is written to a bucket and deleted.

use std::error::Error;
use std::path::{Path, PathBuf};

use crate::mail::MailServer;
use crate::moving::newest_backup;
use crate::objects::{Objects, S3Settings};
use crate::space;
use crate::store::DatabaseUrl;
use crate::store::look::{look_at_postgres, look_at_sqlite};
use crate::tls::{TlsError, TlsFiles, Warning, due_warnings};

pub use crate::space::Room;
pub use crate::store::look::{DatabaseFacts, LookError};

/// Cause of a failure, of whatever part.
type Cause = Box<dyn Error + Send + Sync>;

/// Certificate of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Host names of it.
    pub names: Vec<String>,
    /// Last second of its validity, since 1970.
    pub not_after_s: i64,
    /// It has expired, or expires so soon that an alert is open.
    pub expires_soon: bool,
    /// It has expired, or expires within days.
    pub expires_very_soon: bool,
}

/// Looks at the database of a server: at a file where `url` is `None`.
///
/// # Errors
/// It cannot be reached, or is not one of a server.
pub async fn look_at_database(
    data_dir: &Path,
    url: Option<&DatabaseUrl>,
) -> Result<DatabaseFacts, LookError> {
    match url {
        Some(url) => look_at_postgres(url).await,
        None => look_at_sqlite(&data_dir.join("russet.db")).await,
    }
}

/// Writes, reads, lists and deletes a small object in a bucket.
///
/// # Errors
/// The bucket does not let us.
pub async fn try_bucket(settings: &S3Settings) -> Result<(), Cause> {
    Objects::in_bucket(settings).await.map(drop).map_err(Into::into)
}

/// Connects to a relay for mail, and logs in.
///
/// # Errors
/// It does not answer, or refuses.
pub async fn try_mail(server: &MailServer) -> Result<(), Cause> {
    server.greet().await.map_err(Into::into)
}

/// Returns the room of a directory's disk, where the system says.
#[must_use]
pub fn room_of(dir: &Path, reserve: Option<u64>) -> Option<Room> {
    space::room_of(dir, reserve)
}

/// Reads a certificate and its key, and checks that they fit.
///
/// # Errors
/// They cannot be used.
pub fn look_at_certificate(files: &TlsFiles, now_s: i64) -> Result<CertificateFacts, TlsError> {
    let pair = files.pair()?;
    let warnings: Vec<Warning> =
        due_warnings((pair.not_before_s, pair.not_after_s), now_s).collect();
    Ok(CertificateFacts {
        names: pair.names,
        not_after_s: pair.not_after_s,
        expires_soon: warnings.contains(&Warning::Soon),
        expires_very_soon: warnings.contains(&Warning::VerySoon),
    })
}

/// Returns the newest backup of a directory of backups, with the time of its end.
///
/// # Errors
/// The directory or the backup cannot be read.
pub fn look_at_backups(dir: &Path) -> Result<Option<(PathBuf, String)>, Cause> {
    newest_backup(dir).map_err(Into::into)
}
