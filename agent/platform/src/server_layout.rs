//! Paths of everything of an installed control plane.
//!
//! Code and receipt are root's alone, apart from those of an agent on the same machine: removing
//! one leaves the other. What the server writes belongs to a user of its own.

use std::path::{Path, PathBuf};

use crate::layout::{SERVER_LABEL, SERVER_SYSTEMD_UNIT};

#[cfg(target_os = "macos")]
mod os {
    pub(super) const SETTINGS: &str = "Library/Preferences/dev.russet.server";
    pub(super) const DATA: &str = "var/db/russet-server";
    pub(super) const LOGS: &str = "Library/Logs/RussetServer";
    pub(super) const USER: &str = "_russetserver";
}

#[cfg(not(target_os = "macos"))]
mod os {
    pub(super) const SETTINGS: &str = "etc/russet-server";
    pub(super) const DATA: &str = "var/lib/russet-server";
    pub(super) const LOGS: &str = "var/log/russet-server";
    pub(super) const USER: &str = "russet-server";
}

/// User of the control plane, unless configured otherwise.
pub const SERVER_USER: &str = os::USER;

/// Paths below one root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerLayout {
    root: PathBuf,
}

impl Default for ServerLayout {
    fn default() -> Self {
        Self { root: PathBuf::from("/") }
    }
}

impl ServerLayout {
    /// Everything below `root`.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The root that all paths begin with.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `/opt/russet-server`: code and receipt, root's alone.
    #[must_use]
    pub fn code(&self) -> PathBuf {
        self.root.join("opt/russet-server")
    }

    /// The `russet` that the service runs.
    #[must_use]
    pub fn executable(&self) -> PathBuf {
        self.code().join("russet")
    }

    /// Options that the service was installed with, one a line of JSON.
    #[must_use]
    pub fn options(&self) -> PathBuf {
        self.code().join("options.json")
    }

    /// Returns the receipt of the installation, for undoing exactly what it did.
    #[must_use]
    pub fn receipt(&self) -> PathBuf {
        self.code().join("receipt.json")
    }

    /// launchd's file as it was loaded last.
    #[must_use]
    pub fn loaded_job(&self) -> PathBuf {
        self.code().join("job.plist")
    }

    /// The directory of certificates, keys and other files that the owner gives to the server.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.root.join(os::SETTINGS)
    }

    /// The data directory unless configured.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.root.join(os::DATA)
    }

    /// Logs, where the service manager keeps none.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.root.join(os::LOGS)
    }

    /// The server's own log, which it rotates.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.logs().join("server.log")
    }

    /// The log of what is said before that one is open, and of panics.
    #[must_use]
    pub fn error_log(&self) -> PathBuf {
        self.logs().join("server-errors.log")
    }

    /// The job's file.
    #[must_use]
    pub fn job(&self) -> PathBuf {
        if cfg!(target_os = "macos") {
            self.root.join("Library/LaunchDaemons").join(format!("{SERVER_LABEL}.plist"))
        } else {
            self.root.join("etc/systemd/system").join(SERVER_SYSTEMD_UNIT)
        }
    }
}
