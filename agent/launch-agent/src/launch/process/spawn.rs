//! Starting processes: task agents, and the helpers that clean and flush as the slot's user.
//!
//! They get nothing from the launch agent but an [`Assignment`] on their standard input. Their
//! environment is cleared, their output goes to a file of root's (a pipe would break when the
//! launch agent is restarted), and they lead a process group of their own.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat;
use russet_protocol::supervise::{Assignment, DISCLAIM, Mode, TASK_AGENT};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

use super::stage;

/// Name of the file with the task agent's own output.
pub(in crate::launch) const AGENT_LOG: &str = "task-agent.log";

/// Name of the file with the output of helpers.
const HELPER_LOG: &str = "helper.log";

/// Bytes of the end of such a file that go into messages.
const TAIL_BYTES: u64 = 400;

/// Time that a killed helper is waited for.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// Variables that the task agent takes from the launch agent: the way to the control plane.
const PASSED_VARIABLES: [&str; 9] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "TZ",
];

/// A task agent that waits for its assignment.
#[derive(Debug)]
pub(in crate::launch) struct Spawned {
    pub(in crate::launch) child: Child,
    pub(in crate::launch) pid: u32,
}

/// Starts `russet task-agent`, behind the prefix, with its output in the slot's log.
pub(in crate::launch) fn spawn_task_agent(
    exe: &Path,
    prefix: &[String],
    slot: &OwnedFd,
) -> io::Result<Spawned> {
    let log = log_file(slot, AGENT_LOG)?;
    spawn_agent(exe, prefix, Responsible::Itself, &log)
}

/// Process that macOS asks about privacy on behalf of one that is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Responsible {
    /// The launch agent's, `russet-boot`: what its owner granted holds.
    Agent,
    /// The started process itself.
    Itself,
}

/// Returns who is responsible for a helper. One that deletes as the slot's user may need what the
/// owner granted; it runs nothing of a project's. Everything else has no use for it.
fn responsible_for(mode: Mode) -> Responsible {
    match mode {
        Mode::Clean | Mode::EmptyAside | Mode::Trim => Responsible::Agent,
        Mode::Run | Mode::Flush | Mode::Unclaim | Mode::External | Mode::Survey => {
            Responsible::Itself
        }
    }
}

/// Empties the slot's log. A task agent that waits for its assignment has it open already, to
/// append, while the one before it still writes to it.
pub(in crate::launch) fn empty_log(slot: &OwnedFd) -> io::Result<()> {
    log_file(slot, AGENT_LOG)?.set_len(0)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the program is the staged executable, or the owner's prefix; the environment is cleared"
)]
fn spawn_agent(
    exe: &Path,
    prefix: &[String],
    responsible: Responsible,
    log: &std::fs::File,
) -> io::Result<Spawned> {
    let mut command = match prefix.split_first() {
        Some((program, rest)) => {
            let mut command = Command::new(program);
            command.args(rest).arg(exe);
            command
        }
        None => Command::new(exe),
    };
    if responsible == Responsible::Itself {
        // Behind the prefix: what stands there is the owner's, and need not know of it.
        command.arg(DISCLAIM);
    }
    command
        .arg(TASK_AGENT)
        .env_clear()
        .env("PATH", stage::own_path())
        .envs(PASSED_VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(log.try_clone()?)
        .stderr(log.try_clone()?)
        // Out of reach of the keys of our terminal. The task agent leaves the group again for a
        // session of its own; what may stand before it (sudo, a script) stays.
        .process_group(0);
    let child = command.spawn().map_err(|error| {
        let program = prefix.first().map_or_else(|| exe.display().to_string(), Clone::clone);
        io::Error::new(error.kind(), format!("could not start {program}: {error}"))
    })?;
    let pid = child.id().unwrap_or(0);
    Ok(Spawned { child, pid })
}

/// Hands the assignment over and closes the standard input.
pub(in crate::launch) async fn hand_over(
    child: &mut Child,
    assignment: &Assignment,
) -> io::Result<()> {
    let text = zeroize::Zeroizing::new(serde_json::to_vec(assignment)?);
    let Some(mut stdin) = child.stdin.take() else { return Ok(()) };
    match stdin.write_all(&text).await {
        // It ended before it read everything: its exit says why.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Runs a helper to its end, and kills it when `too_long` is over. The second value is the end of
/// what it said.
pub(in crate::launch) async fn run_helper(
    exe: &Path,
    slot: &OwnedFd,
    assignment: &Assignment,
    too_long: impl Future<Output = ()>,
) -> io::Result<(ExitStatus, String)> {
    let log = log_file(slot, HELPER_LOG)?;
    log.set_len(0)?;
    let mut spawned = spawn_agent(exe, &[], responsible_for(assignment.mode), &log)?;
    hand_over(&mut spawned.child, assignment).await?;
    tokio::select! {
        status = spawned.child.wait() => Ok((status?, read_tail(log))),
        () = too_long => {
            spawned.child.start_kill()?;
            // It can be stuck in the kernel, on a file system that does not answer.
            drop(tokio::time::timeout(KILL_TIMEOUT, spawned.child.wait()).await);
            let message = format!("the helper took too long: {}", read_tail(log));
            Err(io::Error::new(io::ErrorKind::TimedOut, message))
        }
    }
}

/// The end of the slot's log of the task agent, on one line.
pub(in crate::launch) fn tail_of_log(slot: &OwnedFd) -> String {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(slot, AGENT_LOG, flags, stat::Mode::empty())
        .map_or_else(|_| String::new(), |file| read_tail(std::fs::File::from(file)))
}

fn log_file(slot: &OwnedFd, name: &str) -> io::Result<std::fs::File> {
    let flags =
        OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_APPEND | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(slot, name, flags, stat::Mode::from_bits_truncate(0o600))?.into())
}

fn read_tail(mut file: std::fs::File) -> String {
    let length = file.metadata().map_or(0, |meta| meta.len());
    let mut bytes = Vec::new();
    let read = file
        .seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))
        .and_then(|_| file.take(TAIL_BYTES).read_to_end(&mut bytes));
    if read.is_err() {
        return String::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    russet_text::one_line(&lines.join("; "))
}

/// Describes an exit status, as a part of a sentence.
pub(in crate::launch) fn describe_status(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => {
            let name = nix::sys::signal::Signal::try_from(signal)
                .map_or_else(|_| String::new(), |signal| format!(" ({})", signal.as_str()));
            format!("was killed by signal {signal}{name}")
        }
        (None, None) => "ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Responsible, log_file, responsible_for, spawn_agent, spawn_task_agent};
    use russet_protocol::supervise::Mode;
    use std::os::fd::OwnedFd;
    use std::path::PathBuf;

    /// A program that says how it was called, and its directory.
    fn made() -> (tempfile::TempDir, PathBuf, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        let script = "echo called \"$@\"";
        russet_platform::command::testing::fake_tool(dir.path(), "russet", script);
        let exe = dir.path().join("russet");
        let slot = OwnedFd::from(std::fs::File::open(dir.path()).unwrap());
        (dir, exe, slot)
    }

    fn said(dir: &tempfile::TempDir, log: &str) -> String {
        std::fs::read_to_string(dir.path().join(log)).unwrap()
    }

    #[tokio::test]
    async fn task_agents_disclaim_responsibility_behind_the_prefix_too() {
        let (dir, exe, slot) = made();
        let mut spawned = spawn_task_agent(&exe, &[], &slot).unwrap();
        spawned.child.wait().await.unwrap();
        let prefix = ["/usr/bin/env".to_owned(), "A=b".to_owned()];
        let mut spawned = spawn_task_agent(&exe, &prefix, &slot).unwrap();
        spawned.child.wait().await.unwrap();
        let call = "called disclaim task-agent\n";
        assert_eq!(said(&dir, super::AGENT_LOG), format!("{call}{call}"));
    }

    #[tokio::test]
    async fn only_helpers_that_delete_have_the_grants_of_the_agent() {
        let (dir, exe, slot) = made();
        for mode in [Mode::Clean, Mode::EmptyAside, Mode::Trim] {
            assert_eq!(responsible_for(mode), Responsible::Agent);
        }
        for mode in [Mode::Run, Mode::Flush, Mode::Unclaim, Mode::External, Mode::Survey] {
            assert_eq!(responsible_for(mode), Responsible::Itself);
        }
        let log = log_file(&slot, super::HELPER_LOG).unwrap();
        let mut spawned = spawn_agent(&exe, &[], Responsible::Agent, &log).unwrap();
        spawned.child.wait().await.unwrap();
        assert_eq!(said(&dir, super::HELPER_LOG), "called task-agent\n");
    }
}
