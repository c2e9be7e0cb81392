//! Polls of remotes: which branches and tags are at other commits than before.

use tokio::sync::Notify;

use super::changes::{Told, find_told_changes, triggers_of};
use super::due_work::DueWork;
use super::host_access::open_for_git;
use super::schedule::{LAG_MS, POLL_LEASE_MS, next_poll};
use crate::contention;
use crate::git::{GitError, RemoteRefs, list_refs};
use crate::state::App;
use crate::store::git_connections::{self, Polled, StoredConnection};
use crate::store::{Conn, StoreError, WriteTx, git_refs, trigger_events};

/// Polls of remotes.
#[derive(Debug)]
pub(crate) enum Polls {}

impl DueWork for Polls {
    type Piece = StoredConnection;
    const FAILURE: &'static str = "cannot poll Git remotes";
    const LEASE_MS: i64 = POLL_LEASE_MS;

    fn wake(app: &App) -> &Notify {
        &app.git.polls
    }

    async fn next_due(conn: &mut Conn) -> Result<Option<i64>, StoreError> {
        git_connections::next_poll(conn).await
    }

    async fn take_due(
        tx: &mut WriteTx,
        now_ms: i64,
        next_ms: i64,
    ) -> Result<Option<StoredConnection>, StoreError> {
        git_connections::take_due(tx, now_ms, next_ms).await
    }

    async fn run(app: &App, piece: StoredConnection) -> Result<(), StoreError> {
        poll(app, piece).await
    }
}

/// A remote was not listed: why, and the next step.
type PollFailure = (String, Option<String>);

/// Polls one remote, and notes the result.
async fn poll(app: &App, of: StoredConnection) -> Result<(), StoreError> {
    let began_ms = app.clock.steady_ms();
    let listed = list(app, &of).await;
    let took_ms = app.clock.steady_ms().saturating_sub(began_ms);
    if let Err((error, _)) = &listed {
        tracing::warn!(project = of.item.project, error, "a Git remote cannot be polled");
    }
    contention::retry(|| note(app, &of, &listed, took_ms)).await
}

async fn list(
    app: &App,
    of: &StoredConnection,
) -> Result<(RemoteRefs, Option<String>), PollFailure> {
    let settings = &app.git.settings;
    let failed = |error: GitError| (error.to_string(), error.hint().map(str::to_owned));
    let opened = open_for_git(app, of).await;
    let remote = opened.map_err(|error| (error.to_string(), error.hint()))?;
    let scratch = app.git.scratch().map_err(|error| failed(error.into()))?;
    // Closed never.
    let _turn = app.git.turns.acquire().await;
    list_refs(&remote, settings, &scratch).await.map_err(failed)
}

/// Notes a poll: in one transaction what the remote has now, and what that causes.
async fn note(
    app: &App,
    of: &StoredConnection,
    listed: &Result<(RemoteRefs, Option<String>), PollFailure>,
    took_ms: i64,
) -> Result<(), StoreError> {
    let (project, now_ms) = (of.item.project.as_str(), app.clock.wall_ms());
    let interval_ms = i64::try_from(of.item.poll_ms).unwrap_or(i64::MAX);
    let failures = if listed.is_ok() { 0 } else { of.failures.saturating_add(1) };
    let mut tx = app.store.write().await?;
    let current = git_connections::lock(&mut tx, project).await?;
    // Connected anew meanwhile: that connection has a poll of its own.
    let is_same = |now: &StoredConnection| {
        now.item.created_ms == of.item.created_ms && now.item.url == of.item.url
    };
    let Some(current) = current.filter(is_same) else { return Ok(()) };
    let seen = git_refs::of_project(&mut tx, project).await?;
    let listed_refs = listed.as_ref().ok().map(|(refs, _)| refs);
    let told = Told { heard: of.heard, settled_ms: now_ms.saturating_sub(LAG_MS) };
    let (mut changes, is_late) = match listed_refs {
        Some(refs) => find_told_changes(&seen, refs, told),
        None => (Vec::new(), false),
    };
    // Asked for meanwhile: it stays due.
    let is_asked = current.item.next_poll_ms < of.item.next_poll_ms;
    let usual_ms = next_poll(now_ms, interval_ms, failures, random());
    let next_ms = match (is_asked, is_late) {
        (true, _) => now_ms,
        (false, true) => usual_ms.min(now_ms.saturating_add(LAG_MS)),
        (false, false) => usual_ms,
    };
    let (refs, host_keys) = match listed {
        Ok((refs, host_keys)) => (Some(refs), host_keys.as_deref()),
        Err(_) => (None, None),
    };
    let polled = Polled {
        project,
        at_ms: now_ms,
        took_ms,
        next_ms,
        failure: listed.as_ref().err().cloned(),
        default_branch: refs.and_then(|refs| refs.default_branch.as_deref()),
        host_keys,
    };
    git_connections::note_poll(&mut tx, &polled).await?;
    for change in &changes {
        git_refs::put(&mut tx, (project, &change.name), &change.revision, now_ms).await?;
    }
    if !current.item.has_baseline {
        changes.clear();
    }
    let (triggers, left_out) = triggers_of(&changes, current.item.created_ms);
    for trigger in &triggers {
        trigger_events::insert(&mut tx, project, trigger, now_ms).await?;
    }
    if left_out > 0 {
        tracing::warn!(project, left_out, "too many branches and tags changed at once");
    }
    tx.commit().await?;
    app.git.builds.notify_one();
    Ok(())
}

/// Returns a number that spreads polls. Nothing depends on it: without randomness there is no spread.
fn random() -> u32 {
    getrandom::u32().unwrap_or(0)
}
