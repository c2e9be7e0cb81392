//! One run: start, feed, read, wait, and kill what takes too long.
//!
//! One thread does it all with `poll`, so that nothing is left behind: no thread that waits for
//! a pipe which something that outlived the tool keeps open.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::{Command, CommandError, ERROR_LIMIT, Output};
use crate::STANDARD_PATH;

/// Interval of checking that the tool has ended, where its pipes do not say so.
const TICK: Duration = Duration::from_millis(10);

/// As [`TICK`], once there is nothing left to read: tools run at the end of every task.
const LAST_TICK: Duration = Duration::from_millis(1);

/// Time for which the rest in the pipes is waited for once the tool itself has ended: something
/// that it started may keep them open for ever.
const AFTERWARDS: Duration = Duration::from_millis(500);

pub(super) fn run_command(command: Command) -> Result<Output, CommandError> {
    let line = command.line();
    let mut child = spawn_process(&command).map_err(|source| not_started(&line, source))?;
    let result = Exchange::new(&command, &mut child)
        .and_then(|mut exchange| exchange.finish(&command, &mut child));
    if !matches!(result, Ok(End::Exited(..))) {
        // Its whole group: a tool that hangs often waits for a child of its own.
        let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
        let _already_gone = killpg(group, Signal::SIGKILL);
        let _reaped = child.wait();
    }
    match result {
        Ok(End::Exited(status, stdout, stderr)) => {
            Ok(Output { status, stdout, stderr, command: line })
        }
        Ok(End::TimedOut) => Err(CommandError::TimedOut { command: line, limit: command.limit }),
        Ok(End::TooMuch) => {
            Err(CommandError::TooMuch { command: line, limit: command.output_limit })
        }
        Err(source) => Err(CommandError::Start { command: line, source }),
    }
}

/// Returns the reason why there is no process.
pub(super) fn not_started(line: &str, source: io::Error) -> CommandError {
    let command = line.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => CommandError::NotFound { command },
        _ => CommandError::Start { command, source },
    }
}

fn spawn_process(command: &Command) -> io::Result<Child> {
    let input = if command.input.0.is_empty() { Stdio::null() } else { Stdio::piped() };
    prepare_process(command)?.stdin(input).spawn()
}

/// Starts a process that nobody waits for, but to take its end from the system.
pub(super) fn detach_process(command: &Command) -> Result<(), CommandError> {
    let line = command.line();
    let spawn = |prepared: &mut std::process::Command| {
        prepared.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn()
    };
    let child = prepare_process(command).and_then(|mut prepared| spawn(&mut prepared));
    let mut child = child.map_err(|source| not_started(&line, source))?;
    // It ends with this process, and its child does not.
    std::thread::spawn(move || child.wait());
    Ok(())
}

/// Builds the process that all tools have in common. Standard output and error are pipes.
///
/// # Errors
///
/// The path is not absolute.
pub(super) fn prepare_process(command: &Command) -> io::Result<std::process::Command> {
    // Without an absolute path, whoever chose our working directory or PATH chose the program.
    if !command.program.is_absolute() {
        let message = "the path of a tool must be absolute";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut prepared = std::process::Command::new(&command.program);
    prepared
        .args(&command.arguments)
        .env_clear()
        .env("PATH", STANDARD_PATH)
        // Messages are read by us, and reported by people to people who read English.
        .env("LC_ALL", "C")
        .envs(command.environment.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    if let Some((uid, gid)) = command.user {
        // The standard library drops the supplementary groups, then the group, then the user.
        prepared.gid(gid).uid(uid);
    }
    Ok(prepared)
}

enum End {
    Exited(ExitStatus, Vec<u8>, Vec<u8>),
    TimedOut,
    TooMuch,
}

/// The pipes of a running tool. An end that is done is `None`, and so closed.
struct Exchange<'a> {
    stdin: Option<std::process::ChildStdin>,
    input: &'a [u8],
    stdout: Option<std::process::ChildStdout>,
    stderr: Option<std::process::ChildStderr>,
    out: Vec<u8>,
    err: Vec<u8>,
}

impl<'a> Exchange<'a> {
    fn new(command: &'a Command, child: &mut Child) -> io::Result<Self> {
        let exchange = Self {
            stdin: child.stdin.take(),
            input: &command.input.0,
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            out: Vec::new(),
            err: Vec::new(),
        };
        for end in exchange.ends().into_iter().flatten() {
            // Only our ends: the tool's are other open files.
            let flags = OFlag::from_bits_retain(fcntl(end, FcntlArg::F_GETFL)?);
            fcntl(end, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        }
        Ok(exchange)
    }

    fn ends(&self) -> [Option<BorrowedFd<'_>>; 3] {
        [
            self.stdin.as_ref().map(AsFd::as_fd),
            self.stdout.as_ref().map(AsFd::as_fd),
            self.stderr.as_ref().map(AsFd::as_fd),
        ]
    }

    fn finish(&mut self, command: &Command, child: &mut Child) -> io::Result<End> {
        let start = Instant::now();
        let mut exited: Option<(ExitStatus, Instant)> = None;
        loop {
            self.wait_a_tick()?;
            self.feed();
            let read_enough = self.read(command.output_limit)?;
            if !read_enough {
                return Ok(End::TooMuch);
            }
            if exited.is_none() {
                exited = child.try_wait()?.map(|status| (status, Instant::now()));
            }
            if let Some((status, at)) = exited
                && (self.stdout.is_none() && self.stderr.is_none() || at.elapsed() > AFTERWARDS)
            {
                let (out, err) = (std::mem::take(&mut self.out), std::mem::take(&mut self.err));
                return Ok(End::Exited(status, out, err));
            }
            if exited.is_none() && start.elapsed() > command.limit {
                return Ok(End::TimedOut);
            }
        }
    }

    /// Until something can be read or written, for a tick at most.
    fn wait_a_tick(&self) -> io::Result<()> {
        let [stdin, stdout, stderr] = self.ends();
        let writable = stdin.map(|end| PollFd::new(end, PollFlags::POLLOUT));
        let readable = [stdout, stderr].into_iter().flatten();
        let readable = readable.map(|end| PollFd::new(end, PollFlags::POLLIN));
        let mut ends: Vec<PollFd<'_>> = writable.into_iter().chain(readable).collect();
        // A tool that has closed its pipes is about to end.
        let tick = if ends.is_empty() { LAST_TICK } else { TICK };
        let timeout = PollTimeout::try_from(tick).unwrap_or(PollTimeout::ZERO);
        match poll(&mut ends, timeout) {
            Ok(_) | Err(nix::Error::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what fits. A tool that reads no more of it is none of our business.
    fn feed(&mut self) {
        let Some(stdin) = &mut self.stdin else { return };
        match stdin.write(self.input) {
            Ok(written) => self.input = self.input.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => self.input = &[],
        }
        if self.input.is_empty() {
            self.stdin = None;
        }
    }

    /// Reads what is there; `false` where standard output grew beyond its limit.
    fn read(&mut self, output_limit: usize) -> io::Result<bool> {
        drain_pipe(&mut self.stdout, &mut self.out, output_limit.saturating_add(1))?;
        drain_pipe(&mut self.stderr, &mut self.err, ERROR_LIMIT)?;
        Ok(self.out.len() <= output_limit)
    }
}

/// Reads all that is there, and keeps the first `keep` bytes.
fn drain_pipe<P: Read>(pipe: &mut Option<P>, kept: &mut Vec<u8>, keep: usize) -> io::Result<()> {
    let Some(open) = pipe else { return Ok(()) };
    let mut buffer = [0_u8; 16 << 10];
    // A bounded number of times, so that a tool which never stops printing meets its limits.
    for _ in 0..64 {
        match open.read(&mut buffer) {
            Ok(0) => {
                *pipe = None;
                return Ok(());
            }
            Ok(count) => {
                let room = keep.saturating_sub(kept.len()).min(count);
                kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
