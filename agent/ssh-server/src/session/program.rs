//! One program: its start, its streams, its end.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use russh::server::{Handle, Msg};
use russh::{ChannelWriteHalf, Pty, Sig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::terminal::{Size, Terminal, attach_terminal, lead_session};
use super::{Host, Inbox, Started, signals};
use crate::gate::Gate;

/// Bytes that are read from a program at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Number of the stream of errors (RFC 4254, 5.2).
const STDERR: u32 = 1;

/// Terminal that a client asked for.
#[derive(Clone, Debug)]
pub(crate) struct TerminalRequest {
    /// Value of `TERM`.
    pub(crate) kind: String,
    pub(crate) size: Size,
    pub(crate) modes: Vec<(Pty, u32)>,
}

/// Reason why a program was not started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    #[error("could not open a terminal: {0}")]
    Terminal(io::Error),
    #[error("could not make a pipe: {0}")]
    Pipe(io::Error),
    #[error("could not start {shell}: {source}")]
    Start { shell: String, source: io::Error },
}

/// Way of a program's output to the client. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    writer: Arc<ChannelWriteHalf<Msg>>,
    handle: Handle,
    gate: Arc<Gate>,
}

impl Output {
    pub(crate) fn new(writer: ChannelWriteHalf<Msg>, handle: Handle, gate: Arc<Gate>) -> Self {
        Self { writer: Arc::new(writer), handle, gate }
    }

    /// Sends output once the client has room for it.
    pub(crate) async fn send(&self, data: Bytes) -> Result<(), russh::Error> {
        let _waiting = self.gate.starve();
        self.writer.data_bytes(data).await
    }

    async fn send_error(&self, data: Bytes) -> Result<(), russh::Error> {
        let _waiting = self.gate.starve();
        self.writer.extended_data_bytes(STDERR, data).await
    }

    /// Sends all that a reader has. Returns false if the client takes no more.
    pub(crate) async fn send_all(&self, reader: impl AsyncRead + Unpin) -> bool {
        self.send_from(reader, false).await
    }

    async fn send_from(&self, mut reader: impl AsyncRead + Unpin, is_error: bool) -> bool {
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
        while let Ok(1..) = reader.read_buf(&mut chunk).await {
            let data = chunk.split().freeze();
            let sent = if is_error { self.send_error(data).await } else { self.send(data).await };
            if sent.is_err() {
                return false;
            }
            chunk.reserve(CHUNK_BYTES);
        }
        true
    }

    /// Says how the program ended, and closes the channel.
    pub(crate) async fn finish(&self, status: Option<ExitStatus>) {
        let id = self.writer.id();
        let code = status.and_then(|status| status.code());
        let signal = status.and_then(|status| status.signal());
        // Each of these fails when the client has gone, which needs no word.
        if let Some(number) = signal {
            let has_core = status.is_some_and(|status| status.core_dumped());
            let name = signals::name_of(number);
            let (text, language) = (String::new(), String::new());
            let _sent = self.handle.exit_signal_request(id, name, has_core, text, language).await;
        } else {
            let code = code.and_then(|code| u32::try_from(code).ok()).unwrap_or(255);
            drop(self.writer.exit_status(code).await);
        }
        self.end().await;
        self.close().await;
    }

    /// Says that there will be no more output.
    pub(crate) async fn end(&self) {
        drop(self.writer.eof().await);
    }

    /// Closes the channel.
    pub(crate) async fn close(&self) {
        drop(self.writer.close().await);
    }
}

/// A running program of a channel. Dropping it hangs up.
#[derive(Debug)]
pub(crate) struct Program {
    /// Its process group; none for what runs within us.
    leader: Option<i32>,
    terminal: Option<Terminal>,
    task: JoinHandle<()>,
}

impl Drop for Program {
    fn drop(&mut self) {
        // With it go our ends of its pipes or its terminal, which hangs up by itself. Without a
        // terminal it goes on until it meets that, as with every sshd: the end of the task ends it.
        self.task.abort();
    }
}

impl Program {
    /// A program that is a task of ours.
    pub(crate) fn internal(task: JoinHandle<()>) -> Self {
        Self { leader: None, terminal: None, task }
    }

    /// Sends a signal to what a person would reach by the keyboard, or to all of the program.
    pub(crate) fn signal(&self, signal: &Sig) -> bool {
        let (Some(signal), Some(leader)) = (signals::number_of(signal), self.leader) else {
            return false;
        };
        let foreground = self.terminal.as_ref().and_then(Terminal::foreground);
        send_signal(foreground.filter(|group| *group > 1).unwrap_or(leader), signal)
    }

    pub(crate) fn resize(&self, size: Size) -> bool {
        self.terminal.as_ref().is_some_and(|terminal| terminal.resize(size).is_ok())
    }

    pub(crate) fn has_terminal(&self) -> bool {
        self.terminal.is_some()
    }
}

fn send_signal(group: i32, signal: Signal) -> bool {
    killpg(Pid::from_raw(group), signal).is_ok()
}

/// Starts a command, or without one a shell: on macOS a login shell, as its terminals start. The profile of
/// other systems may set a PATH of its own, which would not be the job's.
pub(crate) fn start_program(
    host: &dyn Host,
    command: Option<&[u8]>,
    environment: Vec<(OsString, OsString)>,
    terminal: Option<&TerminalRequest>,
    input: Inbox,
    output: Output,
) -> Result<Program, ProgramError> {
    let shell = host.shell();
    let mut builder = Command::new(&shell);
    if let Some(command) = command {
        builder.arg("-c").arg(OsStr::from_bytes(command));
    } else if cfg!(target_os = "macos") {
        builder.arg("-l");
    }
    builder.env_clear().envs(environment).current_dir(host.directory());
    let start = |builder: &mut Command| {
        let shell = shell.display().to_string();
        host.spawn(builder).map_err(|source| ProgramError::Start { shell, source })
    };
    let Some(terminal) = terminal else {
        let streams = Streams::attach(&mut builder).map_err(ProgramError::Pipe)?;
        let started = start(&mut builder)?;
        // The command holds the other ends, whose end is the end of the output.
        drop(builder);
        let leader = Some(started.pid);
        let task = tokio::spawn(serve_pipes(streams, started, input, output));
        return Ok(Program { leader, terminal: None, task });
    };
    let (master, slave) =
        Terminal::open(terminal.size, &terminal.modes).map_err(ProgramError::Terminal)?;
    attach_terminal(&mut builder, slave).map_err(ProgramError::Terminal)?;
    let greeting = if command.is_none() { host.greeting() } else { String::new() };
    let started = start(&mut builder)?;
    drop(builder);
    let leader = Some(started.pid);
    let task = tokio::spawn(serve_terminal(master.clone(), started, input, output, greeting));
    Ok(Program { leader, terminal: Some(master), task })
}

async fn serve_terminal(
    terminal: Terminal,
    started: Started,
    mut input: Inbox,
    output: Output,
    greeting: String,
) {
    let typing = async {
        while let Some(piece) = input.next().await {
            if terminal.write_all(&piece).await.is_err() {
                break;
            }
        }
        // Its end says nothing to a terminal, as with every sshd.
        std::future::pending::<()>().await;
    };
    let printing = async {
        let greeting = on_terminal(&greeting);
        if !greeting.is_empty() && output.send(greeting).await.is_err() {
            return None;
        }
        print_terminal(&terminal, started.exit, &output).await
    };
    let status = tokio::select! {
        status = printing => status,
        () = typing => None,
    };
    output.finish(status).await;
}

/// Puts lines as a terminal without processing wants them.
pub(crate) fn on_terminal(text: &str) -> Bytes {
    Bytes::from(text.replace('\n', "\r\n"))
}

/// Passes on what is printed until the program has ended, and what is there by then. What it left in
/// the background is not waited for: it is about to be hung up.
async fn print_terminal(
    terminal: &Terminal,
    mut exit: oneshot::Receiver<ExitStatus>,
    output: &Output,
) -> Option<ExitStatus> {
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut is_open = true;
    let status = loop {
        tokio::select! {
            read = terminal.read(&mut buffer), if is_open => match read {
                Ok(length) if length > 0 => {
                    output.send(Bytes::copy_from_slice(&buffer[..length])).await.ok()?;
                }
                _ => is_open = false,
            },
            status = &mut exit => break status.ok(),
        }
    };
    while let Some(length) = terminal.read_now(&mut buffer) {
        output.send(Bytes::copy_from_slice(&buffer[..length])).await.ok()?;
    }
    status
}

/// Our ends of a program's pipes.
#[derive(Debug)]
struct Streams {
    input: pipe::Sender,
    output: pipe::Receiver,
    errors: pipe::Receiver,
}

impl Streams {
    fn attach(command: &mut Command) -> io::Result<Self> {
        let (input, our_input) = io::pipe()?;
        let (our_output, output) = io::pipe()?;
        let (our_errors, errors) = io::pipe()?;
        command.stdin(Stdio::from(input)).stdout(Stdio::from(output)).stderr(Stdio::from(errors));
        lead_session(command, false);
        Ok(Self {
            input: pipe::Sender::from_owned_fd(our_input.into())?,
            output: pipe::Receiver::from_owned_fd(our_output.into())?,
            errors: pipe::Receiver::from_owned_fd(our_errors.into())?,
        })
    }
}

async fn serve_pipes(streams: Streams, started: Started, mut input: Inbox, output: Output) {
    let Streams { input: mut stdin, output: stdout, errors: stderr } = streams;
    let feeding = async move {
        while let Some(piece) = input.next().await {
            if stdin.write_all(&piece).await.is_err() {
                break;
            }
        }
        // The end of the client's input is the end of the program's.
        drop((stdin, input));
        std::future::pending::<()>().await;
    };
    let printing = async {
        let (normal, errors) =
            tokio::join!(output.send_from(stdout, false), output.send_from(stderr, true));
        if normal && errors { started.exit.await.ok() } else { None }
    };
    let status = tokio::select! {
        status = printing => status,
        () = feeding => None,
    };
    output.finish(status).await;
}
