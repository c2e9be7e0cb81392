//! Polls of remotes: which branches and tags are at other commits than before.

use std::time::Duration;

use futures_util::StreamExt as _;

use super::changes::{find_changes, triggers_of};
use super::schedule::{POLL_LEASE_MS, next_poll};
use super::sealed::open_remote;
use crate::clock::millis;
use crate::contention;
use crate::git::{GitError, MAX_PARALLEL, RemoteRefs, list_refs};
use crate::state::App;
use crate::store::git_connections::{self, Polled, StoredConnection};
use crate::store::{StoreError, git_refs, trigger_events};

/// Longest pause between looks for polls that are due, since others may connect projects.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Polls what is due, until the server stops.
pub(crate) async fn run_polls(app: App) {
    loop {
        // Before the look: what becomes due after it is not slept through.
        let looked_ms = app.clock.steady_ms();
        if let Err(error) = poll_due(&app).await {
            let error = russet_text::error_chain(&error);
            tracing::error!(error, "cannot poll Git remotes; trying again");
        }
        let pause_ms = next_due_in(&app).await.unwrap_or(i64::MAX).min(millis(LOOK_INTERVAL));
        tokio::select! {
            () = app.clock.sleep_until(looked_ms.saturating_add(pause_ms)) => {}
            () = app.git.polls.notified() => {}
            () = app.closed() => return,
        }
    }
}

async fn next_due_in(app: &App) -> Option<i64> {
    let mut conn = app.store.read().await.ok()?;
    let next = git_connections::next_poll(&mut conn).await.ok()??;
    Some(next.saturating_sub(app.clock.wall_ms()).max(50))
}

/// Polls all that is due, some at the same time.
async fn poll_due(app: &App) -> Result<(), StoreError> {
    loop {
        let mut taken = Vec::new();
        while taken.len() < MAX_PARALLEL {
            let now_ms = app.clock.wall_ms();
            let mut tx = app.store.write().await?;
            let next_ms = now_ms.saturating_add(POLL_LEASE_MS);
            let Some(due) = git_connections::take_due(&mut tx, now_ms, next_ms).await? else {
                break;
            };
            tx.commit().await?;
            taken.push(due);
        }
        let is_all = taken.len() < MAX_PARALLEL;
        let polls = taken.into_iter().map(|due| poll(app, due));
        let results: Vec<_> =
            futures_util::stream::iter(polls).buffer_unordered(MAX_PARALLEL).collect().await;
        results.into_iter().collect::<Result<(), StoreError>>()?;
        if is_all {
            return Ok(());
        }
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
    let (remote, _) = open_remote(&app.sealer, settings, of).map_err(|error| {
        (error.to_string(), Some("connect the project again: russet project add".to_owned()))
    })?;
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
    // Asked for meanwhile: it stays due.
    let is_asked = current.item.next_poll_ms < of.item.next_poll_ms;
    let next_ms =
        if is_asked { now_ms } else { next_poll(now_ms, interval_ms, failures, random()) };
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
    if let Some(refs) = refs {
        let seen = git_refs::of_project(&mut tx, project).await?;
        let changes = find_changes(&seen, refs);
        for change in &changes {
            git_refs::put(&mut tx, (project, &change.name), &change.revision, now_ms).await?;
        }
        if current.item.has_baseline {
            let (triggers, left_out) = triggers_of(&changes, current.item.created_ms);
            for trigger in &triggers {
                trigger_events::insert(&mut tx, project, trigger, now_ms).await?;
            }
            if left_out > 0 {
                tracing::warn!(project, left_out, "too many branches and tags changed at once");
            }
        }
    }
    tx.commit().await?;
    app.git.builds.notify_one();
    Ok(())
}

/// Returns a number that spreads polls. Nothing depends on it: without randomness there is no spread.
fn random() -> u32 {
    getrandom::u32().unwrap_or(0)
}
