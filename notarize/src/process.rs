//! Running other programs. None of them inherits a secret, and none gets one as an argument.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::credentials::SECRET_VARIABLES;

/// A program with its arguments.
#[must_use]
pub fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    for variable in SECRET_VARIABLES {
        command.env_remove(variable);
    }
    command
}

/// Runs it, with its output to standard error: standard output belongs to our own result.
///
/// # Errors
///
/// It cannot be started, or does not end with 0.
pub fn run_tool(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("could not start `{name}`"))?;
    if !status.success() {
        bail!("`{name}` failed: {status}");
    }
    Ok(())
}

/// Runs it and returns what it writes, whatever its exit status is.
///
/// # Errors
///
/// It cannot be started.
pub fn tool_output(command: &mut Command) -> Result<(bool, String)> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("could not start `{name}`"))?;
    Ok((output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned()))
}
