//! Paths of everything of an installed agent: the one table that the launchd files, the install
//! plan, the local API, doctor and the documentation agree on.
//!
//! Every path of code has only root-owned ancestors; nothing that root runs lies where a person
//! or Homebrew may write. Paths are relative to a root, which is `/` but for tests, which install
//! into a directory of their own.

use std::path::{Path, PathBuf};

/// launchd's name of the agent, and the stem of its files. It never changes: permissions that a
/// person gave to the agent hang on it.
pub const LABEL: &str = "dev.russet.agent";

/// The identifier of russet-boot's signature.
pub const BOOT_LABEL: &str = "dev.russet.boot";

/// launchd's name of the menubar companion.
pub const MENUBAR_LABEL: &str = "dev.russet.menubar";

/// systemd's name of the agent.
pub const SYSTEMD_UNIT: &str = "russet-agent.service";

/// launchd's name of the control plane.
pub const SERVER_LABEL: &str = "dev.russet.server";

/// systemd's name of the control plane.
pub const SERVER_SYSTEMD_UNIT: &str = "russet-server.service";

/// Slot `N` has the user of this name with `N` at its end, unless configured otherwise.
pub const USER_PREFIX: &str = "_russet";

/// Code, root's alone.
const CODE: &str = "opt/russet";

#[cfg(target_os = "macos")]
mod os {
    pub(super) const BUNDLE: &str = "RussetAgent.app";
    pub(super) const EXECUTABLE: &str = "Contents/MacOS/russet";
    pub(super) const CONFIG: &str = "Library/Preferences/dev.russet.agent/config.yaml";
    pub(super) const STATE: &str = "var/db/russet";
    /// No link lies on the way, unlike `/var`: `xcodebuild -create-xcframework` and module caches
    /// compare paths as text (libsodium#1356, swift-syntax#319). `/private/var` would not do, since
    /// Foundation standardizes it to `/var` again.
    pub(super) const DATA: &str = "opt/russet/data";
    pub(super) const LOGS: &str = "Library/Logs/Russet";
    pub(super) const SOCKETS: &str = "var/run/russet";
}

#[cfg(not(target_os = "macos"))]
mod os {
    pub(super) const BUNDLE: &str = "agent";
    pub(super) const EXECUTABLE: &str = "russet";
    pub(super) const CONFIG: &str = "etc/russet/config.yaml";
    pub(super) const STATE: &str = "var/lib/russet";
    pub(super) const DATA: &str = STATE;
    pub(super) const LOGS: &str = "var/log/russet";
    pub(super) const SOCKETS: &str = "run/russet";
}

/// Paths below one root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Default for Layout {
    fn default() -> Self {
        Self { root: PathBuf::from("/") }
    }
}

impl Layout {
    /// Everything below `root`.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The installation that an executable of the agent belongs to.
    #[must_use]
    pub fn around(executable: &Path) -> Option<Self> {
        let layouts = executable.ancestors().map(Self::below);
        layouts.into_iter().find(|layout| layout.executable() == executable)
    }

    /// The installation whose `russet-boot` keeps its files in this directory.
    #[must_use]
    pub fn of_boot_state(boot_state: &Path) -> Option<Self> {
        let layouts = boot_state.ancestors().map(Self::below);
        layouts.into_iter().find(|layout| layout.boot_state() == boot_state)
    }

    /// The root that all paths begin with.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `/opt/russet`: all code.
    #[must_use]
    pub fn code(&self) -> PathBuf {
        self.root.join(CODE)
    }

    /// The agent's bundle: one fixed path, exchanged as a whole by updates.
    #[must_use]
    pub fn bundle(&self) -> PathBuf {
        self.code().join(os::BUNDLE)
    }

    /// The `russet` executable in the bundle.
    #[must_use]
    pub fn executable(&self) -> PathBuf {
        self.bundle().join(os::EXECUTABLE)
    }

    /// The bundle of the version before, which `russet-boot` can go back to.
    #[must_use]
    pub fn previous(&self) -> PathBuf {
        self.code().join("previous")
    }

    /// Returns the directory in which updates are made ready, 0700: beside the bundle, since
    /// directories are exchanged within one file system.
    #[must_use]
    pub fn staging(&self) -> PathBuf {
        self.code().join("staging")
    }

    /// Returns the directory into which Installer puts what a package brings, 0700.
    #[must_use]
    pub fn incoming(&self) -> PathBuf {
        self.code().join("incoming")
    }

    /// Returns the directory of what a package brought and the agent has taken, 0700.
    #[must_use]
    pub fn arrived(&self) -> PathBuf {
        self.code().join("arrived")
    }

    /// The executable of the version before.
    #[must_use]
    pub fn previous_executable(&self) -> PathBuf {
        self.previous().join(os::EXECUTABLE)
    }

    /// The menubar companion.
    #[must_use]
    pub fn menubar_bundle(&self) -> PathBuf {
        self.code().join("Russet.app")
    }

    /// The menubar companion's executable.
    #[must_use]
    pub fn menubar_executable(&self) -> PathBuf {
        self.menubar_bundle().join("Contents/MacOS/russet-menubar")
    }

    /// `russet-boot`, which launchd and systemd start.
    #[must_use]
    pub fn boot(&self) -> PathBuf {
        self.code().join("russet-boot")
    }

    /// Links to commands for people, on their PATH.
    #[must_use]
    pub fn bin(&self) -> PathBuf {
        self.code().join("bin")
    }

    /// The agent's configuration, 0600.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.root.join(os::CONFIG)
    }

    /// Returns the note of the machine that the installation is for. It lies beside the
    /// configuration, since it is to go wherever the token in there goes.
    #[must_use]
    pub fn seal(&self) -> PathBuf {
        self.config().with_file_name("machine.json")
    }

    /// Credentials, records, the receipt of the installation, the files of `russet-boot`.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root.join(os::STATE)
    }

    /// Slots with their journals, and caches: all that tasks write.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.root.join(os::DATA)
    }

    /// Logs of the agent, which it rotates itself.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.root.join(os::LOGS)
    }

    /// The agent's own log, which it rotates.
    #[must_use]
    pub fn agent_log(&self) -> PathBuf {
        self.logs().join("agent.log")
    }

    /// Returns the log of `russet-boot` and of the agent's panics: launchd holds it open, so the
    /// agent's own log is another.
    #[must_use]
    pub fn boot_log(&self) -> PathBuf {
        self.logs().join("russet-boot.log")
    }

    /// Returns the directory of messages between `russet-boot` and the agent, see
    /// `docs/service.md`.
    #[must_use]
    pub fn boot_state(&self) -> PathBuf {
        self.state().join("boot")
    }

    /// The directory of the local API's socket: root's, 0755.
    #[must_use]
    pub fn sockets(&self) -> PathBuf {
        self.root.join(os::SOCKETS)
    }

    /// The local API's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.sockets().join("agent.sock")
    }

    /// The launchd daemon's file.
    #[must_use]
    pub fn daemon_plist(&self) -> PathBuf {
        self.root.join("Library/LaunchDaemons").join(format!("{LABEL}.plist"))
    }

    /// The menubar companion's file.
    #[must_use]
    pub fn menubar_plist(&self) -> PathBuf {
        self.root.join("Library/LaunchAgents").join(format!("{MENUBAR_LABEL}.plist"))
    }

    /// The line that puts [`Layout::bin`] on the PATH of macOS shells.
    #[must_use]
    pub fn paths_d(&self) -> PathBuf {
        self.root.join("etc/paths.d/russet")
    }

    /// The systemd unit.
    #[must_use]
    pub fn systemd_unit(&self) -> PathBuf {
        self.root.join("etc/systemd/system").join(SYSTEMD_UNIT)
    }

    /// The log of the package's scripts on macOS.
    #[must_use]
    pub fn package_log(&self) -> PathBuf {
        self.root.join("var/log/russet-install.log")
    }

    /// Wishes of the machine's owner for the package on macOS, unless in a profile.
    #[must_use]
    pub fn package_settings(&self) -> PathBuf {
        self.root.join("Library/Preferences/dev.russet.package.plist")
    }

    /// Returns the receipt of the installation, for undoing exactly what it did.
    #[must_use]
    pub fn receipt(&self) -> PathBuf {
        self.state().join("receipt.json")
    }
}
