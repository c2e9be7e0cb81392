//! Traces of an installer package on a Mac beside its files: a receipt, and the menubar companion
//! in the session of whoever sits there.

use std::os::unix::fs::MetadataExt as _;

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

/// Ends the menubar companion of whoever sits at this Mac. That it does not run, or that nobody
/// sits there, is as good.
pub fn stop_menubar(tools: &Tools) {
    let Ok(console) = std::fs::metadata("/dev/console") else { return };
    if console.uid() != 0 {
        let job = format!("gui/{}/{MENUBAR_LABEL}", console.uid());
        drop(tools.command(LAUNCHCTL).args(["bootout", &job]).run_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::forget_receipt;
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
}
