//! Check that an Xcode can be used at all: its licence was agreed to, and its first launch is done.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::{CommandError, Tools};

const XCODEBUILD: &str = "/usr/bin/xcodebuild";
const XCODE_SELECT: &str = "/usr/bin/xcode-select";

/// The first call after a start of the Mac takes long.
const LIMIT: Duration = Duration::from_secs(60);

/// Missing step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Nothing.
    Ready,
    /// Only the command line tools are selected, which have no licence of this kind.
    ToolsOnly,
    /// There are no developer tools.
    None,
    /// The licence was not agreed to. Every tool of Xcode ends with 69 then
    /// (bazelbuild/continuous-integration#842).
    Licence,
    /// Components are to be installed (`-runFirstLaunch`).
    FirstLaunch,
    /// It says something else.
    Broken(String),
}

/// Looks at the Xcode in `developer_dir`; `None`: the one that is selected.
///
/// # Errors
///
/// A tool does not end, or cannot be run.
pub fn check_readiness(
    tools: &Tools,
    developer_dir: Option<&Path>,
) -> Result<Readiness, CommandError> {
    let selected = match developer_dir {
        Some(dir) => dir.to_owned(),
        None => {
            let output = tools.command(XCODE_SELECT).arg("-p").run()?;
            if !output.status.success() {
                return Ok(Readiness::None);
            }
            PathBuf::from(output.text().trim())
        }
    };
    // `/Library/Developer/CommandLineTools` has no xcodebuild.
    if selected.ends_with("CommandLineTools") {
        return Ok(Readiness::ToolsOnly);
    }
    let xcodebuild = |args: &[&str]| {
        let command = tools.command(XCODEBUILD).args(args).env("DEVELOPER_DIR", &selected);
        command.limit(LIMIT).run()
    };
    let licence = xcodebuild(&["-license", "check"])?;
    if licence.code() == Some(69) {
        return Ok(Readiness::Licence);
    }
    let first = xcodebuild(&["-checkFirstLaunchStatus"])?;
    Ok(match (licence.status.success(), first.code()) {
        (_, Some(0)) => Readiness::Ready,
        (true, Some(69)) => Readiness::FirstLaunch,
        _ => {
            let said = [licence.error_text(), first.error_text()].join(" ");
            Readiness::Broken(said.split_whitespace().collect::<Vec<_>>().join(" "))
        }
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Readiness, check_readiness};
    use crate::command::{Tools, testing::fake_tool};

    /// Exit statuses: 69 is EX_UNAVAILABLE, seen for the licence by many; for the first launch it
    /// is assumed.
    #[test]
    fn what_is_missing_is_told_by_the_exit_status() {
        let dir = tempfile::tempdir().unwrap();
        let tools = Tools::below(dir.path());
        let ready = |licence: i32, first: i32| {
            let script = format!(
                "[ \"$DEVELOPER_DIR\" = /X/Contents/Developer ] || exit 1\n\
                 case $1 in -license) exit {licence} ;; *) echo odd >&2; exit {first} ;; esac"
            );
            fake_tool(dir.path(), "xcodebuild", &script);
            check_readiness(&tools, Some(Path::new("/X/Contents/Developer"))).unwrap()
        };
        assert_eq!(ready(0, 0), Readiness::Ready);
        assert_eq!(ready(69, 69), Readiness::Licence);
        assert_eq!(ready(0, 69), Readiness::FirstLaunch);
        assert_eq!(ready(1, 1), Readiness::Broken("odd".to_owned()));
        // An old Xcode that knows no `-license check` and is ready.
        assert_eq!(ready(64, 0), Readiness::Ready);
        fake_tool(dir.path(), "xcode-select", "echo /Library/Developer/CommandLineTools");
        assert_eq!(check_readiness(&tools, None).unwrap(), Readiness::ToolsOnly);
        fake_tool(dir.path(), "xcode-select", "exit 2");
        assert_eq!(check_readiness(&tools, None).unwrap(), Readiness::None);
        fake_tool(dir.path(), "xcode-select", "echo /X/Contents/Developer");
        assert_eq!(check_readiness(&tools, None).unwrap(), Readiness::Ready);
    }
}
