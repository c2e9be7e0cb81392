//! Completion of the command line in a shell, also of names that only the control plane knows.
//!
//! The script of `russet completion` runs this program again at each press of Tab, with
//! `RUSSET_COMPLETE` set to the shell and the words of the line behind `--`. Names come from the
//! control plane that the line, the environment or `cli.yml` names. Where it is away, slow or refuses,
//! names are left out without a message: whoever types waits for [`ANSWER_TIMEOUT`] at most.

mod names;
mod words;

use std::time::Duration;

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use self::names::Kind;
use crate::commands::cli::Cli;
use crate::shell_script::VARIABLE;

/// Timeout of the control plane's answer.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(1500);

/// Returns true if a shell asks for a line to be completed.
pub(crate) fn is_asked() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|shell| !shell.is_empty())
}

/// Completes a line where a shell asks for it. Returns true if it did.
///
/// # Errors
/// The shell is unknown, or does not read the answer.
pub(crate) fn answer_shell() -> clap::error::Result<bool> {
    let here = std::env::current_dir().ok();
    CompleteEnv::with_factory(command)
        .var(VARIABLE)
        .bin("russet")
        .completer("russet")
        .try_complete(std::env::args_os(), here.as_deref())
}

/// The command line with what completes its arguments.
fn command() -> Command {
    let mut root = Cli::command();
    root.build();
    complete_below(root, &[])
}

fn complete_below(command: Command, path: &[String]) -> Command {
    let own = path.to_vec();
    let with_arguments = command.mut_args(|argument| complete_argument(argument, &own));
    let mut below = path.to_vec();
    with_arguments.mut_subcommands(|subcommand| {
        below.truncate(path.len());
        below.push(subcommand.get_name().to_owned());
        complete_below(subcommand, &below)
    })
}

fn complete_argument(argument: Arg, path: &[String]) -> Arg {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match words::kind_of(&path, argument.get_id().as_str()) {
        Some(kind) => argument
            .add(ArgValueCompleter::new(move |word: &std::ffi::OsStr| candidates(kind, word))),
        None => argument,
    }
}

fn candidates(kind: Kind, word: &std::ffi::OsStr) -> Vec<CompletionCandidate> {
    let Some(word) = word.to_str() else { return Vec::new() };
    let fits = |name: &names::Name| name.text.starts_with(word);
    let found = names::find_names(kind, word).into_iter().filter(fits);
    found
        .map(|name| {
            let help = (!name.about.is_empty()).then(|| name.about.into());
            CompletionCandidate::new(name.text).help(help)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::command;

    /// Whoever adds a command finds out here that `words.rs` does not know what its argument names.
    #[test]
    fn every_argument_that_is_an_id_is_completed() {
        let mut missing = Vec::new();
        let mut rest = vec![command()];
        while let Some(next) = rest.pop() {
            rest.extend(next.get_subcommands().cloned());
            let ids = next.get_positionals().filter(|argument| argument.get_id() == "id");
            let lacking = ids.filter(|argument| {
                argument.get::<clap_complete::engine::ArgValueCompleter>().is_none()
            });
            let name = next.get_bin_name().unwrap_or_default();
            // Of one's own tokens and sessions the ids are told to nobody who does not list them.
            let is_own = ["personal-token", "session"].iter().any(|own| name.contains(own));
            missing.extend(lacking.filter(|_| !is_own).map(|_| name.to_owned()));
        }
        assert!(missing.is_empty(), "{missing:?}");
    }
}
