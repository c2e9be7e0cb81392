//! Rosetta, which translates programs for Intel on Apple silicon.

use std::time::Duration;

use crate::command::{CommandError, Tools};

const ARCH: &str = "/usr/bin/arch";
const SOFTWAREUPDATE: &str = "/usr/sbin/softwareupdate";

/// A download of some hundred MB.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Returns true if a program for Intel runs: on Apple silicon with Rosetta, and on every Intel Mac.
///
/// # Errors
///
/// arch(1) cannot be run.
pub fn runs_intel(tools: &Tools) -> Result<bool, CommandError> {
    let output = tools.command(ARCH).args(["-x86_64", "/usr/bin/true"]).run()?;
    Ok(output.status.success())
}

/// Installs Rosetta, and agrees to its licence.
///
/// # Errors
///
/// softwareupdate failed.
pub fn install(tools: &Tools) -> Result<(), CommandError> {
    let command = tools.command(SOFTWAREUPDATE);
    let command = command.args(["--install-rosetta", "--agree-to-license"]);
    command.limit(INSTALL_TIMEOUT).run_ok().map(drop)
}

#[cfg(test)]
mod tests {
    use super::{install, runs_intel};
    use crate::command::Tools;
    use crate::command::testing::fake_tool;

    /// Output of arch(1) without Rosetta, as people posted it.
    #[test]
    fn rosetta_is_there_if_a_program_for_intel_runs() {
        let dir = tempfile::tempdir().unwrap();
        let tools = Tools::below(dir.path());
        let bad = "[ -e \"$0.on\" ] || { echo 'arch: posix_spawnp: /usr/bin/true: Bad CPU type in \
                   executable' >&2; exit 1; }";
        fake_tool(dir.path(), "arch", bad);
        fake_tool(
            dir.path(),
            "softwareupdate",
            "[ \"$*\" = '--install-rosetta --agree-to-license' ] && touch \"$(dirname \"$0\")/arch.on\"",
        );
        assert!(!runs_intel(&tools).unwrap());
        install(&tools).unwrap();
        assert!(runs_intel(&tools).unwrap());
    }
}
