//! `POST /api/v3/runner/claim`.

mod repeats;

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use russet_protocol::ids::AllocationId;
use russet_protocol::machine::{NO_PAUSE, PAUSE_HEADER};
use russet_protocol::resource_class::ResourceClass;
use russet_protocol::runner::{ClaimRequest, ClaimResponse};
use russet_protocol::secret::Secret;

use crate::api::bearer::ClassCaller;
use crate::api::body::{Json, MEDIUM};
use crate::api::error::ApiError;
use crate::api::prefer;
use crate::api::runner_name::check_name;
use crate::contention;
use crate::credentials::{TokenHash, TokenKind, new_token};
use crate::machines::MAX_LIFTED;
use crate::scheduler::leases;
use crate::state::App;
use crate::store::{
    Claimed, Conn, WriteTx, jobs, line, pauses, runner_names, runners, tasks, tokens, workflows,
};

/// Time after which tasks are looked at again that others were about to take.
const PASSED_OVER_PAUSE: Duration = Duration::from_millis(50);

/// Interval at which a claim of a paused runner looks whether it still is. Agents that know of pauses
/// do not claim meanwhile.
const PAUSED_LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Pause before another look while the disk has too little room.
const SHORT_PAUSE: Duration = Duration::from_secs(2);

/// Gives the runner the task that stands first in the line of its class among those whose Xcode it
/// has, or 204; registers the runner either way.
///
/// A call that is dropped while it waits takes nothing: a task is given away in one transaction
/// right before the answer. If that answer does not arrive, the next call of that claim gets the
/// task again, or the lease puts it back.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/runner/claim", tag = "agent", operation_id = "claim_claim",
    params(("Prefer" = Option<String>, Header, description = "`wait=N`: hold the call for up to so many seconds")),
    request_body = russet_protocol::runner::ClaimRequest,
    responses((status = 200, description = "A task", body = russet_protocol::runner::ClaimResponse), (status = 204, description = "There is no work"), (status = 401, description = "The token is unknown or was revoked", body = russet_protocol::problem::Problem)),
    security(("class_token" = []))
))]
pub(super) async fn claim(
    State(app): State<App>,
    headers: HeaderMap,
    caller: ClassCaller,
    Json(runner): Json<ClaimRequest, MEDIUM>,
) -> Result<Response, ApiError> {
    let ClassCaller { hash, class } = caller;
    let mut conn = app.store.read().await?;
    let runner = admit_runner(&app, &mut conn, &class, runner).await?;
    if let Some(task) = repeats::find_lost_task(&app, &mut conn, &hash, &class, &runner).await? {
        let pause = pause_of(&app, &mut conn, &class, &runner.name).await?;
        return Ok(([(PAUSE_HEADER, pause)], JsonAnswer(task)).into_response());
    }
    // A runner that is killed is to be known as lost within a minute.
    let longest = Duration::from_millis(u64::try_from(app.silence.claim_ms).unwrap_or_default());
    let patience = tokio::time::sleep(prefer::preferred_wait(&headers).min(longest));
    tokio::pin!(patience);
    // An agent that knows of pauses says which one it knows, and is told at once of another.
    let known = headers.get(PAUSE_HEADER).and_then(|id| id.to_str().ok());
    let mut pause: String;
    let mut place = app.bus().lines.stand(class.as_str());
    // A look has one connection, the first one that of the questions before: taking one costs about as
    // much as a statement.
    let mut first_conn = Some(conn);
    loop {
        place.begin_look();
        let rest = app.rests.end(class.as_str(), &runner.name, app.clock.steady_ms());
        let has_looked = rest.is_none();
        let is_first = first_conn.is_some();
        let mut conn = match first_conn.take() {
            Some(conn) => conn,
            None => app.store.read().await?,
        };
        let is_news = is_first && !is_registered(&app, &mut conn, &class, &runner).await?;
        // Nobody says when there is room again.
        let is_short = app.space.is_short();
        let mut again = is_short.then_some(SHORT_PAUSE);
        pause = pause_of(&app, &mut conn, &class, &runner.name).await?;
        let is_paused = pause != NO_PAUSE;
        if known.is_some_and(|known| known != pause) {
            drop(conn);
            if is_news {
                contention::retry(|| register(&app, &class, &runner)).await?;
            }
            place.step_aside();
            return Ok(no_work(&pause));
        }
        // A look that locks nothing comes first: claims that find nothing must not keep others from
        // writing.
        let may_look = has_looked && !is_paused && !is_short;
        let mut seems_worth = is_news;
        if may_look {
            app.gate.looks.fetch_add(1, Ordering::Relaxed);
            // After it stood in the line: one that was revoked before has woken nobody here.
            check_token(&app, &mut conn, &hash, &class).await?;
            let xcodes = runner.xcodes.as_deref();
            seems_worth |= line::is_any_queued(&mut conn, &class, xcodes).await?;
        }
        drop(conn);
        if seems_worth {
            let attempt = || try_claim(&app, &hash, &class, &runner, is_news);
            match contention::retry(attempt).await? {
                Look::Task(task) => {
                    place.end_look();
                    return Ok(([(PAUSE_HEADER, pause)], JsonAnswer(*task)).into_response());
                }
                Look::PassedOver => again = Some(PASSED_OVER_PAUSE),
                Look::Nothing => {}
            }
        }
        // It may have begun while this looked.
        let rest = app.rests.end(class.as_str(), &runner.name, app.clock.steady_ms());
        match rest {
            Some(_) => place.step_aside(),
            // It takes none, and stands in nobody's way.
            None if is_paused => {
                place.step_aside();
                again = Some(PAUSED_LOOK_INTERVAL);
            }
            None if has_looked => place.end_look(),
            // It ended meanwhile.
            None => continue,
        }
        let rested = async {
            match rest {
                Some(until) => app.clock.sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let passed_over = async {
            match again {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = place.woken() => {}
            () = rested => {}
            () = passed_over => {}
            () = &mut patience => return Ok(no_work(&pause)),
            () = app.closed() => return Ok(no_work(&pause)),
        }
    }
}

/// Checks who claims or reports, and notes that it is here. Answers it under the name that people
/// gave it.
pub(super) async fn admit_runner(
    app: &App,
    conn: &mut Conn,
    class: &ResourceClass,
    mut runner: ClaimRequest,
) -> Result<ClaimRequest, ApiError> {
    check_name(&runner.name)?;
    if let Some(given) = runner_names::given_name(conn, class, &runner.name).await? {
        runner.name = given;
    }
    app.presence.note(class.as_str(), &runner.name, app.clock.wall_ms());
    let lifted = runner.machine.iter().flat_map(|machine| &machine.lifted).take(MAX_LIFTED);
    let lifted: Vec<&String> = lifted.collect();
    if !lifted.is_empty() {
        contention::retry(|| lift_pauses(app, class, &runner.name, &lifted)).await?;
    }
    Ok(runner)
}

/// Lifts the pause of a runner, where it is one that a person lifted at the machine.
async fn lift_pauses(
    app: &App,
    class: &ResourceClass,
    runner: &str,
    lifted: &[&String],
) -> Result<(), ApiError> {
    let mut tx = app.store.write().await?;
    let pauses = pauses::of_class(&mut tx, class, app.clock.wall_ms()).await?;
    let pause = pauses.of_runner(class.as_str(), runner);
    if pause.is_some_and(|pause| lifted.contains(&&pause.id)) {
        pauses::lift_runner(&mut tx, class, runner).await?;
        tx.commit().await?;
        tracing::info!(%class, runner, "a person at the machine lifted its pause");
    } else {
        tx.rollback().await?;
    }
    Ok(())
}

/// Returns the id of the pause that a runner is under, or that there is none.
pub(super) async fn pause_of(
    app: &App,
    conn: &mut Conn,
    class: &ResourceClass,
    runner: &str,
) -> Result<String, ApiError> {
    let pauses = pauses::of_class(conn, class, app.clock.wall_ms()).await?;
    let pause = pauses.of_runner(class.as_str(), runner);
    Ok(pause.map_or_else(|| NO_PAUSE.to_owned(), |pause| pause.id.clone()))
}

fn no_work(pause: &str) -> Response {
    ([(PAUSE_HEADER, pause.to_owned())], StatusCode::NO_CONTENT).into_response()
}

/// Notes what a runner says of itself.
pub(super) async fn register(
    app: &App,
    class: &ResourceClass,
    runner: &ClaimRequest,
) -> Result<(), ApiError> {
    let mut tx = app.store.write().await?;
    runners::touch(&mut tx, class, runner, app.clock.wall_ms()).await?;
    Ok(tx.commit().await?)
}

/// Checks that a token still counts: one that is revoked, or expires, while its claim waits gets
/// nothing any more.
async fn check_token(
    app: &App,
    conn: &mut Conn,
    hash: &TokenHash,
    class: &ResourceClass,
) -> Result<(), ApiError> {
    match tokens::find(conn, hash).await? {
        Some(known) if known.class == *class => {
            match known.expires_ms.filter(|_| known.has_expired(app.clock.wall_ms())) {
                Some(at_ms) => Err(ApiError::TokenExpired(at_ms)),
                None => Ok(()),
            }
        }
        _ => Err(ApiError::Token),
    }
}

/// Returns true where another claim of the runner has just said the same: a machine has one for
/// each of its slots, and all come at once.
pub(super) async fn is_registered(
    app: &App,
    conn: &mut Conn,
    class: &ResourceClass,
    runner: &ClaimRequest,
) -> Result<bool, ApiError> {
    Ok(runners::is_registered(conn, class, runner, app.clock.wall_ms()).await?)
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
    check_token(app, &mut tx, hash, class).await?;
    // Under the lock: a task that this runner gives back meanwhile goes to another one.
    let rests = app.rests.end(class.as_str(), &runner.name, app.clock.steady_ms()).is_some();
    // So is a pause: nobody who was told that a machine is paused finds a task on it later.
    let is_paused = pause_of(app, &mut tx, class, &runner.name).await? != NO_PAUSE;
    // On a full disk nothing that the task says could be acknowledged.
    let is_barred = app.space.is_short() || rests || is_paused;
    let task = match is_barred {
        true => None,
        false => take_task(app, &mut tx, class, runner).await?,
    };
    let passed_over = !is_barred
        && task.is_none()
        && line::is_any_queued(&mut tx, class, runner.xcodes.as_deref()).await?;
    // After the task: claims of one runner may wait for each other here, and hold nothing else that
    // one of them needs.
    let now_ms = app.clock.wall_ms();
    let mut warning = None;
    if is_news {
        warning = runners::touch(&mut tx, class, runner, now_ms).await?;
    }
    if task.is_some() {
        runners::mark_used(&mut tx, class, &runner.name, now_ms).await?;
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
    let next = line::next_in_line(tx, class, runner.xcodes.as_deref()).await?;
    let Some(next) = next else { return Ok(None) };
    let token = new_token(TokenKind::Task)?;
    let allocation = repeats::allocation_for(tx, runner).await?;
    let (now_ms, lease_ms) = (app.clock.wall_ms(), tx.lease_ms(&*app.clock));
    let grant = tasks::Grant {
        allocation: &allocation,
        hash: &TokenHash::of(token.expose()),
        runner: &runner.name,
        granted: lease_ms,
        expires: leases::lease_end(lease_ms, app.lease_ms, false),
        now_ms,
    };
    tasks::grant(tx, &next.task, &grant).await?;
    jobs::set_running(tx, &next.job, &runner.name, now_ms).await?;
    workflows::start(tx, &next.workflow).await?;
    let waited_ms = next.queued_ms.map(|queued_ms| now_ms - queued_ms);
    tx.tally().claimed(class.as_str(), waited_ms);
    tx.wake_pipeline(next.pipeline.as_str());
    tracing::info!(task.id = %next.task, %allocation, runner = runner.name, "claimed");
    Ok(Some(answer_of(app, class, next, allocation, token)))
}

/// Makes the answer to a claim that brings a task.
fn answer_of(
    app: &App,
    class: &ResourceClass,
    task: Claimed,
    allocation: AllocationId,
    token: Secret,
) -> ClaimResponse {
    let url = app.public_url.as_ref().map(|origin| format!("{origin}/jobs/{}", task.job));
    ClaimResponse {
        task_token: token,
        allocation,
        agent_version: String::new(),
        resource_class: class.to_string(),
        is_enterprise: false,
        warning: None,
        task_id: Some(task.task),
        project: Some(task.project),
        job: Some(task.job_name),
        node_index: Some(task.node_index),
        node_total: Some(task.node_total),
        branch: task.branch,
        tag: task.tag,
        from_fork: Some(task.from_fork),
        heartbeat_ms: Some(leases::heartbeat_ms(app.lease_ms)),
        url,
    }
}
