//! Readiness of an Xcode as a sentence with the command that mends it: for the doctor, and for
//! holding the classes that use it.

use std::path::Path;

use russet_platform::command::Tools;
use russet_platform::macos_tools::xcodebuild::{self, Readiness};

/// Answer of an Xcode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Title of the Xcode: its developer directory.
    pub(crate) title: String,
    /// Its answer; an error: it could not be asked.
    pub(crate) readiness: Result<Readiness, String>,
    /// The variable that makes tools use it, as a shell takes it.
    variable: String,
}

/// Asks the Xcode in this developer directory; `None`: the one that is selected.
pub(crate) fn ask(tools: &Tools, dir: Option<&Path>, user: Option<(u32, u32)>) -> Verdict {
    let readiness =
        xcodebuild::check_readiness(tools, dir, user).map_err(|error| error.to_string());
    Verdict::new(dir, readiness)
}

/// Returns the ids of `nobody` where this process is root, which must not run what it finds in
/// `/Applications`.
pub(crate) fn powerless_user() -> Option<(u32, u32)> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    let nobody = nix::unistd::User::from_name("nobody").ok().flatten()?;
    Some((nobody.uid.as_raw(), nobody.gid.as_raw()))
}

impl Verdict {
    pub(super) fn new(dir: Option<&Path>, readiness: Result<Readiness, String>) -> Self {
        let title = dir.map_or("the selected Xcode".to_owned(), |dir| dir.display().to_string());
        // sudo passes no variables on: each command names the Xcode that it is about.
        let variable = dir.map(xcodebuild::developer_dir_assignment).unwrap_or_default();
        Self { title, readiness, variable }
    }

    /// Returns what is wrong and what to do; `None`: nothing is, or it is not known.
    pub(super) fn fault(&self, is_needed: bool) -> Option<(String, String)> {
        let Self { title, variable, .. } = self;
        Some(match self.readiness.as_ref().ok()? {
            Readiness::Ready => return None,
            Readiness::ToolsOnly if !is_needed => return None,
            Readiness::ToolsOnly => (
                "only the command line tools are selected, and no Xcode".to_owned(),
                "`sudo xcode-select -s /Applications/Xcode.app`".to_owned(),
            ),
            Readiness::None => (
                "there are no developer tools".to_owned(),
                "`xcode-select --install`, or install Xcode".to_owned(),
            ),
            Readiness::Licence => (
                format!("{title}: its licence was not agreed to, and its tools refuse to run"),
                format!("`sudo {variable}xcodebuild -license accept`"),
            ),
            Readiness::FirstLaunch => (
                format!("{title}: its first launch is not done"),
                format!("`sudo {variable}xcodebuild -runFirstLaunch`"),
            ),
            Readiness::Broken(said) => {
                (format!("{title}: {said}"), format!("run `{variable}xcodebuild -version`"))
            }
        })
    }

    /// Returns the reason for which classes that need it are held. What it says besides is no proof:
    /// as a user without rights it may fail for reasons of its own.
    pub(super) fn obstacle(&self) -> Option<String> {
        if matches!(self.readiness, Ok(Readiness::Broken(_))) {
            return None;
        }
        self.fault(true).map(|(found, remedy)| format!("{found}; {remedy}"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Readiness, Verdict};

    fn verdict(dir: Option<&str>, readiness: Readiness) -> Verdict {
        Verdict::new(dir.map(Path::new), Ok(readiness))
    }

    #[test]
    fn each_command_is_about_the_very_xcode() {
        let dir = "/Applications/Xcode 16.2.app/Contents/Developer";
        let licence = verdict(Some(dir), Readiness::Licence).obstacle().unwrap();
        assert!(
            licence.ends_with(
                "`sudo DEVELOPER_DIR='/Applications/Xcode 16.2.app/Contents/Developer' xcodebuild \
                 -license accept`"
            ),
            "{licence}"
        );
        let first = verdict(None, Readiness::FirstLaunch).obstacle().unwrap();
        assert!(first.ends_with("`sudo xcodebuild -runFirstLaunch`"), "{first}");
    }

    #[test]
    fn what_is_not_known_holds_nothing_and_tools_alone_do_where_an_xcode_is_needed() {
        assert_eq!(verdict(None, Readiness::Ready).obstacle(), None);
        assert_eq!(verdict(None, Readiness::Broken("odd".to_owned())).obstacle(), None);
        assert_eq!(Verdict::new(None, Err("no such file".to_owned())).obstacle(), None);
        let tools = verdict(None, Readiness::ToolsOnly);
        assert!(tools.fault(false).is_none());
        assert!(tools.obstacle().unwrap().contains("xcode-select -s"));
    }
}
