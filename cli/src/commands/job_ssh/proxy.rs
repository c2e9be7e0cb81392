//! `russet job ssh --proxy`: bytes between `ssh` and the WebSocket of a task.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use russet_platform::http::{WebSocket, WebSocketError, open_websocket, pump};
use russet_protocol::problem::Problem;
use tokio::time::Instant;

use super::JobSshArgs;
use crate::client::Client;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, plain};

/// Time for which a task that cannot be reached yet is dialled again and again.
const DIAL_TIMEOUT: Duration = Duration::from_secs(120);

/// Pause between two attempts.
const DIAL_PAUSE: Duration = Duration::from_secs(1);

/// Status of what passes.
const UNAVAILABLE: u16 = 503;

/// Kind of the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// One of the two ends closed it.
    Closed,
    /// It was lost, or the control plane restarts: the same task can be dialled again.
    Lost,
}

/// Codes with which the control plane closes a connection that can be dialled again: the other end is
/// gone, and it restarts itself (RFC 6455, 7.4.1, and IANA's registry).
const LOST_CODES: [u16; 2] = [1011, 1012];

/// Returns the kind of an end.
fn end_of(error: Option<&WebSocketError>) -> End {
    match error {
        Some(WebSocketError::Closed { code, .. })
            if !code.is_some_and(|code| LOST_CODES.contains(&code)) =>
        {
            End::Closed
        }
        None | Some(WebSocketError::Local(_) | WebSocketError::Refused { .. }) => End::Closed,
        Some(_) => End::Lost,
    }
}

/// Reads the note of a connection that has ended; `None`: it has not even begun.
pub(super) fn read_note(file: &Path) -> Option<End> {
    match std::fs::read_to_string(file).ok()?.as_str() {
        "lost" => Some(End::Lost),
        _ => Some(End::Closed),
    }
}

/// Passes bytes until one end has closed.
#[expect(clippy::exit, reason = "a thread waits for standard input, which nothing else ends")]
pub(super) async fn pass_through(client: &Client, args: &JobSshArgs, by: &str) -> Result<Exit> {
    let socket = dial(client, args, by).await?;
    let local = tokio::io::join(open_stream(std::io::stdin())?, open_stream(std::io::stdout())?);
    let pumped = pump(socket, local).await;
    let end = end_of(pumped.error.as_ref());
    if let Some(error) = &pumped.error {
        render::print_note(format_args!("russet: {}", plain(&error.to_string())));
    }
    if let Some(note) = &args.note {
        // Without it nobody dials again, which is told.
        drop(std::fs::write(note, if end == End::Lost { "lost" } else { "closed" }));
    }
    let exit = if end == End::Lost { Exit::ControlPlane } else { Exit::Success };
    std::process::exit(i32::from(exit.code()))
}

/// Returns one of the standard streams, read and written in a thread: what it is, nobody knows.
fn open_stream(of: impl AsFd) -> Result<tokio::fs::File> {
    let failed = |error| CliError::local("could not use the standard input and output", error);
    let own = of.as_fd().try_clone_to_owned().map_err(failed)?;
    Ok(tokio::fs::File::from_std(own.into()))
}

/// Dials a task, again while it cannot be reached yet.
async fn dial(client: &Client, args: &JobSshArgs, by: &str) -> Result<WebSocket> {
    let until = Instant::now() + DIAL_TIMEOUT;
    let mut said = String::new();
    loop {
        let error = match open_websocket(client.job_ssh_tunnel(&args.id, args.node, by)).await {
            Ok(socket) => return Ok(socket),
            Err(error) => error,
        };
        let (message, hint, passes) = words_of(&error);
        if !passes || Instant::now() >= until {
            return Err(CliError::new(Exit::ControlPlane, message).maybe_hint(hint));
        }
        if message != said {
            render::print_note(format_args!("russet: {}", plain(&message)));
            said = message;
        }
        tokio::time::sleep(DIAL_PAUSE).await;
    }
}

/// Returns the words for a failure, what to do, and whether it may pass.
fn words_of(error: &WebSocketError) -> (String, Option<String>, bool) {
    match error {
        WebSocketError::Refused { status, body } => {
            let problem = serde_json::from_slice::<Problem>(body).ok();
            let (message, hint) = problem.map_or_else(
                || (error.to_string(), None),
                |problem| (problem.message, problem.hint),
            );
            (message, hint, status.as_u16() == UNAVAILABLE)
        }
        WebSocketError::Request(_) => (error.to_string(), None, true),
        _ => (error.to_string(), None, false),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use russet_platform::http::WebSocketError;

    use super::{End, end_of, read_note, words_of};

    #[test]
    fn what_is_lost_is_dialled_again_and_what_has_ended_is_not() {
        assert_eq!(end_of(None), End::Closed);
        let closed = |code, reason: &str| {
            end_of(Some(&WebSocketError::Closed { code, reason: reason.to_owned() }))
        };
        assert_eq!(closed(Some(1000), "the task has ended"), End::Closed);
        assert_eq!(closed(Some(1012), "the control plane restarts; dial again"), End::Lost);
        assert_eq!(closed(Some(1011), "the other end is gone; dial again"), End::Lost);
        assert_eq!(closed(None, ""), End::Closed);
        assert_eq!(end_of(Some(&WebSocketError::Silent)), End::Lost);
        assert_eq!(end_of(Some(&WebSocketError::Broken(String::new()))), End::Lost);
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("end");
        assert_eq!(read_note(&file), None);
        std::fs::write(&file, "lost").unwrap();
        assert_eq!(read_note(&file), Some(End::Lost));
    }

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_control_plane() {
        let refused = |status, body: &str| {
            words_of(&WebSocketError::Refused { status, body: body.as_bytes().to_vec() })
        };
        let gone = refused(StatusCode::GONE, r#"{"message":"the task has ended"}"#);
        assert_eq!(gone, ("the task has ended".to_owned(), None, false));
        assert!(refused(StatusCode::SERVICE_UNAVAILABLE, r#"{"message":"not yet"}"#).2);
        assert!(refused(StatusCode::BAD_GATEWAY, "<html>").0.contains("502"));
    }
}
