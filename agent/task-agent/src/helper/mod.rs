//! Commands that `circleci-agent` and `circleci` answer inside a task.
//!
//! Existing configurations call them by these names; both are links to the `russet` binary on
//! the steps' PATH. They talk to the task agent through files in the directory that
//! `CIRCLE_INTERNAL_TASK_DATA` names: same user, same trust, so nothing more is needed. Scripts
//! call them in loops, so nothing is set up here that an answer does not need.

mod args;
mod error;
mod glob;
mod hold;
mod items;
mod place;
mod remote;
mod run;
mod split;
mod subst;
mod timings;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::continuation;
use crate::stderr::print_to_stderr;
use args::{Command, Env, Helper, Ssh, Step, Tests};
use error::HelperError;

pub use remote::serve_git;

/// Variable with the directory through which steps talk to their task agent.
pub const TASK_DATA_VARIABLE: &str = "CIRCLE_INTERNAL_TASK_DATA";

/// File in that directory that says: end the job as it stands, run no further step.
pub const HALT_FILE: &str = "halt";

/// The command was understood and done.
const DONE: u8 = 0;
/// The command could not be done.
const FAILED: u8 = 1;
/// The command was not understood.
const USAGE: u8 = 2;

/// Runs `name` with `args` (without the program's own name).
#[must_use]
pub fn main(name: &str, args: &[OsString]) -> ExitCode {
    let command = match parse(name, args) {
        Ok(command) => command,
        Err(error) => {
            // Help comes this way too, on standard output and with code 0.
            let _unreported = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { DONE });
        }
    };
    match answer(name, command) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            print_to_stderr(&format!("error: {error}"));
            ExitCode::from(FAILED)
        }
    }
}

fn parse(name: &str, args: &[OsString]) -> Result<Command, clap::Error> {
    let called = if name == "circleci" { "circleci" } else { "circleci-agent" };
    let command = Helper::command().name(called).bin_name(called);
    let words = std::iter::once(OsString::from(name)).chain(args.iter().cloned());
    let matches = command.try_get_matches_from(words)?;
    Ok(Helper::from_arg_matches(&matches)?.command)
}

fn answer(name: &str, command: Command) -> Result<u8, HelperError> {
    let data = std::env::var_os(TASK_DATA_VARIABLE).map(PathBuf::from);
    match command {
        Command::Step(Step::Halt) => halt(name, data.as_deref()).map(|()| DONE),
        Command::Tests(Tests::Glob { patterns }) => print(&glob::glob(&patterns)?),
        Command::Tests(Tests::Split { files, show_counts, how }) => {
            let wanted = split::split(&files, &how, data.as_deref())?;
            if show_counts {
                print_to_stderr(&wanted.counts());
            }
            print(&wanted.lines())
        }
        Command::Tests(Tests::Run { command, files, verbose, how }) => {
            run::run(&command, &files, &how, verbose, data.as_deref())
        }
        Command::Continue { file, parameters } => {
            let message = continuation::continue_pipeline(&file, parameters.as_deref())?;
            print(format!("{message}\n").as_bytes())
        }
        Command::Env(Env::Subst { text }) => print(&subst::substitute_variables(&text)?),
        Command::Ssh(Ssh::Extend { by }) => print(&hold::extend_hold(by, data.as_deref())?),
        Command::Ssh(Ssh::End) => print(&hold::end_hold(data.as_deref())?),
        Command::Version => print(concat!(env!("CARGO_PKG_VERSION"), "\n").as_bytes()),
    }
}

fn halt(name: &str, data: Option<&Path>) -> Result<(), HelperError> {
    let Some(data) = data else {
        return Err(HelperError::Outside { helper: name.to_owned() });
    };
    std::fs::write(data.join(HALT_FILE), b"")
        .map_err(|source| HelperError::Halt { data: data.to_owned(), source })
}

/// Writes an answer. A reader that has heard enough is no error.
fn print(bytes: &[u8]) -> Result<u8, HelperError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(HelperError::Output(error))
        }
        _ => Ok(DONE),
    }
}

#[cfg(test)]
mod tests {
    use super::{HALT_FILE, halt, parse};
    use clap::error::ErrorKind;

    fn refusal(words: &str) -> clap::Error {
        let words: Vec<_> = words.split_whitespace().map(Into::into).collect();
        parse("circleci", &words).unwrap_err()
    }

    #[test]
    fn step_halt_leaves_the_mark_that_the_task_agent_looks_for() {
        let data = tempfile::tempdir().unwrap();
        halt("circleci-agent", Some(data.path())).unwrap();
        assert!(data.path().join(HALT_FILE).exists());
        assert!(halt("circleci", None).unwrap_err().to_string().contains("outside a task"));
    }

    #[test]
    fn what_is_not_there_is_refused_by_name_and_help_is_an_answer() {
        assert!(refusal("config validate").to_string().contains("'config'"));
        assert!(refusal("tests splitt").to_string().contains("'split'"));
        assert_eq!(refusal("tests split --split-by=color").kind(), ErrorKind::InvalidValue);
        assert_eq!(refusal("tests run").kind(), ErrorKind::MissingRequiredArgument);
        let help = refusal("tests split --help");
        assert!(!help.use_stderr() && help.to_string().contains("circleci tests split"));
    }
}
