//! A task agent other than ours: started by CircleCI's contract, watched, and reported on.
//!
//! This process has become the slot's user by now. It stays as the parent, so that the program
//! is looked after also while the launch agent is restarted: it answers the launch agent, passes
//! a cancel on, ends the program's process group, and leaves a record of how it went. Exit
//! status 0 says that the program reported the task's outcome itself; for any other, the launch
//! agent reports what is in the record.

use std::collections::VecDeque;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use russet_protocol::outcome::Outcome;
use russet_protocol::supervise::{Assignment, External, exit};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use super::stop::{Stop, StopSignal};
use super::supervisor::Supervisor;
use russet_platform::os;

use super::{home, kill, record, run};
use crate::stderr::{log_to_stderr, print_error};
use russet_platform::clock::Clock;

/// Bytes of the beginning and of the end of the standard error that go into a failure.
const KEPT: usize = 160;

/// Time for which the standard error is read after the program has ended: somebody who inherited it
/// may hold it open.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Runs the program to its end. Returns the exit code.
pub(crate) fn external(assignment: Assignment) -> i32 {
    log_to_stderr();
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(task(assignment));
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            print_error(&error);
            exit::NOT_STARTED
        }
    }
}

async fn task(assignment: Assignment) -> i32 {
    let Some(external) = &assignment.external else {
        print_error(&"the assignment names no program");
        return exit::BAD_ASSIGNMENT;
    };
    let clock = Clock::system();
    let stop = StopSignal::new();
    let supervisor = Supervisor::start(
        assignment.supervisor.clone(),
        assignment.allocation.clone(),
        clock.clone(),
        stop.clone(),
    );
    if let Err(error) = run::listen_for_signals(&stop) {
        print_error(&error);
    }
    if let Err(error) = home::fill(&assignment).await {
        print_error(&error);
        return exit::NOT_STARTED;
    }
    let mut child = match start(&assignment, external).await {
        Ok(child) => child,
        Err(error) => {
            print_error(&format!("could not start {}: {error}", external.program.display()));
            return exit::NOT_STARTED;
        }
    };
    let group = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
    let said = tokio::spawn(keep(child.stderr.take()));
    let deadline = run::deadline_of(&assignment, &clock);
    let timer = tokio::spawn({
        let (clock, stop) = (clock.clone(), stop.clone());
        async move {
            clock.sleep_until(deadline).await;
            stop.stop(Stop::Deadline);
        }
    });
    let grace = kill::grace_of(&assignment.limits);
    let status = watch(&mut child, group, &clock, &stop, grace).await;
    // What it started belongs to its group, and ends with it.
    signal_group(group, Signal::SIGKILL);
    timer.abort();
    let said = tokio::time::timeout(LAST_WORDS, said).await;
    let said = said.ok().and_then(Result::ok).unwrap_or_default();
    let (outcome, message) = verdict(status, stop.reason(), &said);
    let reported = message.is_none();
    let (spool, allocation) = (&assignment.dirs.spool, &assignment.allocation);
    if let Err(error) = record::write(spool, allocation, outcome, message.as_deref(), reported) {
        print_error(&error);
    }
    supervisor.done(outcome, false, None, Vec::new()).await;
    if reported { exit::REPORTED } else { exit::NOT_REPORTED }
}

async fn start(assignment: &Assignment, external: &External) -> std::io::Result<Child> {
    let dirs = &assignment.dirs;
    let user = assignment.user.as_ref();
    let name = user.and_then(|user| user.name.clone());
    let name = name.unwrap_or_else(|| nix::unistd::geteuid().to_string());
    let mut command = Command::new(&external.program);
    command
        .args(&external.arguments)
        .env_clear()
        .env("HOME", &dirs.home)
        .env("TMPDIR", &dirs.tmp)
        .env("USER", &name)
        .env("LOGNAME", &name)
        .env("LANG", os::LANG)
        .env("PATH", &external.path)
        .envs(&assignment.environment)
        .current_dir(&dirs.work)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0);
    end_with_us(&mut command);
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading says why by its exit.
        drop(stdin.write_all(assignment.token.expose().as_bytes()).await);
    }
    Ok(child)
}

/// A program whose watcher was killed must not run on unwatched. Only Linux can say so; on macOS
/// the launch agent ends it by its user.
#[cfg(target_os = "linux")]
fn end_with_us(command: &mut Command) {
    // SAFETY: prctl is safe between fork and exec, and touches nothing of ours.
    unsafe {
        command.pre_exec(|| {
            os::check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            Ok(())
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn end_with_us(_command: &mut Command) {}

/// Waits for the program, and ends it when the task is to stop: TERM, grace, KILL.
async fn watch(
    child: &mut Child,
    group: Option<Pid>,
    clock: &Clock,
    stop: &StopSignal,
    grace: Duration,
) -> std::io::Result<ExitStatus> {
    tokio::select! {
        status = child.wait() => return status,
        () = stop.requested() => {}
    }
    signal_group(group, Signal::SIGTERM);
    tokio::select! {
        status = child.wait() => return status,
        () = clock.sleep(grace) => {}
        () = stop.hurried() => {}
    }
    signal_group(group, Signal::SIGKILL);
    child.wait().await
}

fn signal_group(group: Option<Pid>, signal: Signal) {
    let Some(group) = group else { return };
    match killpg(group, signal) {
        // A group that is gone needs no signal.
        Ok(()) | Err(nix::Error::ESRCH) => {}
        Err(error) => print_error(&format!("could not end the program's processes: {error}")),
    }
}

/// The outcome, and what to say about it where the program did not report it itself.
fn verdict(
    status: std::io::Result<ExitStatus>,
    stop: Option<Stop>,
    said: &Ends,
) -> (Outcome, Option<String>) {
    let how = match status {
        Ok(status) if status.success() => return (Outcome::Success, None),
        Ok(status) => status.to_string(),
        Err(error) => format!("could not be waited for: {error}"),
    };
    let said = said.text();
    let tail = if said.is_empty() { String::new() } else { format!(": {said}") };
    match stop {
        Some(Stop::Deadline) => {
            (Outcome::TimedOut, Some(format!("the task ran longer than it may ({how}){tail}")))
        }
        Some(Stop::Asked { outcome, reason }) => (outcome, Some(format!("{reason} ({how}){tail}"))),
        Some(Stop::Stale(reason)) => (Outcome::Canceled, Some(reason)),
        None => (
            Outcome::InfrastructureFail,
            Some(format!("task agent command exited with an unexpected error: {how}{tail}")),
        ),
    }
}

/// The beginning and the end of a stream.
#[derive(Debug, Default)]
struct Ends {
    first: Vec<u8>,
    last: VecDeque<u8>,
    left_out: usize,
}

impl Ends {
    fn push(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.first.len()).min(bytes.len());
        let (head, rest) = bytes.split_at(room);
        self.first.extend_from_slice(head);
        self.last.extend(rest);
        let excess = self.last.len().saturating_sub(KEPT);
        self.last.drain(..excess);
        self.left_out += excess;
    }

    fn text(&self) -> String {
        let mut bytes = self.first.clone();
        if self.left_out > 0 {
            bytes.extend(format!("\n... omitting {} bytes ...\n", self.left_out).bytes());
        }
        bytes.extend(&self.last);
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }
}

/// Reads to the end, and keeps both ends. Everything is read: a program that writes more than
/// anybody wants must not die of a pipe that is full.
async fn keep(stream: Option<impl AsyncRead + Unpin>) -> Ends {
    let mut ends = Ends::default();
    let Some(mut stream) = stream else { return ends };
    let mut buffer = [0_u8; 4096];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        ends.push(buffer.get(..count).unwrap_or_default());
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::{Ends, KEPT};

    #[test]
    fn the_first_and_the_last_160_bytes_are_kept() {
        let mut ends = Ends::default();
        ends.push(b"short");
        assert_eq!(ends.text(), "short");
        let mut ends = Ends::default();
        for _ in 0..10 {
            ends.push(&[b'a'; 16]);
        }
        ends.push(&[b'b'; 1000]);
        ends.push(&[b'c'; KEPT]);
        let expected =
            format!("{}\n... omitting 1000 bytes ...\n{}", "a".repeat(KEPT), "c".repeat(KEPT));
        assert_eq!(ends.text(), expected);
    }
}
