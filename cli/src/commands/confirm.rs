//! Asking before something is deleted.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};

use crate::error::{CliError, Result};
use crate::exit::Exit;

/// Longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 64;

/// Option of commands that delete.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct YesArgs {
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

impl YesArgs {
    /// Asks whether `what` is to be done, unless the arguments say so. An error is a no.
    pub(crate) fn confirm(self, what: &str) -> Result<()> {
        if self.yes {
            return Ok(());
        }
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Err(CliError::new(Exit::Usage, format!("{what}: nobody is here to be asked"))
                .hint("add --yes to do it without a question"));
        }
        let failed = |error| CliError::local("could not ask at the terminal", error);
        write!(std::io::stderr().lock(), "{what}? [y/N] ").map_err(failed)?;
        let mut answer = String::new();
        stdin.lock().take(MAX_ANSWER).read_line(&mut answer).map_err(failed)?;
        if is_yes(&answer) {
            return Ok(());
        }
        Err(CliError::new(Exit::Usage, "nothing was deleted"))
    }
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::is_yes;

    #[test]
    fn only_a_yes_is_a_yes() {
        assert!(is_yes("y\n") && is_yes(" Yes\n"));
        assert!(!is_yes("\n") && !is_yes("no\n") && !is_yes("yess"));
    }
}
