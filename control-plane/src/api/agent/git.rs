//! `GET /api/v3/task/git`: the WebSocket at which git in a task reads the history of its project's
//! repository.
//!
//! The project is that of the task's job, whatever its git asks for. A task of a fork gets nothing: whoever
//! can open a pull request could write a step that takes a private history away.

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use russet_protocol::task::JobInfo;

use super::ssh_tunnel::wait_for_end;
use crate::api::bearer::TaskCaller;
use crate::api::error::ApiError;
use crate::git::{GitError, GitTalk, HistoryWish};
use crate::projects::{AccessError, open_for_git};
use crate::state::App;
use crate::store::git_connections::{self, StoredConnection};
use crate::store::{Conn, Held, StoreError, jobs, pipelines};
use crate::tunnels::{Stop, close_with, join_talk, keep_alive, with_limits};

/// Most characters of a message to git, whose packets have at most 65,516 bytes.
const MAX_MESSAGE_CHARS: usize = 4000;

/// Repository of a task's project, and the commit that the task is of.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) url: String,
    connection: StoredConnection,
    revision: String,
}

/// Returns the repository whose history a task may read, if there is one.
pub(super) async fn find_origin(
    conn: &mut Conn,
    held: &Held,
    info: &JobInfo,
) -> Result<Option<Origin>, StoreError> {
    let (Some(url), Some(revision)) = (&info.repository_url, &info.revision) else {
        return Ok(None);
    };
    let connection = git_connections::get(conn, &info.project).await?;
    // A snapshot that somebody submitted may be of another repository.
    let Some(connection) = connection.filter(|of| of.item.url == *url) else { return Ok(None) };
    if pipelines::is_from_fork(conn, &held.pipeline).await? {
        return Ok(None);
    }
    Ok(Some(Origin { url: url.clone(), connection, revision: revision.clone() }))
}

/// Reason why the history cannot be read.
#[derive(Debug, thiserror::Error)]
enum HistoryError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("its disk is nearly full")]
    NoSpace,
}

impl HistoryError {
    /// Returns the message for people, with the next step.
    fn words(&self) -> String {
        let hint = match self {
            Self::Git(error) => error.hint().map(str::to_owned),
            Self::Access(error) => error.hint(),
            Self::NoSpace => {
                Some("`russet server doctor` there says how much is to be freed".to_owned())
            }
        };
        let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("the server has no history of the repository: {self}{hint}")
    }
}

/// Lets git in a task read the history of its project's repository: what `git-upload-pack` says and is
/// told, in binary frames, an empty one at the end of that. It begins once the server has asked the repository what is new, which takes a
/// while the first time; an error is a packet that git shows.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/task/git", tag = "agent", operation_id = "git_read",
    responses((status = 101, description = "The WebSocket"), (status = 400, description = "It is not a WebSocket", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, the caller may not see it, or the task has no repository to read", body = russet_protocol::problem::Problem), (status = 409, description = "The allocation is stale", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn read(
    State(app): State<App>,
    caller: TaskCaller,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    caller.check(None)?;
    let upgrade = upgrade.map_err(|error| ApiError::Bad(error.body_text()))?;
    let mut conn = app.store.read().await?;
    let info = jobs::surroundings(&mut conn, &caller.held.job).await?.info;
    let origin = find_origin(&mut conn, &caller.held, &info).await?;
    drop(conn);
    let origin = origin.ok_or_else(|| {
        let why =
            "the server has no repository for this task; connect its project: russet project add";
        ApiError::NotFound(why.to_owned())
    })?;
    Ok(with_limits(upgrade).on_upgrade(move |socket| serve_task(app, caller, origin, socket)))
}

async fn serve_task(app: App, caller: TaskCaller, origin: Origin, mut socket: WebSocket) {
    let _counted = app.tunnels.count();
    let ended = wait_for_end(&app, &caller);
    tokio::pin!(ended);
    let begun = tokio::select! {
        biased;
        why = &mut ended => return close_with(&mut socket, why).await,
        begun = begin(&app, &origin) => begun,
        why = keep_alive(&mut socket) => return close_with(&mut socket, why).await,
    };
    let task = caller.held.task.as_str();
    match begun {
        Ok((_turn, talk)) => {
            let GitTalk { stdin, stdout, process: _process } = talk;
            let why = join_talk(socket, (stdin, stdout), ended).await;
            tracing::debug!(task.id = task, ?why, "git has read a history");
        }
        Err(error) => {
            tracing::warn!(task.id = task, "git cannot read a history: {error}");
            let packet = Message::Binary(error_packet(&error.words()).into());
            // One that is gone needs no reason.
            drop(socket.send(packet).await);
            close_with(&mut socket, Stop::Closed).await;
        }
    }
}

/// Brings the mirror up to date, and begins to serve it.
async fn begin<'a>(
    app: &'a App,
    of: &Origin,
) -> Result<(Option<tokio::sync::SemaphorePermit<'a>>, GitTalk), HistoryError> {
    let (room, item) = (&app.git, &of.connection.item);
    let history = {
        let (history, _guard) = room.history(&item.project, &item.url).await;
        if !history.is_fresh(&of.revision).await? {
            if app.space.is_short() {
                return Err(HistoryError::NoSpace);
            }
            let _turn = room.history_turns.acquire().await;
            let remote = open_for_git(app, &of.connection).await?;
            let scratch = room.scratch().map_err(GitError::from)?;
            let default_branch = item.default_branch.as_deref();
            let wish = HistoryWish { revision: &of.revision, default_branch };
            history.refresh(&remote, wish, &room.settings, &scratch).await?;
        }
        history
    };
    // It is never closed.
    let turn = room.readers.acquire().await.ok();
    Ok((turn, history.serve()?))
}

/// Returns a packet that git shows as an error of the remote (gitprotocol-pack(5)).
fn error_packet(message: &str) -> Vec<u8> {
    let message = russet_text::one_line_within(message, MAX_MESSAGE_CHARS);
    let text = format!("ERR {message}");
    format!("{:04x}{text}", text.len() + 4).into_bytes()
}
