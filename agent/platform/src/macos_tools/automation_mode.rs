//! `automationmodetool`: if UI tests may control the Mac without somebody's password each time.
//!
//! XCTest turns automation mode on at the beginning of a UI test. Where that takes a password,
//! which nobody types, the test ends with "Timed out while enabling automation mode"
//! (actions/runner-images #7621).

use crate::command::{CommandError, Tools};

const TOOL: &str = "/usr/bin/automationmodetool";

/// Returns true if automation mode takes no password; `None` where the answer is another one, or
/// this macOS has no such tool.
///
/// # Errors
///
/// The tool cannot be run.
pub fn is_free(tools: &Tools) -> Result<Option<bool>, CommandError> {
    match tools.command(TOOL).run() {
        // Without a command it prints the state, and its usage with another exit status.
        Ok(output) => Ok(parse_state(&format!("{}\n{}", output.text(), output.error_text()))),
        Err(CommandError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Lets tests turn automation mode on without a password, or not.
///
/// # Errors
///
/// The tool refused.
pub fn set_free(tools: &Tools, is_free: bool) -> Result<(), CommandError> {
    let verb = if is_free { "enable" } else { "disable" };
    let command = format!("{verb}-automationmode-without-authentication");
    tools.command(TOOL).arg(command).run_ok().map(drop)
}

fn parse_state(text: &str) -> Option<bool> {
    let line = text.lines().find(|line| line.contains("user authentication"))?.to_lowercase();
    match (line.contains("does not require"), line.contains("require")) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_free, parse_state, set_free};
    use crate::command::Tools;
    use crate::command::testing::fake_tool;

    /// As people posted them: macOS 15 and 26 (two spellings), 27.
    #[test]
    fn each_spelling_of_the_state_is_understood() {
        let of =
            |sentence: &str| parse_state(&format!("Automation Mode is disabled.\n{sentence}\n"));
        for sentence in [
            "This device requires user authentication to enable Automation Mode.",
            "This device REQUIRES user authentication to enable Automation Mode.",
        ] {
            assert_eq!(of(sentence), Some(false));
        }
        let free = "This device DOES NOT REQUIRE user authentication to enable Automation Mode.";
        assert_eq!(of(free), Some(true));
        assert_eq!(of("usage: automationmodetool"), None);
    }

    #[test]
    fn an_older_macos_has_no_such_tool() {
        let dir = tempfile::tempdir().unwrap();
        let tools = Tools::below(dir.path());
        assert_eq!(is_free(&tools).unwrap(), None);
        let script = "case $1 in '') [ -e \"$0.free\" ] && no='DOES NOT REQUIRE' || no=REQUIRES\n\
                      echo \"This device $no user authentication\"; exit 64 ;;\n\
                      enable-automationmode-without-authentication) touch \"$0.free\" ;;\n\
                      disable-automationmode-without-authentication) rm \"$0.free\" ;; esac";
        fake_tool(dir.path(), "automationmodetool", script);
        for wanted in [true, false] {
            set_free(&tools, wanted).unwrap();
            assert_eq!(is_free(&tools).unwrap(), Some(wanted));
        }
    }
}
