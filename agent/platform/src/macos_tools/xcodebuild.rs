//! Check that an Xcode can be used at all: its licence was agreed to, and its first launch is done.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::{CommandError, Tools};

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

/// Returns the assignment before a command that makes it use the Xcode in `dir`, as a shell takes it:
/// `DEVELOPER_DIR=… `. sudo passes no variable on, so each command needs its own.
#[must_use]
pub fn developer_dir_assignment(dir: &Path) -> String {
    let text = dir.to_string_lossy();
    let quoted =
        shlex::try_quote(&text).map_or_else(|_| text.to_string(), |quoted| quoted.into_owned());
    format!("DEVELOPER_DIR={quoted} ")
}

/// Looks at the Xcode in `developer_dir`; `None`: the one that is selected.
///
/// Its own `xcodebuild` is run, as `/usr/bin/xcodebuild` does. Threat: administrators may write to
/// `/Applications`, and what they put there must not run as root: a caller that is root names the
/// ids of a user and a group without rights.
///
/// # Errors
///
/// A tool does not end, or cannot be run.
pub fn check_readiness(
    tools: &Tools,
    developer_dir: Option<&Path>,
    user: Option<(u32, u32)>,
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
        let program = selected.join("usr/bin/xcodebuild");
        let command = tools.command(&program.to_string_lossy()).args(args);
        let command = command.env("DEVELOPER_DIR", &selected).limit(LIMIT);
        match user {
            Some((uid, gid)) => command.as_user(uid, gid).run(),
            None => command.run(),
        }
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
            check_readiness(&tools, Some(Path::new("/X/Contents/Developer")), None).unwrap()
        };
        assert_eq!(ready(0, 0), Readiness::Ready);
        assert_eq!(ready(69, 69), Readiness::Licence);
        assert_eq!(ready(0, 69), Readiness::FirstLaunch);
        assert_eq!(ready(1, 1), Readiness::Broken("odd".to_owned()));
        // An old Xcode that knows no `-license check` and is ready.
        assert_eq!(ready(64, 0), Readiness::Ready);
        fake_tool(dir.path(), "xcode-select", "echo /Library/Developer/CommandLineTools");
        assert_eq!(check_readiness(&tools, None, None).unwrap(), Readiness::ToolsOnly);
        fake_tool(dir.path(), "xcode-select", "exit 2");
        assert_eq!(check_readiness(&tools, None, None).unwrap(), Readiness::None);
        fake_tool(dir.path(), "xcode-select", "echo /X/Contents/Developer");
        assert_eq!(check_readiness(&tools, None, None).unwrap(), Readiness::Ready);
    }
}
