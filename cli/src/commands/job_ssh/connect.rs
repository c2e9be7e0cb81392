//! The `ssh` of the person, started for a task, and again where the connection is lost.

use std::io::IsTerminal as _;
use std::process::ExitStatus;

use tempfile::TempDir;
use tokio::process::Command;

use super::JobSshArgs;
use super::arguments::{known_hosts, proxy_command, ssh_arguments};
use super::proxy::{End, read_note};
use super::waiting::{wait_again, wait_until_ready};
use crate::client::Client;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::render;

/// Exit status of `ssh` for its own errors.
const SSH_FAILED: i32 = 255;

/// Runs `ssh`, and ends with its exit status.
pub(super) async fn connect(client: &Client, args: &JobSshArgs, id: &str) -> Result<Exit> {
    let dir = tempfile::Builder::new()
        .prefix("russet-ssh-")
        .tempdir()
        .map_err(|error| CliError::local("could not make a directory for the host key", error))?;
    let (hosts, note) = (dir.path().join("known_hosts"), dir.path().join("end"));
    let program = std::env::current_exe()
        .map_err(|error| CliError::local("could not find this program's own file", error))?;
    let redials = args.ssh_args.is_empty() && std::io::stdin().is_terminal();
    let mut is_again = false;
    loop {
        let waiting = async {
            if is_again {
                wait_again(client, id, args.node).await
            } else {
                wait_until_ready(client, id, args.node).await
            }
        };
        let item = tokio::select! {
            item = waiting => item?,
            // From the first `ssh` on it ends nothing by itself any more.
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Canceled),
        };
        let text = known_hosts(&item).unwrap_or_default();
        std::fs::write(&hosts, text).map_err(|error| {
            CliError::local(format!("could not write {}", hosts.display()), error)
        })?;
        let proxy = proxy_command(&program, args, id, &note);
        let status = run_client(args, ssh_arguments(&item, &hosts, &proxy, &args.ssh_args)).await?;
        let is_lost = status.code() == Some(SSH_FAILED) && read_note(&note) == Some(End::Lost);
        if !(redials && is_lost) {
            return end_with(status, dir);
        }
        render::print_note(
            "The connection was lost. Dialling the same task again; Ctrl-C gives up.",
        );
        // A note is of one connection.
        drop(std::fs::remove_file(&note));
        is_again = true;
    }
}

async fn run_client(args: &JobSshArgs, arguments: Vec<std::ffi::OsString>) -> Result<ExitStatus> {
    let started = Command::new("ssh").args(arguments).envs(args.connection.environment()?).spawn();
    let mut child = started.map_err(|error| {
        CliError::local("could not start `ssh`", error)
            .hint("it is OpenSSH's client, which macOS and Linux have; is it in PATH?")
    })?;
    loop {
        tokio::select! {
            status = child.wait() => {
                return status.map_err(|error| CliError::local("could not wait for `ssh`", error));
            }
            // It is for `ssh`, which gets it too and decides.
            _ = tokio::signal::ctrl_c() => {}
        }
    }
}

/// Ends this process as `ssh` ended.
#[expect(clippy::exit, reason = "the exit status is that of ssh, which is none of ours")]
fn end_with(status: ExitStatus, dir: TempDir) -> Result<Exit> {
    use std::os::unix::process::ExitStatusExt as _;
    dir.close()
        .map_err(|error| CliError::local("could not remove the file of the host key", error))?;
    match status.code() {
        Some(0) => Ok(Exit::Success),
        Some(code) => std::process::exit(code),
        // As shells say it.
        None => std::process::exit(128 + status.signal().unwrap_or_default()),
    }
}
