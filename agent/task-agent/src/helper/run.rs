//! `tests run`: a command for the tests of this run.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::args::How;
use super::error::HelperError;
use super::{DONE, FAILED, print, split};
use crate::stderr::print_to_stderr;

/// Runs the command and answers its exit code.
pub(super) fn run(
    command: &OsStr,
    files: &[PathBuf],
    how: &How,
    is_verbose: bool,
    data: Option<&Path>,
) -> Result<u8, HelperError> {
    let part = split::split_failed(files, how, data)?;
    if is_verbose {
        print_to_stderr(&format!("{}: run {} of {}", part.counts(), how.index + 1, how.total));
        for test in &part.tests {
            print_to_stderr(&format!("  {}", test.display()));
        }
    }
    if part.tests.is_empty() {
        // Scripts look for this sentence.
        return print(b"There were no tests found\n");
    }
    if is_verbose {
        print_to_stderr(&format!("running: {}", command.display()));
    }
    let shell = if Path::new("/bin/bash").exists() { "/bin/bash" } else { "/bin/sh" };
    let mut child = Command::new(shell)
        .arg("-c")
        .arg(command)
        .stdin(Stdio::piped())
        .spawn()
        .map_err(|source| HelperError::Start { shell, source })?;
    if let Some(mut input) = child.stdin.take() {
        // A command that reads no more of it has what it wants.
        let _unread = input.write_all(&joined(&part.tests));
    }
    let status = child.wait().map_err(HelperError::Wait)?;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    Ok(if status.success() {
        DONE
    } else {
        code.and_then(|code| u8::try_from(code).ok()).unwrap_or(FAILED)
    })
}

fn joined(tests: &[OsString]) -> Vec<u8> {
    tests.iter().map(|test| test.as_bytes()).collect::<Vec<_>>().join(&b' ')
}
