//! What an Xcode needs before it builds, beyond its files: `xcodebuild` does it for the Xcode that
//! `DEVELOPER_DIR` names, which is not always the selected one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::{Command, CommandError, Tools};

const XCODEBUILD: &str = "/usr/bin/xcodebuild";
const XCRUN: &str = "/usr/bin/xcrun";
const XCODE_SELECT: &str = "/usr/bin/xcode-select";

/// The package installers of a first launch took a minute (wraithbox X06), and wait for others.
const FIRST_LAUNCH_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// A component is a download of about 700 MB.
const COMPONENT_TIMEOUT: Duration = Duration::from_secs(2 * 3600);

/// A runtime is a download of 8 to 10 GB (20 minutes in wraithbox X06), and is verified after it.
const PLATFORM_TIMEOUT: Duration = Duration::from_secs(6 * 3600);

/// The first answer after a start of the Mac, or after an update of Xcode, takes long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// An Xcode, by its `Contents/Developer`.
#[derive(Clone, Debug)]
pub struct Xcode {
    tools: Tools,
    developer_dir: PathBuf,
}

/// Returns `Contents/Developer` of the Xcode that is selected on the Mac; `None` where there is none,
/// or only the command line tools.
///
/// # Errors
///
/// xcode-select cannot be run.
pub fn selected_developer_dir(tools: &Tools) -> Result<Option<PathBuf>, CommandError> {
    let output = tools.command(XCODE_SELECT).arg("-p").run()?;
    let path = PathBuf::from(output.text().trim());
    let is_xcode = output.status.success() && path.is_absolute();
    Ok((is_xcode && !path.ends_with("CommandLineTools")).then_some(path))
}

/// State of a component that Xcode downloads apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Component {
    /// It is there.
    Installed,
    /// It is not, in xcodebuild's words.
    Absent(String),
    /// This Xcode has it in itself.
    BuiltIn,
}

impl Xcode {
    /// The Xcode in this directory.
    #[must_use]
    pub fn new(tools: &Tools, developer_dir: &Path) -> Self {
        Self { tools: tools.clone(), developer_dir: developer_dir.to_owned() }
    }

    /// Agrees to its licence.
    ///
    /// # Errors
    ///
    /// xcodebuild refused.
    pub fn accept_licence(&self) -> Result<(), CommandError> {
        self.xcodebuild(&["-license", "accept"]).run_ok().map(drop)
    }

    /// Installs what comes with it: frameworks in `/Library/Developer`, and packages.
    ///
    /// # Errors
    ///
    /// xcodebuild refused.
    pub fn run_first_launch(&self) -> Result<(), CommandError> {
        self.xcodebuild(&["-runFirstLaunch"]).limit(FIRST_LAUNCH_TIMEOUT).run_ok().map(drop)
    }

    /// Returns the state of the Metal toolchain, which is apart from Xcode 26 on.
    ///
    /// # Errors
    ///
    /// xcodebuild does not answer.
    pub fn metal_toolchain(&self) -> Result<Component, CommandError> {
        let command = self.xcodebuild(&["-showComponent", "MetalToolchain"]);
        let output = command.limit(ANSWER_TIMEOUT).run()?;
        let text = format!("{}\n{}", output.text(), output.error_text());
        Ok(parse_component(&text, output.status.success()))
    }

    /// Downloads the Metal toolchain.
    ///
    /// # Errors
    ///
    /// The download failed.
    pub fn download_metal_toolchain(&self) -> Result<(), CommandError> {
        let command = self.xcodebuild(&["-downloadComponent", "MetalToolchain"]);
        command.limit(COMPONENT_TIMEOUT).run_ok().map(drop)
    }

    /// Downloads and installs a platform with its simulator runtime: the one that fits this Xcode,
    /// or that of a version or build. It takes no Apple ID.
    ///
    /// # Errors
    ///
    /// The download failed.
    pub fn download_platform(&self, name: &str, version: Option<&str>) -> Result<(), CommandError> {
        let command = self.xcodebuild(&["-downloadPlatform", name]);
        let command = match version {
            Some(version) => command.args(["-buildVersion", version]),
            None => command,
        };
        command.limit(PLATFORM_TIMEOUT).run_ok().map(drop)
    }

    /// Returns the version of an SDK, which is that of the runtime that fits it.
    ///
    /// # Errors
    ///
    /// xcrun does not answer.
    pub fn sdk_version(&self, sdk: &str) -> Result<String, CommandError> {
        let output = self.xcrun(&["--sdk", sdk, "--show-sdk-version"]).run_ok()?;
        Ok(output.text().trim().to_owned())
    }

    /// `xcrun simctl …` of this Xcode.
    #[must_use]
    pub fn simctl(&self, arguments: &[&str]) -> Command {
        self.xcrun(&["simctl"]).args(arguments)
    }

    fn xcodebuild(&self, arguments: &[&str]) -> Command {
        let command = self.tools.command(XCODEBUILD).args(arguments);
        command.env("DEVELOPER_DIR", &self.developer_dir)
    }

    fn xcrun(&self, arguments: &[&str]) -> Command {
        let command = self.tools.command(XCRUN).args(arguments).limit(ANSWER_TIMEOUT);
        command.env("DEVELOPER_DIR", &self.developer_dir)
    }
}

/// Lines of `-showComponent`: `Status: installed`, `Toolchain Search Path: …`. An Xcode before 26
/// does not know the option.
fn parse_component(text: &str, is_success: bool) -> Component {
    let status = text.lines().find_map(|line| line.trim().strip_prefix("Status:"));
    match status.map(str::trim) {
        Some(status) if status.eq_ignore_ascii_case("installed") => Component::Installed,
        Some(status) => Component::Absent(status.to_owned()),
        None if text.contains("-showComponent") => Component::BuiltIn,
        None => {
            let first = text.lines().map(str::trim).find(|line| !line.is_empty());
            let unknown = if is_success { "no status" } else { "no answer" };
            Component::Absent(first.unwrap_or(unknown).to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Component, Xcode, parse_component, selected_developer_dir};
    use crate::command::Tools;
    use crate::command::testing::fake_tool;

    /// The first is what people wait for in published build notes (Xcode 26 and 27); the last is the
    /// usual answer of xcodebuild to an option that it does not know.
    #[test]
    fn a_component_is_there_only_if_xcodebuild_says_so() {
        let installed = "Asset Path: /System/Library/AssetsV2/x\nStatus: installed\n\
                         Toolchain Identifier: com.apple.dt.toolchain.Metal.32023.883\n\
                         Toolchain Search Path: /private/var/run/com.apple.security.cryptexd/mnt/x\n";
        assert_eq!(parse_component(installed, true), Component::Installed);
        let absent = parse_component("Status: uninstalled\n", true);
        assert_eq!(absent, Component::Absent("uninstalled".to_owned()));
        let old = "xcodebuild: error: invalid option '-showComponent'\n\nUsage: xcodebuild …";
        assert_eq!(parse_component(old, false), Component::BuiltIn);
        let down = parse_component("\nNo network\n", false);
        assert_eq!(down, Component::Absent("No network".to_owned()));
    }

    #[test]
    fn the_command_line_tools_are_no_xcode() {
        let dir = tempfile::tempdir().unwrap();
        let tools = Tools::below(dir.path());
        let selected = |answer: &str| {
            fake_tool(dir.path(), "xcode-select", answer);
            selected_developer_dir(&tools).unwrap()
        };
        assert_eq!(selected("echo /Library/Developer/CommandLineTools"), None);
        assert_eq!(selected("echo 'xcode-select: error: unable to get' >&2; exit 2"), None);
        let xcode = "/Applications/Xcode.app/Contents/Developer";
        assert_eq!(selected(&format!("echo {xcode}")).as_deref(), Some(Path::new(xcode)));
    }

    #[test]
    fn each_command_is_for_the_xcode_that_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let log = "echo \"$DEVELOPER_DIR: $(basename \"$0\") $*\" >> \"$(dirname \"$0\")/said\"";
        fake_tool(dir.path(), "xcodebuild", log);
        fake_tool(dir.path(), "xcrun", &format!("{log}; echo 26.1"));
        let xcode = Xcode::new(&Tools::below(dir.path()), Path::new("/X/Contents/Developer"));
        xcode.accept_licence().unwrap();
        xcode.run_first_launch().unwrap();
        xcode.download_metal_toolchain().unwrap();
        xcode.download_platform("iOS", None).unwrap();
        xcode.download_platform("watchOS", Some("11.5")).unwrap();
        assert_eq!(xcode.sdk_version("iphonesimulator").unwrap(), "26.1");
        xcode.simctl(&["list"]).run_ok().unwrap();
        let said = std::fs::read_to_string(dir.path().join("said")).unwrap();
        let wanted = [
            "xcodebuild -license accept",
            "xcodebuild -runFirstLaunch",
            "xcodebuild -downloadComponent MetalToolchain",
            "xcodebuild -downloadPlatform iOS",
            "xcodebuild -downloadPlatform watchOS -buildVersion 11.5",
            "xcrun --sdk iphonesimulator --show-sdk-version",
            "xcrun simctl list",
        ];
        let wanted: String =
            wanted.iter().map(|line| format!("/X/Contents/Developer: {line}\n")).collect();
        assert_eq!(said, wanted);
    }
}
