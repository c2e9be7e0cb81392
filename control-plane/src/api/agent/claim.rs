//! `POST /api/v3/runner/claim`.

use std::time::Duration;

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use russet_protocol::ids::AllocationId;
use russet_protocol::resource_class::ResourceClass;
use russet_protocol::runner::{ClaimRequest, ClaimResponse};

use crate::api::bearer::ClassCaller;
use crate::api::body::{Json, MEDIUM};
use crate::api::error::ApiError;
use crate::api::prefer;
use crate::contention;
use crate::credentials::{TokenHash, TokenKind, new_token};
use crate::scheduler::leases;
use crate::state::App;
use crate::store::{WriteTx, jobs, line, runners, tasks, tokens, workflows};

/// The longest that a runner's name may be, in bytes.
const NAME_LIMIT: usize = 255;

/// Time after which tasks are looked at again that others were about to take.
const PASSED_OVER_PAUSE: Duration = Duration::from_millis(50);

/// Gives the runner the task that stands first in the line of its class among those whose Xcode it
/// has, or 204; registers the runner either way.
///
/// A call that is dropped while it waits takes nothing: a task is given away in one transaction
/// right before the answer. If that answer does not arrive, the lease puts the task back.
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
    check_name(&runner.name)?;
    let patience = tokio::time::sleep(prefer::preferred_wait(&headers));
    tokio::pin!(patience);
    let mut place = app.bus().lines.stand(class.as_str());
    let mut first = true;
    loop {
        place.begin_look();
        let rest = app.rests.end(class.as_str(), &runner.name, app.clock.steady_ms());
        let has_looked = rest.is_none();
        let is_news = first && !is_registered(&app, &class, &runner).await?;
        let mut again = None;
        // A look that locks nothing comes first: claims that find nothing must not keep others from
        // writing.
        if is_news || (has_looked && may_get(&app, &hash, &class, &runner).await?) {
            let attempt = || try_claim(&app, &hash, &class, &runner, is_news);
            match contention::retry(attempt).await? {
                Look::Task(task) => {
                    place.end_look();
                    return Ok(JsonAnswer(*task).into_response());
                }
                Look::PassedOver => again = Some(PASSED_OVER_PAUSE),
                Look::Nothing => {}
            }
        }
        first = false;
        // It may have begun while this looked.
        let rest = app.rests.end(class.as_str(), &runner.name, app.clock.steady_ms());
        match rest {
            Some(_) => place.step_aside(),
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
            () = &mut patience => return Ok(StatusCode::NO_CONTENT.into_response()),
            () = app.closed() => return Ok(StatusCode::NO_CONTENT.into_response()),
        }
    }
}

/// The characters that CircleCI allows in names of runners.
pub(super) fn check_name(name: &str) -> Result<(), ApiError> {
    let allowed = |c: char| c.is_alphanumeric() || ".()-_ ".contains(c);
    if name.is_empty() || name.len() > NAME_LIMIT || !name.chars().all(allowed) {
        return Err(ApiError::Bad(format!(
            "name: `{}` is not a runner's name: letters, digits and `.()-_`, {NAME_LIMIT} at most",
            name.chars().take(NAME_LIMIT).collect::<String>().escape_debug(),
        )));
    }
    Ok(())
}

/// Returns true where a task is queued, as far as a look tells that locks nothing. An error says
/// that the token was revoked.
async fn may_get(
    app: &App,
    hash: &TokenHash,
    class: &ResourceClass,
    runner: &ClaimRequest,
) -> Result<bool, ApiError> {
    let mut conn = app.store.read().await?;
    if tokens::class_of(&mut conn, hash).await?.as_ref() != Some(class) {
        return Err(ApiError::Token);
    }
    Ok(line::is_any_queued(&mut conn, class, runner.xcodes.as_deref()).await?)
}

/// Returns true where another claim of the runner has just said the same: a machine has one for
/// each of its slots, and all come at once.
async fn is_registered(
    app: &App,
    class: &ResourceClass,
    runner: &ClaimRequest,
) -> Result<bool, ApiError> {
    let mut conn = app.store.read().await?;
    Ok(runners::is_registered(&mut conn, class, runner, app.clock.wall_ms()).await?)
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
    // A token that is revoked while its claim waits gets nothing any more.
    if tokens::class_of(&mut tx, hash).await?.as_ref() != Some(class) {
        return Err(ApiError::Token);
    }
    // Under the lock: a task that this runner gives back meanwhile goes to another one.
    let rests = app.rests.end(class.as_str(), &runner.name, app.clock.steady_ms()).is_some();
    // On a full disk nothing that the task says could be acknowledged.
    let is_barred = app.space.is_short() || rests;
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
    let allocation = AllocationId::generate();
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
    tx.wake_pipeline(next.pipeline.as_str());
    tracing::info!(task.id = %next.task, %allocation, runner = runner.name, "claimed");
    let url = app.public_url.as_ref().map(|origin| format!("{origin}/jobs/{}", next.job));
    Ok(Some(ClaimResponse {
        task_token: token,
        allocation,
        agent_version: String::new(),
        resource_class: class.to_string(),
        is_enterprise: false,
        warning: None,
        task_id: Some(next.task),
        project: Some(next.project),
        job: Some(next.job_name),
        node_index: Some(next.node_index),
        node_total: Some(next.node_total),
        branch: next.branch,
        tag: next.tag,
        from_fork: Some(next.from_fork),
        heartbeat_ms: Some(leases::heartbeat_ms(app.lease_ms)),
        url,
    }))
}
