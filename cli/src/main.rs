//! `russet`: the one binary that is installed.
//!
//! It parses arguments, calls the libraries, and prints. Two other things wear the same
//! executable, because a Mac should have to trust one file only: the task agent, which has to
//! drop privileges before there is any thread, and the helpers that steps find on PATH.

#![forbid(unsafe_code)]

mod client;
mod color;
mod commands;
mod completion;
mod disclaim;
#[cfg(test)]
mod docs;
mod error;
mod exit;
mod logging;
mod project;
mod render;
mod shell_script;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser as _;
use russet_protocol::supervise::{DISCLAIM, TASK_AGENT};

use crate::color::Paint;
use crate::commands::cli::Cli;
use crate::error::CliError;
use crate::exit::Exit;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let called_as = arguments.next().unwrap_or_default();
    if let Some(name @ ("circleci-agent" | "circleci")) =
        Path::new(&called_as).file_name().and_then(|name| name.to_str())
    {
        return russet_task_agent::helper::main(name, &arguments.collect::<Vec<_>>());
    }
    if Path::new(&called_as)
        .file_name()
        .is_some_and(|name| name == russet_protocol::supervise::SETUP_CURL)
    {
        return russet_task_agent::continuation::curl(arguments.collect());
    }
    if Path::new(&called_as)
        .file_name()
        .is_some_and(|name| name == russet_protocol::supervise::GIT_HELPER)
    {
        return russet_task_agent::helper::serve_git(&arguments.collect::<Vec<_>>());
    }
    // Before clap and before any thread: the task agent drops privileges while it is alone.
    match arguments.next() {
        Some(word) if word == TASK_AGENT => return russet_task_agent::task::main(),
        Some(word) if word == DISCLAIM => {
            return disclaim::run_disclaimed(&arguments.collect::<Vec<_>>());
        }
        _ => {}
    }
    // Before there is any thread: it changes the environment.
    if let Some(exit) = complete_line() {
        return exit;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, with code 0.
            let _unreported = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Success.into() };
        }
    };
    color::set_choice(cli.color);
    let result = install_tls().and_then(|()| commands::run_command(cli));
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            let text = error.render(Paint::stderr());
            render::print_note(text.trim_end());
            error.exit.into()
        }
    }
}

/// Completes a line where a shell asks for that; `None`: this is no such call.
fn complete_line() -> Option<ExitCode> {
    // Names come from the control plane, maybe over TLS. Without TLS they are left out.
    if completion::is_asked() && install_tls().is_err() {
        return Some(Exit::Infrastructure.into());
    }
    match completion::answer_shell() {
        Ok(false) => None,
        Ok(true) => Some(Exit::Success.into()),
        Err(error) => {
            // A shell that has gone needs no answer.
            let _unreported = error.print();
            Some(Exit::Usage.into())
        }
    }
}

/// Makes ring the one provider of cryptography for everything in this process.
fn install_tls() -> error::Result<()> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| CliError::new(Exit::Infrastructure, "TLS was set up twice"))
}
