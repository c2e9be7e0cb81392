//! `fdesetup status`: whether the disk is locked until somebody types a password after a restart.

use crate::command::{CommandError, Tools};

const FDESETUP: &str = "/usr/bin/fdesetup";

/// Returns true if FileVault is on; `None` where the answer is another one, as while it is being
/// turned on.
///
/// # Errors
///
/// fdesetup does not say.
pub fn is_on(tools: &Tools) -> Result<Option<bool>, CommandError> {
    Ok(parse(&tools.command(FDESETUP).arg("status").run_ok()?.text()))
}

/// The two sentences as scripts everywhere compare them, such as
/// `[ "$(fdesetup status)" == "FileVault is On." ]`.
fn parse(text: &str) -> Option<bool> {
    match text.lines().next().unwrap_or_default().trim() {
        "FileVault is On." => Some(true),
        "FileVault is Off." => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn both_sentences_are_known_and_others_are_not_guessed_at() {
        assert_eq!(parse("FileVault is On.\n"), Some(true));
        assert_eq!(
            parse("FileVault is Off.\nDeferred enablement appears to be active\n"),
            Some(false)
        );
        assert_eq!(parse("Encryption in progress: Percent completed = 12\n"), None);
    }
}
