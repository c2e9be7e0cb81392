//! Traces of an installer package on a Mac beside its files: a receipt, and the menubar companion
//! in the session of everybody who is logged in at the screen.

use std::collections::BTreeSet;

use crate::command::{CommandError, Tools};
use crate::layout::MENUBAR_LABEL;

const PKGUTIL: &str = "/usr/sbin/pkgutil";
const LAUNCHCTL: &str = "/bin/launchctl";

/// Forgets the receipt of a package. One that is not there is forgotten.
///
/// # Errors
///
/// `pkgutil` knows the package and does not forget it.
pub fn forget_receipt(tools: &Tools, identifier: &str) -> Result<(), CommandError> {
    // Its exit status is 0 for a package that it knows. Where there is no `pkgutil`, nothing is
    // known.
    let known = tools.command(PKGUTIL).args(["--pkg-info", identifier]).run_ok();
    if known.is_err() {
        return Ok(());
    }
    tools.command(PKGUTIL).args(["--forget", identifier]).run_ok().map(drop)
}

/// The first user id of people.
const FIRST_PERSON: u32 = 500;

/// Ends the menubar companion of everybody who is logged in at the screen: with fast user switching
/// that is more than one. One that does not run is as good.
pub fn stop_menubars(tools: &Tools) {
    for uid in screen_sessions(tools, &crate::user_ids_with_processes()) {
        let job = format!("gui/{uid}/{MENUBAR_LABEL}");
        drop(tools.command(LAUNCHCTL).args(["bootout", &job]).run_ok());
    }
}

/// Lists the users among `uids` who have a session at the screen, whether they are in front of it or
/// were switched away from.
#[must_use]
pub fn screen_sessions(tools: &Tools, uids: &BTreeSet<u32>) -> Vec<u32> {
    let has_session = |uid: &u32| {
        let domain = format!("gui/{uid}");
        *uid >= FIRST_PERSON && tools.command(LAUNCHCTL).args(["print", &domain]).run_ok().is_ok()
    };
    uids.iter().copied().filter(has_session).collect()
}

/// Starts the menubar companion of everybody who has a session at the screen anew, from the files
/// that are in place now. Where nobody has, it starts with the next login.
pub fn restart_menubars(tools: &Tools, plist: &std::path::Path) {
    for uid in screen_sessions(tools, &crate::user_ids_with_processes()) {
        let domain = format!("gui/{uid}");
        let job = format!("{domain}/{MENUBAR_LABEL}");
        let restarted = tools.command(LAUNCHCTL).args(["kickstart", "-k", &job]).run_ok();
        if restarted.is_err() {
            // The package brought it for the first time.
            drop(tools.command(LAUNCHCTL).args(["bootstrap", &domain]).arg(plist).run_ok());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{forget_receipt, screen_sessions};
    use crate::command::Tools;
    use crate::command::testing::fake_tool;

    #[test]
    fn a_receipt_is_forgotten_once_and_one_that_is_not_there_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let tools = Tools::below(dir.path());
        forget_receipt(&tools, "dev.russet.agent.pkg").unwrap();
        let (known, calls) = (dir.path().join("known"), dir.path().join("calls"));
        let script = format!(
            "echo \"$*\" >>{calls}; case $1 in --pkg-info) test -e {known};; --forget) /bin/rm {known};; esac",
            calls = calls.display(),
            known = known.display()
        );
        fake_tool(dir.path(), "pkgutil", &script);
        std::fs::write(&known, "").unwrap();
        for _ in 0..2 {
            forget_receipt(&tools, "dev.russet.agent.pkg").unwrap();
        }
        let calls = std::fs::read_to_string(calls).unwrap();
        assert_eq!(
            calls,
            "--pkg-info dev.russet.agent.pkg\n--forget dev.russet.agent.pkg\n--pkg-info dev.russet.agent.pkg\n"
        );
        fake_tool(dir.path(), "pkgutil", "case $1 in --forget) exit 1;; esac");
        assert!(forget_receipt(&tools, "dev.russet.agent.pkg").is_err());
    }

    #[test]
    fn everybody_who_is_logged_in_at_the_screen_has_a_session() {
        let dir = tempfile::tempdir().unwrap();
        let domains = "case $2 in gui/501|gui/502|gui/88) ;; *) exit 113;; esac";
        fake_tool(dir.path(), "launchctl", domains);
        let tools = Tools::below(dir.path());
        // Root, a service of Apple's, two people, and one who is logged in over SSH.
        let uids = BTreeSet::from([0, 88, 501, 502, 503]);
        assert_eq!(screen_sessions(&tools, &uids), [501, 502]);
    }
}
