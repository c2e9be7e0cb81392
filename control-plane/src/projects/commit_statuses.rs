//! Statuses at commits: sent to the hosts until they have them, each the newest of its name, one at a time.
//!
//! After an attempt whose result is not known (the server was killed, the host broke off) the host is asked
//! first what it has, so that nothing is there twice.

use tokio::sync::Notify;

use super::deliver::{Delivered, StatusKeeper, deliver};
use super::due_work::DueWork;
use super::host_access::open_host;
use super::status_times::{GROUP_PAUSE_MS, LEASE_MS, next_attempt};
use crate::clock::millis;
use crate::contention;
use crate::hosts::{self, Failing, HostAccess, HostError, HostRoom, HostStatus, MAX_ATTEMPT};
use crate::state::App;
use crate::store::commit_statuses::{self, DueStatus, Failure};
use crate::store::{Conn, StoreError, WriteTx, git_connections};

/// Time for which states are kept, in milliseconds: 90 days.
const KEPT_MS: i64 = 90 * 24 * 3_600_000;

/// Statuses at commits.
#[derive(Debug)]
pub(crate) enum CommitStatuses {}

impl DueWork for CommitStatuses {
    type Piece = DueStatus;
    const FAILURE: &'static str = "cannot send statuses of commits";
    const LEASE_MS: i64 = LEASE_MS;

    fn wake(app: &App) -> &Notify {
        &app.bus().statuses
    }

    async fn next_due(conn: &mut Conn) -> Result<Option<i64>, StoreError> {
        commit_statuses::next_due(conn).await
    }

    async fn take_due(
        tx: &mut WriteTx,
        now_ms: i64,
        next_ms: i64,
    ) -> Result<Option<DueStatus>, StoreError> {
        let attempt = russet_protocol::ids::AllocationId::generate();
        let times = (now_ms, next_ms, now_ms.saturating_add(GROUP_PAUSE_MS));
        commit_statuses::take_due(tx, times, attempt.as_str()).await
    }

    async fn run(app: &App, piece: DueStatus) -> Result<(), StoreError> {
        let until_ms = app.clock.steady_ms().saturating_add(millis(MAX_ATTEMPT));
        let limit = tokio::time::timeout(MAX_ATTEMPT, send(app, &piece, until_ms));
        let sent = limit.await.unwrap_or(Err(SendError::TooLong));
        contention::retry(|| note(app, &piece, &sent)).await
    }
}

/// A status was not sent.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error("{0}")]
    Credential(#[from] super::sealed::SealError),
    #[error("the project is not connected to a host with an API any more")]
    NotConnected,
    #[error("the host took longer than {} seconds", MAX_ATTEMPT.as_secs())]
    TooLong,
    #[error("the database could not be read")]
    Store(#[from] StoreError),
}

impl SendError {
    fn failing(&self) -> Failing {
        match self {
            Self::Host(error) => error.failing(),
            Self::TooLong => Failing::Uncertain,
            Self::Store(_) => Failing::Passing,
            Self::Credential(_) | Self::NotConnected => Failing::Final,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Host(error) => error.hint(),
            Self::Credential(_) | Self::NotConnected => {
                Some("connect the project again: russet project add".to_owned())
            }
            Self::TooLong => Some("check that the server reaches the host's API".to_owned()),
            Self::Store(_) => None,
        }
    }
}

async fn send(app: &App, due: &DueStatus, until_ms: i64) -> Result<(), SendError> {
    let access = find_access(app, &due.key.project).await?;
    let status = status_of(app, due);
    let host = StatusHost { room: &app.hosts, access: &access };
    // A server that slept meanwhile does not send what another one has taken from it.
    let is_late = || app.clock.steady_ms() > until_ms;
    match deliver(&host, due, &status, is_late).await? {
        Delivered::Late => Err(SendError::TooLong),
        Delivered::Sent | Delivered::WasThere => Ok(()),
    }
}

/// A repository at its host.
struct StatusHost<'a> {
    room: &'a HostRoom,
    access: &'a HostAccess,
}

impl StatusKeeper for StatusHost<'_> {
    type Error = HostError;

    async fn newest(&self, revision: &str, context: &str) -> Result<Option<HostStatus>, HostError> {
        hosts::newest_status(self.room, self.access, revision, context).await
    }

    async fn set(&self, revision: &str, status: &HostStatus) -> Result<(), HostError> {
        hosts::set_status(self.room, self.access, revision, status).await
    }
}

async fn find_access(app: &App, project: &str) -> Result<HostAccess, SendError> {
    let found = git_connections::get(&mut app.store.read().await?, project).await?;
    let found = found.ok_or(SendError::NotConnected)?;
    open_host(app, &found)?.ok_or(SendError::NotConnected)
}

fn status_of(app: &App, due: &DueStatus) -> HostStatus {
    let origin = app.public_url.as_deref();
    HostStatus {
        context: due.key.context.clone(),
        state: due.state,
        description: due.description.clone(),
        target_url: origin.map(|origin| format!("{origin}{}", due.path)),
    }
}

/// Notes an attempt.
async fn note(app: &App, due: &DueStatus, sent: &Result<(), SendError>) -> Result<(), StoreError> {
    let now_ms = app.clock.wall_ms();
    let mut tx = app.store.write().await?;
    match sent {
        Ok(()) => {
            commit_statuses::mark_sent(&mut tx, due, now_ms).await?;
            let before_ms = now_ms.saturating_sub(KEPT_MS);
            commit_statuses::delete_before(&mut tx, &due.key.project, before_ms).await?;
        }
        Err(error) => note_failure(&mut tx, due, error, now_ms).await?,
    }
    tx.commit().await
}

async fn note_failure(
    tx: &mut WriteTx,
    due: &DueStatus,
    error: &SendError,
    now_ms: i64,
) -> Result<(), StoreError> {
    let failing = error.failing();
    let (text, hint) = (russet_text::error_chain(error), error.hint());
    let next_ms = match failing {
        Failing::Limited(until_ms) | Failing::Overloaded(until_ms) => {
            commit_statuses::pause_group(tx, &due.call_group, until_ms).await?;
            next_attempt(due.changed_ms, due.attempts, now_ms).map(|_| until_ms)
        }
        Failing::Uncertain | Failing::Passing => next_attempt(due.changed_ms, due.attempts, now_ms),
        Failing::Unauthorized | Failing::Final => None,
    };
    let key = &due.key;
    tracing::warn!(
        project = key.project,
        context = key.context,
        error = text,
        is_given_up = next_ms.is_none(),
        "a status of a commit was not sent"
    );
    let failure = Failure {
        error: &text,
        hint: hint.as_deref(),
        next_ms,
        // What an earlier attempt has done is still not known, unless the host was asked.
        is_uncertain: matches!(failing, Failing::Uncertain | Failing::Overloaded(_))
            || due.is_uncertain,
        is_uncounted: matches!(failing, Failing::Limited(_) | Failing::Overloaded(_)),
    };
    commit_statuses::mark_failed(tx, due, &failure, now_ms).await
}
