//! Scripts that make a shell ask this program to complete a line.

use clap_complete::env::Shells;

use crate::error::{CliError, Result};

/// Variable that makes this program complete a line instead of running it.
pub(crate) const VARIABLE: &str = "RUSSET_COMPLETE";

/// Returns the script that makes a shell complete lines of this program.
///
/// # Errors
/// There is none for that shell.
pub(crate) fn shell_script(shell: &str) -> Result<String> {
    let failed = |error| CliError::local(format!("could not write a script for {shell}"), error);
    let shells = Shells::builtins();
    let unknown = || failed(std::io::Error::other("no script is known"));
    let completer = shells.completer(shell).ok_or_else(unknown)?;
    let mut script = Vec::new();
    completer
        .write_registration(VARIABLE, "russet", "russet", "russet", &mut script)
        .map_err(failed)?;
    Ok(String::from_utf8_lossy(&script).into_owned())
}

#[cfg(test)]
mod tests {
    use super::shell_script;

    #[test]
    fn each_shell_has_a_script_that_asks_this_program() {
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let script = shell_script(shell).unwrap();
            assert!(script.contains("RUSSET_COMPLETE"), "{script}");
        }
        assert!(shell_script("csh").is_err());
    }
}
