//! `GET /v1/tasks/{id}/log`: what a task that runs has said, and what it says, as it came from its
//! steps with secrets masked.
//!
//! It is read from the task's spool, which its user may change as they like: files are opened as
//! theirs or not at all (`launch/dirs.rs`), and their bytes are passed on and not looked at. Job
//! output is for root and operators, whatever `local_api.open` says.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
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
use super::routes::{Api, problem};
use crate::launch::Spool;

/// So much of what was said before is given.
const MOST_BEFORE: u64 = 1024 * 1024;

/// The largest piece. A client that never reads keeps one of them here.
const PIECE: usize = 64 * 1024;

/// Steps beyond this are not shown. Each has an open file while somebody looks.
const MOST_STEPS: usize = 256;

/// Between two looks, while somebody follows. A watch of the kernel's would follow a link that
/// a job puts there; a look opens none.
const PAUSE: Duration = Duration::from_millis(200);

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams), into_params(parameter_in = Query))]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asked {
    /// Whether to go on until the task ends.
    #[cfg_attr(test, param(required = false))]
    follow: bool,
}

/// What a task that runs has said: the last mebibyte of it and, where it is followed, the rest. A
/// line `== step N` stands before the output of another step. What a task that has ended said is
/// known to the control plane alone.
#[cfg_attr(test, utoipa::path(
    get, path = "/v1/tasks/{id}/log", tag = "look",
    params(("id" = TaskId, Path, description = "The task, as the status calls it"), Asked),
    responses(
        (status = 200, description = "Its output, masked", content_type = "text/plain", body = String),
        (status = 400, description = "Something else was asked for", body = Problem),
        (status = 403, description = "The caller is neither root nor an operator", body = Problem),
        (status = 404, description = "No such task runs here", body = Problem),
    ),
))]
pub(super) async fn task_log(
    State(api): State<Api>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    Extension(access): Extension<Access>,
    Path(id): Path<TaskId>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Response {
    let asked = match asked {
        Ok(Query(asked)) => asked,
        Err(wrong) => return problem(StatusCode::BAD_REQUEST, &wrong.body_text()),
    };
    if access != Access::Full {
        api.audit.refused(peer.uid, "GET", &format!("/v1/tasks/{id}/log"));
        let message = "only root and operators (`local_api.operators`) may read what tasks say";
        return problem(StatusCode::FORBIDDEN, message);
    }
    let Some(slot) = slot_of(&api, &id) else {
        let message = "no such task runs here; the control plane has the logs of those that ended";
        return problem(StatusCode::NOT_FOUND, message);
    };
    let state: PathBuf = api.state.as_ref().clone();
    let opened = apart(move || {
        let spool = Spool::open(&state, slot)?;
        let mut reading = Reading::default();
        reading.open(&spool);
        reading.skip();
        Ok((spool, reading))
    });
    match opened.await {
        Ok((spool, reading)) => {
            let tail = Tail { api, id, follow: asked.follow, spool, reading };
            let kind = (header::CONTENT_TYPE, "text/plain; charset=utf-8");
            let body = Body::from_stream(futures_util::stream::try_unfold(tail, Tail::next));
            ([kind], body).into_response()
        }
        Err(error) => {
            let message = format!("what the task says can not be read: {error}");
            problem(StatusCode::INTERNAL_SERVER_ERROR, &message)
        }
    }
}

/// Where a task runs.
fn slot_of(api: &Api, id: &TaskId) -> Option<u32> {
    let mut slots = api.shown.board().status().slots.into_iter();
    slots
        .find(|slot| slot.task.as_ref().and_then(|task| task.id.as_ref()) == Some(id))
        .map(|it| it.number)
}

/// Where a client is.
struct Tail {
    api: Api,
    id: TaskId,
    follow: bool,
    spool: Spool,
    reading: Reading,
}

impl Tail {
    /// The next piece. It is made when the client has taken the one before it.
    async fn next(self) -> io::Result<Option<(Bytes, Self)>> {
        let Self { api, id, follow, mut spool, mut reading } = self;
        loop {
            // Looked at first: what was written before the task ended is read once more.
            let runs = slot_of(&api, &id).is_some();
            let piece;
            (spool, reading, piece) = apart(move || {
                if runs {
                    reading.open(&spool);
                }
                let piece = reading.piece();
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
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The files of a task's steps, and how far each is read. They stay open, so that what is in
/// them is there also when the task has ended and its files are gone.
#[derive(Debug, Default)]
struct Reading {
    steps: BTreeMap<u32, (File, u64)>,
    last: Option<u32>,
}

impl Reading {
    /// Opens what is new. What can not be opened is none of ours.
    fn open(&mut self, spool: &Spool) {
        for number in spool.steps(MOST_STEPS).unwrap_or_default() {
            if !self.steps.contains_key(&number)
                && self.steps.len() < MOST_STEPS
                && let Ok(file) = spool.step(number)
            {
                self.steps.insert(number, (file, 0));
            }
        }
    }

    /// Goes to where [`MOST_BEFORE`] is left.
    fn skip(&mut self) {
        let mut left = MOST_BEFORE;
        for (file, at) in self.steps.values_mut().rev() {
            let length = file.metadata().map_or(0, |data| data.len());
            *at = length.saturating_sub(left);
            left = left.saturating_sub(length);
        }
    }

    /// What is next of the first step that has more; nothing: no step has.
    fn piece(&mut self) -> Vec<u8> {
        let mut buffer = vec![0; PIECE];
        for (&number, (file, at)) in &mut self.steps {
            let Ok(length @ 1..) = file.read_at(&mut buffer, *at) else { continue };
            *at = at.saturating_add(u64::try_from(length).unwrap_or_default());
            let mut piece = Vec::new();
            if self.last.replace(number) != Some(number) {
                piece.extend_from_slice(format!("== step {number}\n").as_bytes());
            }
            piece.extend_from_slice(buffer.get(..length).unwrap_or_default());
            return piece;
        }
        Vec::new()
    }
}

/// Reads files on another thread.
async fn apart<T: Send + 'static>(
    read: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::{MOST_BEFORE, Reading};
    use crate::launch::Spool;

    fn spool() -> (tempfile::TempDir, std::path::PathBuf, Spool) {
        let state = tempfile::tempdir().unwrap();
        let dir = state.path().join("slots/1/spool");
        std::fs::create_dir_all(&dir).unwrap();
        let spool = Spool::open(state.path(), 1).unwrap();
        (state, dir, spool)
    }

    fn all(reading: &mut Reading) -> String {
        let pieces = std::iter::from_fn(|| Some(reading.piece()).filter(|piece| !piece.is_empty()));
        String::from_utf8(pieces.flatten().collect()).unwrap()
    }

    #[test]
    fn steps_are_told_in_their_order_and_each_goes_on_where_it_was() {
        let (_state, dir, spool) = spool();
        let mut reading = Reading::default();
        std::fs::write(dir.join("10.log"), "ten\n").unwrap();
        std::fs::write(dir.join("2.log"), "two\n").unwrap();
        std::fs::write(dir.join("reserve"), "no log").unwrap();
        reading.open(&spool);
        reading.skip();
        assert_eq!(all(&mut reading), "== step 2\ntwo\n== step 10\nten\n");
        std::fs::write(dir.join("10.log"), "ten\nmore\n").unwrap();
        // What was written before the files went away is still told.
        std::fs::remove_file(dir.join("10.log")).unwrap();
        assert_eq!(all(&mut reading), "more\n");
    }

    #[test]
    fn of_what_was_said_before_the_end_is_told() {
        let (_state, dir, spool) = spool();
        let length = usize::try_from(MOST_BEFORE).unwrap();
        std::fs::write(dir.join("0.log"), vec![b'x'; length]).unwrap();
        std::fs::write(dir.join("1.log"), vec![b'y'; length / 2]).unwrap();
        let mut reading = Reading::default();
        reading.open(&spool);
        reading.skip();
        let text = all(&mut reading);
        let count = |c: char| text.chars().filter(|it| *it == c).count();
        assert_eq!((count('x'), count('y')), (length / 2, length / 2));
    }

    #[test]
    fn a_link_a_second_name_and_a_fifo_in_the_place_of_output_are_not_read() {
        let (state, dir, spool) = spool();
        let secret = state.path().join("secret");
        std::fs::write(&secret, "secret").unwrap();
        symlink(&secret, dir.join("0.log")).unwrap();
        std::fs::hard_link(&secret, dir.join("1.log")).unwrap();
        nix::unistd::mkfifo(&dir.join("2.log"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::fs::write(dir.join("3.log"), "ours").unwrap();
        let mut reading = Reading::default();
        reading.open(&spool);
        assert_eq!(all(&mut reading), "== step 3\nours");
    }
}
