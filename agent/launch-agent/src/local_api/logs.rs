//! `GET /v1/logs`: the end of the agent's log, and what is added to it, a JSON object a line.
//!
//! Whoever asks reads the files, not the logger: a client that never reads its answer keeps a few
//! kilobytes here and delays nobody. Files are read off the agent's own thread.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::Stream;
use russet_protocol::local::{LogLevel, LogLine};
#[cfg(test)]
use russet_protocol::problem::Problem;
use serde::Deserialize;

use super::access::Access;
use super::listener::Peer;
use super::reading::{Reader, read_apart};
use super::state::{Api, problem};
use crate::logs::{Follower, Wanted, read_history};
use russet_platform::FileWatch;

/// Number of lines by default, and at most.
const DEFAULT_LINES: usize = 200;
const MAX_LINES: usize = 10_000;

/// Bytes of each file that are looked at.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Request.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asked {
    /// Number of last lines, at most 10000; 200 unless given.
    lines: Option<usize>,
    /// Goes on with each line that is written.
    #[cfg_attr(test, param(required = false))]
    follow: bool,
    /// Nothing that was said before this, in milliseconds since 1970.
    since_ms: Option<u64>,
    /// Nothing that is less important.
    level: Option<LogLevel>,
}

/// The end of the agent's log and, where it is followed, what is added to it: a JSON object a line.
/// Lines name projects, users and hosts, so they are for those who may do everything.
#[cfg_attr(test, utoipa::path(
    get, path = "/v1/logs", tag = "look", params(Asked),
    responses(
        (status = 200, description = "A line each", content_type = "application/x-ndjson", body = LogLine),
        (status = 400, description = "Something else was asked for", body = Problem),
        (status = 403, description = "The caller is neither root nor an operator", body = Problem),
        (status = 404, description = "The agent logs to no file, or has not yet", body = Problem),
    ),
))]
pub(super) async fn logs(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Extension(access): Extension<Access>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let reader = Reader { uid: peer.uid, access, path: "/v1/logs", subject: "the log" };
    let asked = match reader.check(&api, asked) {
        Ok(asked) => asked,
        Err(refusal) => return *refusal,
    };
    let Some(path) = api.log.as_deref().cloned() else {
        let message = "this agent logs to standard error; `logging.file` names a file instead";
        return problem(StatusCode::NOT_FOUND, message);
    };
    match begin_reading(path.clone(), &asked).await {
        Ok(stream) => {
            let kind = (header::CONTENT_TYPE, "application/x-ndjson");
            ([kind], Body::from_stream(stream)).into_response()
        }
        Err(error) => {
            let status = match error.kind() {
                ErrorKind::NotFound => StatusCode::NOT_FOUND,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            problem(status, &format!("{} cannot be read: {error}", path.display()))
        }
    }
}

/// Position of a client.
struct Reading {
    /// Lines that it gets next.
    lines: Vec<LogLine>,
    /// Gone where a file is read at the moment, or the end was reached.
    follower: Option<Follower>,
    /// Only for those who follow.
    watch: Option<FileWatch>,
}

async fn begin_reading(
    path: PathBuf,
    asked: &Asked,
) -> io::Result<impl Stream<Item = io::Result<Bytes>> + use<>> {
    // Before it is read: what is written meanwhile is not missed.
    let watch = if asked.follow { Some(FileWatch::new(&path)?) } else { None };
    let wanted = Wanted {
        lines: Some(asked.lines.unwrap_or(DEFAULT_LINES).min(MAX_LINES)),
        since_ms: asked.since_ms,
        level: asked.level,
        most_bytes: MAX_BYTES,
    };
    let (lines, follower) = read_apart(move || read_history(&path, wanted)).await?;
    let reading = Reading { lines, follower: Some(follower), watch };
    Ok(futures_util::stream::try_unfold(reading, next_lines))
}

/// The next piece. It is made when the client has taken the one before it.
async fn next_lines(mut reading: Reading) -> io::Result<Option<(Bytes, Reading)>> {
    while reading.lines.is_empty() {
        let Some(watch) = &mut reading.watch else { return Ok(None) };
        let Some(mut follower) = reading.follower.take() else { return Ok(None) };
        let (more, follower) = read_apart(move || Ok((follower.more()?, follower))).await?;
        reading.follower = Some(follower);
        match more {
            Some(lines) => reading.lines = lines,
            None => watch.changed().await?,
        }
    }
    let mut text = Vec::new();
    for line in reading.lines.drain(..) {
        serde_json::to_writer(&mut text, &line)?;
        text.push(b'\n');
    }
    Ok(Some((Bytes::from(text), reading)))
}
