//! One attempt to let a host have a status: after an attempt whose result is not known, it is asked first.

use crate::hosts::HostStatus;
use crate::store::commit_statuses::DueStatus;

/// One that keeps statuses: a repository at its host.
pub(super) trait StatusKeeper {
    type Error;

    /// Returns the newest status of a name at a commit.
    fn newest(
        &self,
        revision: &str,
        context: &str,
    ) -> impl Future<Output = Result<Option<HostStatus>, Self::Error>> + Send;

    /// Sets a status.
    fn set(
        &self,
        revision: &str,
        status: &HostStatus,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Result of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivered {
    Sent,
    /// An earlier attempt has sent it.
    WasThere,
    /// The attempt is not this server's any more.
    Late,
}

/// Sends a status, unless the host has it.
pub(super) async fn deliver<K: StatusKeeper>(
    host: &K,
    due: &DueStatus,
    status: &HostStatus,
    is_late: impl Fn() -> bool,
) -> Result<Delivered, K::Error> {
    let revision = due.key.revision.as_str();
    if due.is_uncertain {
        let newest = host.newest(revision, &status.context).await?;
        if newest.is_some_and(|newest| is_same(&newest, status)) {
            return Ok(Delivered::WasThere);
        }
    }
    if is_late() {
        return Ok(Delivered::Late);
    }
    host.set(revision, status).await?;
    Ok(Delivered::Sent)
}

/// Returns true where the host has a status already.
fn is_same(there: &HostStatus, wanted: &HostStatus) -> bool {
    let url = |of: &HostStatus| of.target_url.clone().unwrap_or_default();
    there.state == wanted.state
        && there.description == wanted.description
        && url(there) == url(wanted)
}

#[cfg(test)]
mod tests;
