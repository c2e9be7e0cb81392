//! `git-remote-russet`: git reads what the control plane has of the project's repository.
//!
//! Git starts it for addresses that begin with `russet::`, talks to it as gitremote-helpers(7) says, and
//! from `connect` on as to any `git-upload-pack`. What it says goes to the task agent's socket.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use super::{DONE, FAILED, TASK_DATA_VARIABLE};
use crate::git_socket::{SERVICE, socket_in};
use crate::stderr::print_to_stderr;

/// Time without an answer after which it is said what is waited for.
const FIRST_WORD: Duration = Duration::from_secs(5);

/// Interval in which it is said again: a step that says nothing is ended some day.
const NEXT_WORD: Duration = Duration::from_secs(60);

const WAITING: &str = "waiting for the control plane, which gets the history from the repository";

/// Reason why git cannot be served.
#[derive(Debug, thiserror::Error)]
enum RemoteError {
    #[error(
        "the control plane has no repository for this task\n\nhint: an address that begins with \
         `russet::` can be read in steps of a job whose project is connected to a repository"
    )]
    NoSocket,
    #[error(
        "`{0}` is not possible here: what the control plane has can only be read\n\nhint: push to \
         the address of the repository itself"
    )]
    OnlyRead(String),
    #[error("git and the control plane do not get their bytes: {0}")]
    Io(#[from] io::Error),
}

/// Serves git on the standard streams until it has enough.
#[must_use]
pub fn serve_git(args: &[OsString]) -> ExitCode {
    // The name of the remote, or its address, and its address (gitremote-helpers(7)).
    let address = args.last().map(|address| address.to_string_lossy().into_owned());
    match answer_git(BufReader::new(io::stdin()), &address.unwrap_or_default()) {
        Ok(()) => ExitCode::from(DONE),
        Err(error) => {
            print_to_stderr(&format!("error: {error}"));
            ExitCode::from(FAILED)
        }
    }
}

fn answer_git(mut input: impl BufRead + Send + 'static, address: &str) -> Result<(), RemoteError> {
    let mut out = io::stdout();
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        match line.trim_end() {
            // Git has enough.
            "" => return Ok(()),
            "capabilities" => out.write_all(b"connect\n\n")?,
            command => match command.strip_prefix("connect ") {
                Some(SERVICE) => {
                    let mut socket = connect()?;
                    socket.write_all(format!("{address}\n").as_bytes())?;
                    out.write_all(b"\n")?;
                    out.flush()?;
                    return pass(input, socket, out);
                }
                Some(service) => return Err(RemoteError::OnlyRead(service.to_owned())),
                None => return Err(RemoteError::OnlyRead(command.to_owned())),
            },
        }
        out.flush()?;
    }
}

/// The socket is in the directory of the task that has the one of its data in it.
fn connect() -> Result<UnixStream, RemoteError> {
    let data = std::env::var_os(TASK_DATA_VARIABLE).map(PathBuf::from);
    let tmp = data.as_deref().and_then(std::path::Path::parent).ok_or(RemoteError::NoSocket)?;
    UnixStream::connect(socket_in(tmp)).map_err(|_| RemoteError::NoSocket)
}

/// Passes bytes until the other end has said all.
fn pass(
    mut input: impl BufRead + Send + 'static,
    mut socket: UnixStream,
    mut out: impl io::Write,
) -> Result<(), RemoteError> {
    let mut from_socket = socket.try_clone()?;
    // A thread that ends with the process: git keeps its end open for as long as this one is.
    std::thread::spawn(move || {
        drop(copy_at_once(&mut input, &mut socket));
        drop(socket.shutdown(Shutdown::Write));
    });
    let (heard, waits) = mpsc::channel();
    std::thread::spawn(move || say_what_is_waited_for(&waits));
    let mut first = [0];
    let count = from_socket.read(&mut first)?;
    drop::<mpsc::Sender<()>>(heard);
    out.write_all(first.get(..count).unwrap_or_default())?;
    Ok(copy_at_once(&mut from_socket, &mut out)?)
}

/// Copies, each piece as it comes: the other end waits for it.
fn copy_at_once(from: &mut impl io::Read, to: &mut impl io::Write) -> io::Result<()> {
    let mut piece = vec![0; 64 * 1024];
    loop {
        match from.read(&mut piece)? {
            0 => return Ok(()),
            count => to.write_all(piece.get(..count).unwrap_or_default())?,
        }
        to.flush()?;
    }
}

fn say_what_is_waited_for(heard: &mpsc::Receiver<()>) {
    let mut pause = FIRST_WORD;
    while heard.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        print_to_stderr(&WAITING);
        pause = NEXT_WORD;
    }
}
