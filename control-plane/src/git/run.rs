//! Running git within limits of time and size.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::command::GitCall;
use super::error::GitError;

/// Most of what git says about a failure that is read, in bytes.
const MAX_STDERR: u64 = 64 * 1024;

/// Interval in which the size of a directory is looked at while git writes to it.
const SIZE_INTERVAL: Duration = Duration::from_secs(1);

/// Limits of one call.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallLimits<'a> {
    pub(super) timeout: Duration,
    /// Bytes of output.
    pub(super) output: u64,
    /// Directory that may not grow beyond so many bytes.
    pub(super) directory: Option<(&'a Path, u64)>,
}

impl CallLimits<'static> {
    /// Limits of a call that reads the mirror.
    pub(super) fn local(output: u64) -> Self {
        Self { timeout: Duration::from_secs(120), output, directory: None }
    }
}

/// Process group of git and what it starts (ssh, `git-remote-https`), which ends with this.
#[derive(Debug)]
pub(crate) struct GitProcess {
    child: Child,
    group: Option<Pid>,
}

impl Drop for GitProcess {
    fn drop(&mut self) {
        // The child is not reaped before this, so that the group's number is still its own.
        if let Some(group) = self.group.filter(|_| self.child.id().is_some()) {
            // An error means that it has ended.
            let _has_ended = killpg(group, Signal::SIGKILL);
        }
    }
}

fn start_git(call: &GitCall, stdin: Stdio, stderr: Stdio) -> Result<GitProcess, GitError> {
    let mut command = Command::new("git");
    command
        .args(&call.args)
        .current_dir(&call.directory)
        .env_clear()
        .envs(call.environment(|name| std::env::var_os(name)))
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(stderr)
        .process_group(0)
        .kill_on_drop(true);
    let child = command.spawn().map_err(GitError::Start)?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    Ok(GitProcess { child, group })
}

/// Runs a call to its end. Returns its output.
///
/// # Errors
///
/// It failed, or went beyond a limit, for which it was ended.
pub(super) async fn run_git(call: &GitCall, limits: CallLimits<'_>) -> Result<Vec<u8>, GitError> {
    let read = async |stdout: ChildStdout| {
        let (what, limit) = ("what git answered", limits.output);
        let mut output = Vec::new();
        stdout.take(limit.saturating_add(1)).read_to_end(&mut output).await?;
        let is_more = output.len() as u64 > limit;
        if is_more { Err(GitError::TooLarge { what, limit }) } else { Ok(output) }
    };
    let timed_out = GitError::TimedOut { command: call.name, seconds: limits.timeout.as_secs() };
    tokio::select! {
        done = read_git(call, read) => done,
        error = watch_size(limits.directory) => Err(error),
        () = tokio::time::sleep(limits.timeout) => Err(timed_out),
    }
}

/// Runs a call whose output is read while it comes. Limits of size and time are the caller's.
///
/// # Errors
///
/// It failed, or the reader did, for which it was ended.
pub(super) async fn read_git<T, F>(
    call: &GitCall,
    read: impl FnOnce(ChildStdout) -> F,
) -> Result<T, GitError>
where
    F: Future<Output = Result<T, GitError>>,
{
    let stdin = if call.stdin.is_empty() { Stdio::null() } else { Stdio::piped() };
    let mut process = start_git(call, stdin, Stdio::piped())?;
    let child = &mut process.child;
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let stdout = child.stdout.take().ok_or_else(no_stream)?;
    let write = async {
        if let Some(mut stdin) = stdin {
            // One who does not read to its end says why itself.
            drop(stdin.write_all(&call.stdin).await);
        }
        Ok(())
    };
    let ((), output, said) = tokio::try_join!(write, read(stdout), read_stderr(stderr))?;
    let status = process.child.wait().await?;
    if status.success() { Ok(output) } else { Err(GitError::said(call.name, &said)) }
}

fn no_stream() -> GitError {
    GitError::Start(io::Error::other("it has no input or no output"))
}

/// A call that is talked to. It ends with this.
#[derive(Debug)]
pub(crate) struct GitTalk {
    pub(crate) stdin: ChildStdin,
    pub(crate) stdout: ChildStdout,
    pub(crate) process: GitProcess,
}

/// Starts a call that is talked to. What it says about failures is its talk's to say.
pub(super) fn talk_to_git(call: &GitCall) -> Result<GitTalk, GitError> {
    let mut process = start_git(call, Stdio::piped(), Stdio::null())?;
    let stdin = process.child.stdin.take().ok_or_else(no_stream)?;
    let stdout = process.child.stdout.take().ok_or_else(no_stream)?;
    Ok(GitTalk { stdin, stdout, process })
}

/// Reads what git says about itself, and drops what is too long.
async fn read_stderr(stderr: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, GitError> {
    let mut said = Vec::new();
    if let Some(mut stderr) = stderr {
        (&mut stderr).take(MAX_STDERR).read_to_end(&mut said).await?;
        tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await?;
    }
    Ok(said)
}

/// Done when a directory has grown beyond its limit.
async fn watch_size(directory: Option<(&Path, u64)>) -> GitError {
    let Some((path, limit)) = directory else { return std::future::pending().await };
    loop {
        tokio::time::sleep(SIZE_INTERVAL).await;
        if directory_size(path).await > limit {
            return GitError::TooLarge { what: "the repository", limit };
        }
    }
}

/// Returns the bytes of the files below a directory, without following links; 0 where there is none.
pub(super) async fn directory_size(directory: &Path) -> u64 {
    let directory = directory.to_owned();
    tokio::task::spawn_blocking(move || bytes_below(&directory)).await.unwrap_or(0)
}

fn bytes_below(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(of) if of.is_dir() => bytes_below(&entry.path()),
        Ok(of) => of.len(),
        Err(_) => 0,
    };
    entries.map(size).fold(0, u64::saturating_add)
}
