//! `russet disclaim`: the rest of the command line as its own responsible process.
//!
//! macOS asks the responsible process about privacy, which a program inherits from who started it.
//! The agent's grants must not be those of jobs, nor the agent be the one that jobs' questions are
//! about. Rust's `Command` cannot start a program so, and a `posix_spawn` of ours in its place would
//! have to do again all that `Command` does about descriptors, groups and signals. So the program is
//! started as ever, with this in front, and replaces itself: process, descriptors, group and session
//! stay, behind a command prefix and `launchctl asuser` too. Elsewhere there is nothing to disclaim,
//! and the rest simply runs.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use russet_protocol::supervise::TASK_AGENT;

use crate::exit::Exit;
use crate::render;

/// Runs the words after `disclaim`. Call it before there is any thread.
pub(crate) fn run_disclaimed(words: &[OsString]) -> ExitCode {
    let Some((first, arguments)) = words.split_first() else {
        render::print_note("error: `russet disclaim` is used by the launch agent alone");
        return Exit::Usage.into();
    };
    let is_task_agent = first == TASK_AGENT;
    let program = if is_task_agent { std::env::current_exe() } else { Ok(PathBuf::from(first)) };
    let given = if is_task_agent { words } else { arguments };
    let disclaimed =
        program.and_then(|program| russet_platform::disclaim_responsibility(&program, given));
    if let Err(error) = disclaimed {
        // Better a task with the agent's grants than none: there are none unless its owner gave some.
        render::print_note(format_args!(
            "warning: macOS holds the agent responsible for this: {error}"
        ));
    }
    if is_task_agent {
        return russet_task_agent::task::main();
    }
    let error = Command::new(first).args(arguments).exec();
    render::print_note(format_args!("error: could not run {}: {error}", first.display()));
    Exit::Infrastructure.into()
}
