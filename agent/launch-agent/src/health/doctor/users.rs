//! The users of slots, against the receipt of the installation.

use crate::health::{Check, Level};
use crate::install;
use russet_platform::layout::Layout;

const NAME: &str = "users";

/// Looks at the users of what is installed. `None`: nothing is, or this process may not know.
pub(super) fn check_users(layout: &Layout) -> Option<Check> {
    if !nix::unistd::geteuid().is_root() || install::installed_program(layout).ok()?.is_none() {
        return None;
    }
    match install::user_faults(layout) {
        Ok(faults) => Some(judge_faults(&faults)),
        Err(error) => Some(Check::new(NAME, Level::Unknown, error.to_string(), "")),
    }
}

fn judge_faults(faults: &[String]) -> Check {
    if faults.is_empty() {
        let found = "the users of slots are as they were made".to_owned();
        return Check::new(NAME, Level::Ok, found, "");
    }
    let hint = "`sudo russet agent repair` puts them right, and says which access it needs";
    Check::new(NAME, Level::Warning, faults.join("; "), hint)
}

#[cfg(test)]
mod tests {
    use super::judge_faults;
    use crate::health::Level;

    #[test]
    fn a_user_that_is_gone_is_named_with_the_command() {
        assert_eq!(judge_faults(&[]).level, Level::Ok);
        let check = judge_faults(&["the user _russet1 does not exist any more".to_owned()]);
        assert_eq!(check.level, Level::Warning);
        assert!(check.found.contains("_russet1"), "{}", check.found);
        assert!(check.hint.unwrap().contains("sudo russet agent repair"));
    }
}
