//! Calls that every kind of host has.

use russet_protocol::projects::HostKind;

use super::access::{HostAccess, HostStatus};
use super::client::HostRoom;
use super::error::HostError;
use super::{gitea, github, statuses};

/// Sets a status at a commit.
pub(crate) async fn set_status(
    room: &HostRoom,
    of: &HostAccess,
    revision: &str,
    status: &HostStatus,
) -> Result<(), HostError> {
    match of.kind {
        HostKind::Git => Ok(()),
        HostKind::Github | HostKind::Gitea => {
            statuses::set_status(room, of, revision, status).await
        }
    }
}

/// Returns the newest status of a name at a commit.
pub(crate) async fn newest_status(
    room: &HostRoom,
    of: &HostAccess,
    revision: &str,
    context: &str,
) -> Result<Option<HostStatus>, HostError> {
    match of.kind {
        HostKind::Git => Ok(None),
        HostKind::Github | HostKind::Gitea => {
            statuses::newest_status(room, of, revision, context).await
        }
    }
}

/// Checks what a credential may do. Returns findings for people that do not prevent builds.
///
/// # Errors
///
/// The host cannot be asked, or the credential may not read the repository.
pub(crate) async fn check_access(
    room: &HostRoom,
    of: &HostAccess,
) -> Result<Vec<String>, HostError> {
    match of.kind {
        HostKind::Git => Ok(Vec::new()),
        HostKind::Github => github::check(room, of).await,
        HostKind::Gitea => gitea::check(room, of).await,
    }
}
