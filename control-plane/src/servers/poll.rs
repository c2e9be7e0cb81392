//! Looks for what other servers changed, should their messages be lost: only where there are others,
//! and only for what somebody here waits for.

use std::collections::HashMap;

use crate::signals::MAYBE_GRANTED;
use crate::state::App;
use crate::store::line::{Queued, queued_tasks};
use crate::store::{Conn, StoreError, pipelines, tasks};

/// Looks between two for changes of roles and tokens, which are rare.
const PEOPLE_ROUNDS: u32 = 10;

/// What was seen at the last look.
#[derive(Debug, Default)]
struct Seen {
    queued: HashMap<String, Queued>,
    /// From which number of a commit on changes may not have been seen.
    horizon: i64,
    claims: HashMap<String, Option<Claim>>,
    rounds: u32,
}

/// Claim of a task, and whether it is to be canceled.
type Claim = (Option<String>, bool);

/// Looks again and again.
pub(super) async fn run(app: &App) {
    let mut seen = Seen::default();
    let mut had_others = false;
    loop {
        tokio::time::sleep(app.between.poll_interval).await;
        let has_others = app.bus().outbox.has_others();
        // Once more after the last one left, for what it did before.
        if !(has_others || had_others) {
            continue;
        }
        had_others = has_others;
        try_look(app, &mut seen).await;
    }
}

/// Looks once as if nothing had been seen before, and wakes whoever waits for something that is there.
pub(super) async fn look_anew(app: &App) {
    try_look(app, &mut Seen::default()).await;
}

async fn try_look(app: &App, seen: &mut Seen) {
    if let Err(error) = look(app, seen).await {
        // The next look has more to find. Those who write say what is wrong.
        let error = russet_text::error_chain(&error);
        tracing::debug!(error, "cannot look for changes of other servers");
    }
}

async fn look(app: &App, seen: &mut Seen) -> Result<(), StoreError> {
    let mut conn = app.store.read().await?;
    look_at_lines(app, &mut conn, seen).await?;
    look_at_tasks(app, &mut conn, seen).await?;
    look_at_pipelines(app, &mut conn, seen).await?;
    drop(conn);
    seen.rounds = seen.rounds.wrapping_add(1);
    if seen.rounds.is_multiple_of(PEOPLE_ROUNDS) {
        // Those who wait with a token or in a session look for themselves.
        app.bus().people.names().iter().for_each(|id| app.bus().people.wake(id));
    }
    // A lease of another server may lapse before those that this one knows.
    app.bus().leases.wake(MAYBE_GRANTED);
    Ok(())
}

/// Wakes a claim for each task of a class whose queue is not as it was.
async fn look_at_lines(app: &App, conn: &mut Conn, seen: &mut Seen) -> Result<(), StoreError> {
    let classes = app.bus().lines.classes();
    seen.queued.retain(|class, _| classes.contains(class));
    for class in classes {
        let queued = queued_tasks(conn, &class).await?;
        if seen.queued.insert(class.clone(), queued) == Some(queued) || queued.tasks == 0 {
            continue;
        }
        if queued.named > 0 {
            app.bus().lines.wake_all(&class);
        } else {
            let _unheard = app.bus().lines.wake(&class, queued.tasks);
        }
    }
    Ok(())
}

/// Wakes the heartbeats of tasks that are to be canceled, or whose claim is not what it was.
async fn look_at_tasks(app: &App, conn: &mut Conn, seen: &mut Seen) -> Result<(), StoreError> {
    let waiting = app.bus().tasks.names();
    if waiting.is_empty() {
        seen.claims.clear();
        return Ok(());
    }
    let claims = tasks::running_claims(conn).await?;
    let mut claims: HashMap<String, Claim> =
        claims.into_iter().map(|(task, claim, canceled)| (task, (claim, canceled))).collect();
    let mut now_seen = HashMap::new();
    for task in waiting {
        let claim = claims.remove(&task);
        // One that began to wait since the last look may have read before that changed.
        if seen.claims.remove(&task).as_ref() != Some(&claim) {
            app.bus().tasks.wake(&task);
        }
        now_seen.insert(task, claim);
    }
    seen.claims = now_seen;
    Ok(())
}

/// Wakes the readers of pipelines of which something changed.
async fn look_at_pipelines(app: &App, conn: &mut Conn, seen: &mut Seen) -> Result<(), StoreError> {
    let horizon = conn.horizon().await?;
    for pipeline in app.bus().pipelines.names() {
        if pipelines::has_changed_since(conn, &pipeline, seen.horizon).await? {
            app.bus().pipelines.wake(&pipeline);
        }
    }
    seen.horizon = horizon;
    Ok(())
}
