//! Calls of task agents about SSH: `POST /api/v3/task/ssh`, `…/hold`, `…/sessions`.
//!
//! Threat: a job can speak as its own task agent. So what is said here is bounded, is about that one task,
//! and gives nobody any right.

use std::net::{IpAddr, SocketAddr};

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::StatusCode;
use russet_protocol::people::AuditItem;
use russet_protocol::ssh::{HoldOrders, HoldReport, SessionReport, SshReady};
use russet_text::one_line_within;
use serde_json::json;

use crate::api::bearer::TaskCaller;
use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::audit::new_event;
use crate::people::namespace_of;
use crate::public_key::is_host_key;
use crate::state::App;
use crate::store::task_ssh::{self, Noted};
use crate::store::{Held, WriteTx, audit_events, names, ssh_accesses};

/// The most characters of a name or an address.
const MAX_CHARS: usize = 255;

/// The most characters of the id of a session.
const MAX_ID_CHARS: usize = 64;

/// The most sessions of a task that the audit log has.
const MAX_SESSIONS: u64 = 500;

fn no_access() -> ApiError {
    ApiError::Conflict("the task is not one that people reach by SSH".to_owned())
}

pub(super) fn not_ready() -> ApiError {
    ApiError::Conflict("the task has not said that it can be reached".to_owned())
}

/// Notes that the task can be reached.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/task/ssh", tag = "agent", operation_id = "ssh_ready",
    request_body = russet_protocol::ssh::SshReady,
    responses((status = 204, description = "Noted"), (status = 400, description = "The host key is none", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "The allocation is stale, or the task has no SSH", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn ready(
    State(app): State<App>,
    caller: TaskCaller,
    Json(ready): Json<SshReady, SMALL>,
) -> Result<StatusCode, ApiError> {
    // They end up in files and arguments of people's `ssh`.
    if !is_host_key(&ready.host_key) {
        return Err(ApiError::Bad("host_key: it is not a line of OpenSSH".to_owned()));
    }
    if !is_plain(&ready.user) || !ready.address.as_deref().is_none_or(is_plain) {
        return Err(ApiError::Bad(
            "user, address: they have other characters than names".to_owned(),
        ));
    }
    let mut tx = app.store.write().await?;
    let held = caller.lock(&mut tx, None).await?;
    if ssh_accesses::of_job(&mut tx, &held.job).await?.is_none() {
        return Err(no_access());
    }
    task_ssh::set_ready(&mut tx, &held.task, &held.allocation, &ready).await?;
    tx.wake_pipeline(held.pipeline.as_str());
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns true for a name or an address that is nothing else for any shell or `ssh`.
fn is_plain(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-:[]".contains(c);
    (1..=MAX_CHARS).contains(&text.len()) && text.chars().all(is_plain) && !text.starts_with('-')
}

/// Notes how the hold of the task goes. Answers what people asked of it.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/task/ssh/hold", tag = "agent", operation_id = "ssh_hold",
    request_body = russet_protocol::ssh::HoldReport,
    responses((status = 200, description = "What people asked", body = russet_protocol::ssh::HoldOrders), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "The allocation is stale, or the task has not said that it can be reached", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn hold(
    State(app): State<App>,
    caller: TaskCaller,
    Json(report): Json<HoldReport, SMALL>,
) -> Result<JsonAnswer<HoldOrders>, ApiError> {
    let mut tx = app.store.write().await?;
    let held = caller.lock(&mut tx, None).await?;
    let orders = task_ssh::note_hold(&mut tx, &held.task, &report, app.clock.wall_ms()).await?;
    let orders = orders.ok_or_else(not_ready)?;
    tx.wake_pipeline(held.pipeline.as_str());
    tx.commit().await?;
    Ok(JsonAnswer(orders))
}

/// Writes the begin or the end of a session into the audit log, once.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/task/ssh/sessions", tag = "agent", operation_id = "ssh_session",
    request_body = russet_protocol::ssh::SessionReport,
    responses((status = 204, description = "Noted"), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "The allocation is stale, or the task has no SSH", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn session(
    State(app): State<App>,
    caller: TaskCaller,
    Json(report): Json<SessionReport, SMALL>,
) -> Result<StatusCode, ApiError> {
    let id = one_line_within(&report.id, MAX_ID_CHARS);
    let mut tx = app.store.write().await?;
    let held = caller.lock(&mut tx, None).await?;
    let Some(access) = ssh_accesses::of_job(&mut tx, &held.job).await? else {
        return Err(no_access());
    };
    let has_ended = report.ended_ms.is_some();
    let noted = task_ssh::note_session(&mut tx, &held.task, &id, has_ended, MAX_SESSIONS).await?;
    match noted {
        Noted::New => {
            let event = event_of(&app, &mut tx, &held, (&access.person, &id), &report).await?;
            audit_events::insert(&mut tx, &event).await?;
            tx.commit().await?;
        }
        Noted::Known => {}
        Noted::TooMany => {
            let task = &held.task;
            tracing::warn!(task.id = %task, "a task reports more sessions of SSH than are kept");
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The event of a session: who, from where, when, how long and how many bytes; nothing of what was said.
async fn event_of(
    app: &App,
    tx: &mut WriteTx,
    held: &Held,
    (person, session): (&str, &str),
    report: &SessionReport,
) -> Result<AuditItem, ApiError> {
    let means = format!("SSH key {}", one_line_within(&report.key, MAX_CHARS));
    let operation =
        if report.ended_ms.is_some() { "SSH session ended" } else { "SSH session began" };
    let target = format!("/api/v3/jobs/{}/ssh", held.job);
    let event = new_event(app, (person, &means), address_of(&report.from), operation, &target);
    let project = names::project_of_job(tx, &held.job).await?.unwrap_or_default();
    let seconds = report.ended_ms.map(|end| end.saturating_sub(report.started_ms) / 1000);
    let after = json!({
        "session": session,
        "task": held.task,
        "runner": held.runner,
        "from": one_line_within(&report.from, MAX_CHARS),
        "started_ms": report.started_ms,
        "ended_ms": report.ended_ms,
        "seconds": seconds,
        "bytes_in": report.bytes_in,
        "bytes_out": report.bytes_out,
    });
    Ok(AuditItem { namespace: namespace_of(&project), after: Some(after), ..event })
}

/// Reads an address, with or without a port.
fn address_of(text: &str) -> Option<IpAddr> {
    let with_port = text.parse::<SocketAddr>().map(|address| address.ip());
    text.parse().or(with_port).ok()
}

#[cfg(test)]
mod tests {
    use super::{address_of, is_plain};

    #[test]
    fn what_could_be_more_than_a_name_to_a_shell_or_to_ssh_is_refused() {
        for good in ["ci", "_russet1", "mini-1.local:2222", "[::1]:22"] {
            assert!(is_plain(good), "{good}");
        }
        for bad in ["", "-oProxyCommand=x", "a b", "a;b", "a\nb", "$(x)", "a@b", &"a".repeat(300)] {
            assert!(!is_plain(bad), "{bad}");
        }
    }

    #[test]
    fn addresses_are_read_with_and_without_a_port() {
        assert_eq!(address_of("10.0.0.7").unwrap().to_string(), "10.0.0.7");
        assert_eq!(address_of("10.0.0.7:22").unwrap().to_string(), "10.0.0.7");
        assert_eq!(address_of("[::1]:22").unwrap().to_string(), "::1");
        assert_eq!(address_of("somewhere"), None);
    }
}
