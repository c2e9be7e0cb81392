//! Free space as macOS counts it: `df` leaves out what the system would delete for a program that
//! needs room (purgeable files, local snapshots of Time Machine).

use std::path::Path;

use crate::command::{CommandError, Tools};

const OSASCRIPT: &str = "/usr/bin/osascript";
const TMUTIL: &str = "/usr/bin/tmutil";

/// Returns the bytes that a program gets that needs them, with all that macOS can purge; `None` where
/// the answer is no number.
///
/// # Errors
///
/// osascript does not answer.
pub fn available_bytes(tools: &Tools, path: &Path) -> Result<Option<u64>, CommandError> {
    // The path is an argument of the script, not a part of it.
    const SCRIPT: &str = "ObjC.import('Foundation'); function run(argv) { var value = Ref(); \
        $.NSURL.fileURLWithPath(argv[0]).getResourceValueForKeyError(value, \
        'NSURLVolumeAvailableCapacityForImportantUsageKey', null); \
        return ObjC.unwrap(value[0]).toString(); }";
    let command = tools.command(OSASCRIPT).args(["-l", "JavaScript", "-e", SCRIPT]);
    Ok(command.arg(path).run_ok()?.text().trim().parse().ok())
}

/// Counts the local snapshots, which keep what was deleted since.
///
/// # Errors
///
/// tmutil does not answer.
pub fn count_snapshots(tools: &Tools) -> Result<usize, CommandError> {
    let text = tools.command(TMUTIL).args(["listlocalsnapshots", "/"]).run_ok()?.text();
    Ok(text.lines().filter(|line| line.trim().starts_with("com.apple.")).count())
}

#[cfg(test)]
mod tests {
    use super::{available_bytes, count_snapshots};
    use crate::command::Tools;
    use crate::command::testing::fake_tool;
    use std::path::Path;

    /// `tmutil` as of macOS 11 to 26.
    #[test]
    fn space_and_snapshots_are_counted() {
        let dir = tempfile::tempdir().unwrap();
        let tools = Tools::below(dir.path());
        fake_tool(dir.path(), "osascript", "[ \"$5\" = '/a b' ] && echo 131024830464");
        assert_eq!(available_bytes(&tools, Path::new("/a b")).unwrap(), Some(131_024_830_464));
        fake_tool(dir.path(), "osascript", "echo undefined");
        assert_eq!(available_bytes(&tools, Path::new("/")).unwrap(), None);
        fake_tool(
            dir.path(),
            "tmutil",
            "printf '%s\\n' 'Snapshots for disk /:' com.apple.TimeMachine.2026-11-29-101010.local \
             com.apple.os.update-0123",
        );
        assert_eq!(count_snapshots(&tools).unwrap(), 2);
    }
}
