//! One turn of a claim: it looks at the queue, and takes a task or says what it waits for.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json as JsonAnswer;
use axum::response::{IntoResponse as _, Response};
use russet_protocol::machine::{NO_PAUSE, PAUSE_HEADER};
use russet_protocol::resource_class::ResourceClass;
use russet_protocol::runner::{ClaimRequest, ClaimResponse};

use super::{answer_of, check_token, is_registered, no_work, pause_of, register};
use crate::api::error::ApiError;
use crate::contention;
use crate::credentials::{TokenHash, TokenKind, new_token};
use crate::scheduler::leases;
use crate::state::App;
use crate::store::abilities::{Abilities, SshLevel};
use crate::store::{Claim, Conn, WriteTx, claims, line, runners};
use crate::waiting_claims::Place;

/// Time after which tasks are looked at again that others were about to take.
const PASSED_OVER_PAUSE: Duration = Duration::from_millis(50);

/// Interval at which a claim of a paused runner looks whether it still is. Agents that know of pauses
/// do not claim meanwhile.
const PAUSED_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Pause before another look while the disk has too little room.
const SHORT_PAUSE: Duration = Duration::from_secs(2);

/// The one who claims.
pub(super) struct Claimant {
    pub(super) hash: TokenHash,
    pub(super) class: ResourceClass,
    /// The pause that its agent knows of, where it knows of pauses.
    pub(super) known: Option<String>,
    pub(super) runner: ClaimRequest,
}

impl Claimant {
    /// Forgets what a runner says of itself once it was noted, and keeps what later turns go by.
    pub(super) fn forget_report(&mut self) {
        let runner = &mut self.runner;
        runner.update = None;
        runner.machine = None;
        runner.held_slots = Vec::new();
        runner.runtimes = Vec::new();
        runner.holds = Vec::new();
    }
}

/// Result of a turn.
pub(super) enum Turn {
    Over(Response),
    /// A rest of the runner ended meanwhile.
    Again,
    Waits(Wait),
}

/// Reasons to take another turn before it is woken.
pub(super) struct Wait {
    /// The pause that the runner is under.
    pub(super) pause: String,
    /// End of its rest, by the steady clock.
    pub(super) rest: Option<i64>,
    pub(super) again: Option<Duration>,
}

/// Takes a turn, the first with a connection that is there already.
pub(super) async fn take_turn(
    app: &App,
    claimant: &Claimant,
    place: &mut Place,
    first_conn: Option<Conn>,
) -> Result<Turn, ApiError> {
    let Claimant { hash, class, known, runner } = claimant;
    let rest_of = || app.rests.end(class.as_str(), &runner.name, app.clock.steady_ms());
    place.begin_look();
    let has_looked = rest_of().is_none();
    let is_first = first_conn.is_some();
    let mut conn = match first_conn {
        Some(conn) => conn,
        None => app.store.read().await?,
    };
    let is_news = is_first && !is_registered(app, &mut conn, class, runner).await?;
    // Nobody says when there is room again.
    let is_short = app.space.is_short();
    let mut again = is_short.then_some(SHORT_PAUSE);
    // One statement that locks nothing: claims that find nothing must not keep others from writing.
    // After it stood in the line: one that was revoked before has woken nobody here.
    let seen = look_around(app, &mut conn, hash, class, runner).await?;
    let pause = seen.pause;
    let is_paused = pause != NO_PAUSE;
    if known.as_ref().is_some_and(|known| *known != pause) {
        drop(conn);
        if is_news {
            contention::retry(|| register(app, class, runner)).await?;
        }
        place.step_aside();
        return Ok(Turn::Over(no_work(&pause)));
    }
    let may_look = has_looked && !is_paused && !is_short;
    let mut seems_worth = is_news;
    if may_look {
        app.gate.looks.fetch_add(1, Ordering::Relaxed);
        let abilities = Abilities::of(runner);
        seems_worth |= seen.is_any_queued
            && (abilities.xcodes.is_none()
                || line::is_any_queued(&mut conn, class, abilities).await?);
    }
    drop(conn);
    if seems_worth {
        let attempt = || try_claim(app, hash, class, runner, is_news);
        match contention::retry(attempt).await? {
            Look::Task(task) => {
                place.end_look();
                let answer = ([(PAUSE_HEADER, pause)], JsonAnswer(*task)).into_response();
                return Ok(Turn::Over(answer));
            }
            Look::PassedOver => again = Some(PASSED_OVER_PAUSE),
            Look::Nothing => {}
        }
    }
    // It may have begun while this looked.
    let rest = rest_of();
    match rest {
        Some(_) => place.step_aside(),
        // It takes none, and stands in nobody's way.
        None if is_paused => {
            place.step_aside();
            again = Some(PAUSED_LOOK_INTERVAL);
        }
        None if has_looked => place.end_look(),
        None => return Ok(Turn::Again),
    }
    Ok(Turn::Waits(Wait { pause, rest, again }))
}

/// State of the queue, and of the pauses, as one look found it.
struct Seen {
    pause: String,
    /// A task waits in the line of the class that a runner with this offer of SSH may have.
    is_any_queued: bool,
}

/// Looks at what a claim goes by. An error where its token does not count any more.
async fn look_around(
    app: &App,
    conn: &mut Conn,
    hash: &TokenHash,
    class: &ResourceClass,
    runner: &ClaimRequest,
) -> Result<Seen, ApiError> {
    let (ssh, now_ms) = (SshLevel::of_offer(runner.ssh), app.clock.wall_ms());
    let ground = claims::look(conn, hash, class, ssh, now_ms).await?;
    check_token(app, ground.as_ref().map(|ground| &ground.token), class)?;
    let pause = match ground.as_ref().is_some_and(|ground| ground.has_pauses) {
        true => pause_of(app, conn, class, &runner.name).await?,
        false => NO_PAUSE.to_owned(),
    };
    Ok(Seen { pause, is_any_queued: ground.is_some_and(|ground| ground.is_any_queued) })
}

/// Result of a look at the queue.
#[derive(Debug)]
enum Look {
    Task(Box<ClaimResponse>),
    /// Only tasks that other claims were about to take. One that gives up leaves its task, without
    /// a word to those who passed it over.
    PassedOver,
    Nothing,
}

/// Takes the task that stands first in the line, where there is one, and registers the runner where
/// it says something new.
async fn try_claim(
    app: &App,
    hash: &TokenHash,
    class: &ResourceClass,
    runner: &ClaimRequest,
    is_news: bool,
) -> Result<Look, ApiError> {
    let mut tx = app.store.write().await?;
    let seen = look_around(app, &mut tx, hash, class, runner).await?;
    // Under the lock: a task that this runner gives back meanwhile goes to another one.
    let rests = app.rests.end(class.as_str(), &runner.name, app.clock.steady_ms()).is_some();
    // So is a pause: nobody who was told that a machine is paused finds a task on it later.
    let is_paused = seen.pause != NO_PAUSE;
    // On a full disk nothing that the task says could be acknowledged.
    let is_barred = app.space.is_short() || rests || is_paused;
    let task = match is_barred || !seen.is_any_queued {
        true => None,
        false => take_task(app, &mut tx, class, runner).await?,
    };
    let passed_over = !is_barred
        && seen.is_any_queued
        && task.is_none()
        && line::is_any_queued(&mut tx, class, Abilities::of(runner)).await?;
    // After the task: claims of one runner may wait for each other here, and hold nothing else that
    // one of them needs.
    let now_ms = app.clock.wall_ms();
    let mut warning = None;
    if is_news {
        warning = runners::touch(&mut tx, class, runner, now_ms).await?;
        // It may not have been known when it was given the task.
        if task.is_some() {
            runners::mark_used(&mut tx, class, &runner.name, now_ms).await?;
        }
    }
    if is_news || task.is_some() {
        tx.commit().await?;
    } else {
        tx.rollback().await?;
    }
    Ok(match task {
        Some(task) => Look::Task(Box::new(ClaimResponse { warning, ..task })),
        None if passed_over => Look::PassedOver,
        None => Look::Nothing,
    })
}

/// Takes the first task of the line for the runner.
async fn take_task(
    app: &App,
    tx: &mut WriteTx,
    class: &ResourceClass,
    runner: &ClaimRequest,
) -> Result<Option<ClaimResponse>, ApiError> {
    let token = new_token(TokenKind::Task)?;
    let (now_ms, lease_ms) = (app.clock.wall_ms(), tx.lease_ms(&*app.clock));
    let claim = Claim {
        class,
        abilities: Abilities::of(runner),
        wanted: runner.allocation.as_ref(),
        hash: &TokenHash::of(token.expose()),
        runner: &runner.name,
        granted: lease_ms,
        expires: leases::lease_end(lease_ms, app.lease_ms, false),
        now_ms,
    };
    let Some((next, allocation)) = claims::take_first(tx, &claim).await? else { return Ok(None) };
    let waited_ms = next.queued_ms.map(|queued_ms| now_ms - queued_ms);
    tx.tally().claimed(class.as_str(), waited_ms);
    tx.wake_pipeline(next.pipeline.as_str());
    tracing::info!(task.id = %next.task, %allocation, runner = runner.name, "claimed");
    Ok(Some(answer_of(app, class, next, allocation, token)))
}
