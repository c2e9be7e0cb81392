//! `POST /api/v3/runner/claim`.

mod repeats;
mod turn;

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
use crate::machines::MAX_LIFTED;
use crate::scheduler::leases;
use crate::state::App;
use crate::store::tokens::KnownToken;
use crate::store::{Claimed, Conn, pauses, runner_names, runners};
use turn::{Claimant, Turn, take_turn};

/// Gives the runner the task that stands first in the line of its class among those whose Xcode it
/// has and whose need for SSH it meets, or 204; registers the runner either way.
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
    // An agent that knows of pauses says which one it knows, and is told at once of another.
    let known = headers.get(PAUSE_HEADER).and_then(|id| id.to_str().ok()).map(str::to_owned);
    // A runner that is killed is to be known as lost within a minute.
    let longest = Duration::from_millis(u64::try_from(app.silence.claim_ms).unwrap_or_default());
    let wait = prefer::preferred_wait(&headers).min(longest);
    // While it waits it keeps as little as it can, thousands do: not the head of the request, whose
    // values are pieces of the buffer that it was read into, and none of the futures before.
    drop(headers);
    let (conn, mut claimant) = match Box::pin(begin(&app, caller, known, runner)).await? {
        Begun::Waits(conn, claimant) => (conn, claimant),
        Begun::Answered(answer) => return Ok(answer),
    };
    // From when it can be given a task: with thousands at once, to be admitted takes its time.
    let patience = tokio::time::sleep(wait);
    tokio::pin!(patience);
    let mut place = app.bus().lines.stand(claimant.class.as_str());
    // A look has one connection, the first one that of the questions before: taking one costs about as
    // much as a statement.
    let mut first_conn = Some(conn);
    loop {
        let wait = match Box::pin(take_turn(&app, &claimant, &mut place, first_conn.take())).await?
        {
            Turn::Over(answer) => return Ok(answer),
            Turn::Again => continue,
            Turn::Waits(wait) => wait,
        };
        claimant.forget_report();
        let rested = async {
            match wait.rest {
                Some(until) => app.clock.sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let passed = async {
            match wait.again {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = place.woken() => {}
            () = rested => {}
            () = passed => {}
            () = &mut patience => return Ok(no_work(&wait.pause)),
            () = app.closed() => return Ok(no_work(&wait.pause)),
        }
    }
}

/// Beginning of a claim.
enum Begun {
    Waits(Conn, Box<Claimant>),
    /// It was made before, and gets its task again.
    Answered(Response),
}

async fn begin(
    app: &App,
    caller: ClassCaller,
    known: Option<String>,
    runner: ClaimRequest,
) -> Result<Begun, ApiError> {
    let ClassCaller { hash, class } = caller;
    let mut conn = app.store.read().await?;
    let runner = admit_runner(app, &mut conn, &class, runner).await?;
    if let Some(task) = repeats::find_lost_task(app, &mut conn, &hash, &class, &runner).await? {
        let pause = pause_of(app, &mut conn, &class, &runner.name).await?;
        let answer = ([(PAUSE_HEADER, pause)], JsonAnswer(task)).into_response();
        return Ok(Begun::Answered(answer));
    }
    Ok(Begun::Waits(conn, Box::new(Claimant { hash, class, known, runner })))
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
fn check_token(
    app: &App,
    known: Option<&KnownToken>,
    class: &ResourceClass,
) -> Result<(), ApiError> {
    match known {
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
