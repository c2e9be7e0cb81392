//! `GET /v1/tasks/{id}/log`: what a task that runs has said, and what it says, and the end of what
//! one said that has ended; as it came from its steps with secrets masked.
//!
//! Reading it is `output/`'s business. Job output is for root and operators,
//! whatever `local_api.open` says.

use std::io::{self, Read as _};
use std::path::PathBuf;
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use russet_protocol::ids::TaskId;
#[cfg(test)]
use russet_protocol::problem::Problem;
use serde::Deserialize;

use super::access::Access;
use super::listener::Peer;
use super::reading::{Reader, read_apart};
use super::state::{Api, problem};
use crate::output::{OutputReader, Spool, open_kept};

/// Bytes of the output so far that are given.
const MAX_BYTES_BEFORE: u64 = 1024 * 1024;

/// Between two looks, while somebody follows. A watch of the kernel's would follow a link that
/// a job puts there; a look opens none.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// Request.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asked {
    /// Goes on until the task ends.
    #[cfg_attr(test, param(required = false))]
    follow: bool,
}

/// Output of a running task: the last mebibyte of it and, where it is followed, the rest. Of one of
/// the last 50 tasks that ended, the last 256 KiB. A line `== step N` stands before the output of
/// another step. All of what a task said is with the control plane.
#[cfg_attr(test, utoipa::path(
    get, path = "/v1/tasks/{id}/log", tag = "look",
    params(("id" = TaskId, Path, description = "The task, as the status calls it"), Asked),
    responses(
        (status = 200, description = "Its output, masked", content_type = "text/plain", body = String),
        (status = 400, description = "Something else was asked for", body = Problem),
        (status = 403, description = "The caller is neither root nor an operator", body = Problem),
        (status = 404, description = "No such task runs here, or ended here lately", body = Problem),
    ),
))]
pub(super) async fn task_log(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Extension(access): Extension<Access>,
    Path(id): Path<TaskId>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let path = format!("/v1/tasks/{id}/log");
    let reader = Reader { uid: peer.uid, access, path: &path, subject: "what tasks say" };
    let asked = match reader.check(&api, asked) {
        Ok(asked) => asked,
        Err(refusal) => return *refusal,
    };
    match slot_of(&api, &id) {
        Some(slot) => answer_running(api, id, slot, asked.follow).await,
        None => answer_ended(&api, id).await,
    }
}

/// Streams the output of a running task.
async fn answer_running(api: Api, id: TaskId, slot: u32, follow: bool) -> Response {
    let data: PathBuf = api.data.as_ref().clone();
    let opened = read_apart(move || {
        let spool = Spool::open(&data, slot)?;
        let mut reading = OutputReader::default();
        reading.open(&spool);
        reading.skip_to_last(MAX_BYTES_BEFORE);
        Ok((spool, reading))
    });
    match opened.await {
        Ok((spool, reading)) => {
            let tail = Tail { api, id, follow, spool, reading };
            text_response(Body::from_stream(futures_util::stream::try_unfold(tail, Tail::next)))
        }
        Err(error) => unreadable_response(&error),
    }
}

/// Returns the kept output of a task that has ended.
async fn answer_ended(api: &Api, id: TaskId) -> Response {
    let state: PathBuf = api.state.as_ref().clone();
    let read = read_apart(move || {
        let Some(mut file) = open_kept(&state, &id)? else { return Ok(None) };
        let mut all = Vec::new();
        file.read_to_end(&mut all)?;
        Ok(Some(all))
    });
    match read.await {
        Ok(Some(all)) => text_response(all.into()),
        Ok(None) => {
            let message = "no such task runs here or is one of the last that ended here; the control \
                           plane has the logs of all";
            problem(StatusCode::NOT_FOUND, message)
        }
        Err(error) => unreadable_response(&error),
    }
}

fn text_response(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response()
}

fn unreadable_response(error: &io::Error) -> Response {
    let message = format!("what the task says cannot be read: {error}");
    problem(StatusCode::INTERNAL_SERVER_ERROR, &message)
}

/// Returns the slot in which a task runs.
fn slot_of(api: &Api, id: &TaskId) -> Option<u32> {
    let mut slots = api.shown.board().status().slots.into_iter();
    slots
        .find(|slot| slot.task.as_ref().and_then(|task| task.id.as_ref()) == Some(id))
        .map(|it| it.number)
}

/// Position of a client.
struct Tail {
    api: Api,
    id: TaskId,
    follow: bool,
    spool: Spool,
    reading: OutputReader,
}

impl Tail {
    /// The next piece. It is made when the client has taken the one before it.
    async fn next(self) -> io::Result<Option<(Bytes, Self)>> {
        let Self { api, id, follow, mut spool, mut reading } = self;
        loop {
            // Looked at first: what was written before the task ended is read once more.
            let runs = slot_of(&api, &id).is_some();
            let piece;
            (spool, reading, piece) = read_apart(move || {
                if runs {
                    reading.open(&spool);
                }
                let piece = reading.next_piece();
                Ok((spool, reading, piece))
            })
            .await?;
            if !piece.is_empty() {
                let tail = Self { api, id, follow, spool, reading };
                return Ok(Some((piece.into(), tail)));
            }
            if !(runs && follow) {
                return Ok(None);
            }
            // The plain timer: nothing is due at a certain time.
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }
}
