//! `russet job ssh --proxy`: bytes between `ssh` and a task: straight to its machine, where the owner opened
//! a port that can be reached from here, else through the WebSocket of the control plane.

use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use russet_platform::http::{WebSocket, WebSocketError, open_websocket, pump};
use russet_protocol::problem::Problem;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::JobSshArgs;
use super::arguments::read_address;
use crate::client::Client;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render::{self, plain};

/// Time for which a task that cannot be reached yet is dialled again and again.
const DIAL_TIMEOUT: Duration = Duration::from_secs(120);

/// Pause between two attempts.
const DIAL_PAUSE: Duration = Duration::from_secs(1);

/// Timeout of a connection to the machine itself.
const DIRECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Time for the machine's last bytes once `ssh` has ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for `ssh` to hang up once the machine has. One that was told why does so at once; one that was
/// not has lost it.
const HANG_UP_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes that are passed at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// Status of what passes.
const UNAVAILABLE: u16 = 503;

/// Kind of the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// One of the two ends closed it.
    Closed,
    /// It was lost, or the control plane or the runner's agent restarts: the same task can be dialled
    /// again.
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
    let (input, output) = (open_stream(std::io::stdin())?, open_stream(std::io::stdout())?);
    let end = match dial_machine(client, args).await? {
        Some(machine) => pass_to_machine(machine, input, output).await,
        None => {
            let socket = dial(client, args, by).await?;
            let pumped = pump(socket, tokio::io::join(input, output)).await;
            if let Some(error) = &pumped.error {
                render::print_note(format_args!("russet: {}", plain(&error.to_string())));
            }
            end_of(pumped.error.as_ref())
        }
    };
    if let Some(note) = &args.note {
        // Without it nobody dials again, which is told.
        drop(std::fs::write(note, if end == End::Lost { "lost" } else { "closed" }));
    }
    let exit = if end == End::Lost { Exit::ControlPlane } else { Exit::Success };
    std::process::exit(i32::from(exit.code()))
}

/// Dials the machine itself; `None`: its owner opened no port, it cannot be reached from here, or is not to
/// be.
async fn dial_machine(client: &Client, args: &JobSshArgs) -> Result<Option<TcpStream>> {
    if args.tunnel {
        return Ok(None);
    }
    let items = match client.job_ssh(&args.id).await {
        // The tunnel waits for a control plane that restarts.
        Err(error) if error.transient => return Ok(None),
        items => items?,
    };
    let item = items.into_iter().find(|item| item.node_index == args.node);
    let ready = item.filter(|item| item.phase.is_reachable()).and_then(|item| item.ready);
    let address = ready.and_then(|ready| ready.address);
    let Some((host, port)) = address.as_deref().and_then(read_address) else { return Ok(None) };
    let dialled = timeout(DIRECT_TIMEOUT, TcpStream::connect((host.as_str(), port))).await;
    let Ok(Ok(stream)) = dialled else {
        render::print_note(format_args!(
            "{} cannot be reached from here; going through the control plane.",
            plain(&format!("{host}:{port}"))
        ));
        return Ok(None);
    };
    // Where it is refused, small pieces wait for each other, and nothing else is different.
    drop(stream.set_nodelay(true));
    Ok(Some(stream))
}

/// Passes bytes until both ends have closed, or one has and the other had time for it.
async fn pass_to_machine<R, W>(machine: TcpStream, input: R, mut output: W) -> End
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (from_machine, mut to_machine) = machine.into_split();
    let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
    let mut from_machine = BufReader::with_capacity(BUFFER_BYTES, from_machine);
    let up = async {
        let end = match tokio::io::copy_buf(&mut input, &mut to_machine).await {
            Ok(_) => End::Closed,
            Err(_) => End::Lost,
        };
        drop(to_machine.shutdown().await);
        end
    };
    let down = async {
        drop(tokio::io::copy_buf(&mut from_machine, &mut output).await);
        drop(output.flush().await);
    };
    tokio::pin!(up, down);
    tokio::select! {
        () = &mut down => timeout(HANG_UP_TIMEOUT, up).await.unwrap_or(End::Lost),
        end = &mut up => {
            drop(timeout(CLOSE_TIMEOUT, down).await);
            end
        }
    }
}

/// Returns one of the standard streams, read and written in a thread: what it is, nobody knows.
fn open_stream(of: impl AsFd) -> Result<File> {
    let failed = |error| CliError::local("could not use the standard input and output", error);
    let own = of.as_fd().try_clone_to_owned().map_err(failed)?;
    Ok(File::from_std(own.into()))
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

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex, empty, sink};
    use tokio::net::{TcpListener, TcpStream};

    use super::{End, end_of, pass_to_machine, read_note, words_of};

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

    async fn machine() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_hangs_up_on_who_waits_is_lost() {
        let (near, far) = machine().await;
        drop(far);
        // `ssh` goes on waiting.
        let (_ssh, input) = duplex(64);
        assert_eq!(pass_to_machine(near, input, sink()).await, End::Lost);
    }

    #[tokio::test]
    async fn a_machine_that_is_left_is_not_lost_whoever_closes_first() {
        let (near, mut far) = machine().await;
        let (mut ssh, output) = duplex(64);
        let left = tokio::spawn(pass_to_machine(near, empty(), output));
        far.write_all(b"bye").await.unwrap();
        drop(far);
        let mut word = [0; 3];
        ssh.read_exact(&mut word).await.unwrap();
        assert_eq!((&word, left.await.unwrap()), (b"bye", End::Closed));

        // The machine has said goodbye and closed; who understood it leaves.
        let (near, far) = machine().await;
        drop(far);
        let (ssh, input) = duplex(64);
        drop(ssh);
        assert_eq!(pass_to_machine(near, input, sink()).await, End::Closed);
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
