//! Full Disk Access: who needs it, and how that program gets it.
//!
//! macOS asks for the *responsible* process, not for the one that acts: for `sudo russet` in
//! Terminal that is Terminal, over SSH it is sshd, for a package's script Installer, for what
//! launchd started that program itself. The answer to a refusal is therefore another one for each.

use std::path::{Path, PathBuf};

/// Program that macOS holds responsible for this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Responsible {
    /// An app with windows, by its name: Terminal and its like.
    App(String),
    /// The SSH server.
    Ssh,
    /// Installer, for the scripts of a package.
    Installer,
    /// The agent itself, as launchd started it.
    Agent,
    /// Another program, as an MDM agent.
    Other(PathBuf),
    /// It could not be found out.
    Unknown,
}

/// Place of the switches.
const PANE: &str = "System Settings, Privacy & Security, Full Disk Access";

impl Responsible {
    /// Tells the program by the path of its executable.
    #[must_use]
    pub fn of_path(path: &Path) -> Self {
        let text = path.to_string_lossy();
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let is_packagekit = text.contains("/PackageKit.framework/");
        match name.as_ref() {
            "sshd" | "sshd-session" | "sshd-auth" | "sshd-keygen-wrapper" => Self::Ssh,
            "Installer" | "installd" | "installer" | "package_script_service" => Self::Installer,
            _ if is_packagekit => Self::Installer,
            "russet" | "russet-boot" => Self::Agent,
            "" => Self::Unknown,
            _ => match app_name(path) {
                Some(app) => Self::App(app),
                None => Self::Other(path.to_owned()),
            },
        }
    }

    /// Returns what a person has to do so that this program is not refused any more.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::App(app) => {
                format!("switch {app} on in {PANE}, quit it and open it again, and run this again")
            }
            Self::Ssh => format!("{}, log in anew, and run this again", over_ssh()),
            Self::Installer => format!(
                "allow it where macOS asks whether Installer may administer this computer, or {}",
                by_hand()
            ),
            Self::Agent => format!(
                "the agent cannot be asked; {}, or give /opt/russet/russet-boot that access by a \
                 profile (docs/mdm.md)",
                by_hand()
            ),
            Self::Other(path) => format!(
                "give {} that access by a profile (docs/mdm.md), or {}",
                path.display(),
                by_hand()
            ),
            Self::Unknown => format!(
                "in Terminal, switch Terminal on in {PANE}; over SSH, {}; for an MDM agent, give it \
                 that access by a profile (docs/mdm.md); after Installer, {}",
                over_ssh(),
                by_hand()
            ),
        }
    }
}

fn over_ssh() -> &'static str {
    "switch on “Allow full disk access for remote users” in System Settings, General, Sharing, \
     Remote Login"
}

fn by_hand() -> &'static str {
    "run `sudo russet agent repair` in a Terminal that has Full Disk Access"
}

/// The name of the app that an executable lies in, the outermost one.
fn app_name(path: &Path) -> Option<String> {
    let names = path.iter().filter_map(|part| part.to_str()?.strip_suffix(".app"));
    names.into_iter().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::Responsible;
    use std::path::{Path, PathBuf};

    #[test]
    fn who_is_responsible_is_told_by_the_executable() {
        for (path, expected) in [
            (
                "/System/Applications/Utilities/Terminal.app/Contents/MacOS/Terminal",
                Responsible::App("Terminal".to_owned()),
            ),
            ("/Applications/iTerm.app/Contents/MacOS/iTerm2", Responsible::App("iTerm".to_owned())),
            ("/usr/sbin/sshd", Responsible::Ssh),
            ("/usr/libexec/sshd-session", Responsible::Ssh),
            (
                "/System/Library/CoreServices/Installer.app/Contents/MacOS/Installer",
                Responsible::Installer,
            ),
            (
                "/System/Library/PrivateFrameworks/PackageKit.framework/Resources/installd",
                Responsible::Installer,
            ),
            ("/opt/russet/russet-boot", Responsible::Agent),
            ("/opt/russet/RussetAgent.app/Contents/MacOS/russet", Responsible::Agent),
            (
                "/usr/local/jamf/bin/jamf",
                Responsible::Other(PathBuf::from("/usr/local/jamf/bin/jamf")),
            ),
            ("", Responsible::Unknown),
        ] {
            assert_eq!(Responsible::of_path(Path::new(path)), expected, "{path}");
        }
    }

    #[test]
    fn each_has_a_way_to_the_access_of_its_own() {
        let jamf = Responsible::Other(PathBuf::from("/usr/local/jamf/bin/jamf"));
        for (who, words) in [
            (Responsible::App("iTerm".to_owned()), "switch iTerm on"),
            (Responsible::Ssh, "remote users"),
            (Responsible::Installer, "Installer may administer"),
            (Responsible::Agent, "sudo russet agent repair"),
            (jamf, "give /usr/local/jamf/bin/jamf that access"),
        ] {
            assert!(who.remedy().contains(words), "{}", who.remedy());
        }
        let all = Responsible::Unknown.remedy();
        for words in ["Terminal", "remote users", "MDM agent", "Installer", "Full Disk Access"] {
            assert!(all.contains(words), "{all}");
        }
    }
}
