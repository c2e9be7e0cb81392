//! Errors of installing and removing the agent.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::ConfigError;
use russet_platform::account::AccountError;
use russet_platform::command::CommandError;
use russet_platform::job::ServiceError;

/// Reason why the agent could not be installed or removed. What was done before is in the receipt,
/// and the next run goes on from there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// Only root may.
    #[error("only root can {what} it")]
    NotRoot {
        /// Action that failed.
        what: &'static str,
    },
    /// A file or a directory.
    #[error("could not {what} {}: {source}", path.display())]
    File {
        /// Action that failed.
        what: &'static str,
        /// Path.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// Root would run, or write into, what somebody else can exchange.
    #[error("{} {what}, so what root runs there could be exchanged", path.display())]
    Untrusted {
        /// The directory.
        path: PathBuf,
        /// Fault.
        what: String,
    },
    /// Something that is none of ours stands where ours should.
    #[error("{} {what}", path.display())]
    InTheWay {
        /// Path.
        path: PathBuf,
        /// Type of the thing there.
        what: String,
    },
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no configuration, and nothing to make one of.
    #[error("there is no configuration at {}", path.display())]
    NoConfig {
        /// Path at which it should be.
        path: PathBuf,
    },
    /// `russet-boot` is missing.
    #[error("there is no {}, which launchd or systemd is to start", path.display())]
    NoBoot {
        /// Path at which it should be.
        path: PathBuf,
    },
    /// A user.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// launchd or systemd.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The receipt is of a version that this one does not know.
    #[error("{} is of version {version}, which this version does not know", path.display())]
    Receipt {
        /// The receipt.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The receipt cannot be understood.
    #[error("{} cannot be read: {source}", path.display())]
    BrokenReceipt {
        /// The receipt.
        path: PathBuf,
        /// Cause.
        source: serde_json::Error,
    },
    /// Tasks run.
    #[error("tasks run in {slots}")]
    Busy {
        /// The slots, for people.
        slots: String,
    },
    /// An agent runs that nobody here can stop.
    #[error("an agent runs, and no service manager of this machine can stop it")]
    Running,
    /// A control plane runs that nobody here can stop.
    #[error("a server uses {}, and no service manager of this machine can stop it", data.display())]
    ServerRuns {
        /// Its data directory.
        data: PathBuf,
    },
    /// The control plane was started and does not answer.
    #[error("the server was installed, but does not answer: {what}")]
    Silent {
        /// Last sign of it.
        what: String,
        /// Command that shows its log.
        log: String,
    },
    /// The agent was started and does not come up.
    #[error("the agent was installed, but does not come up: {what}")]
    Unhealthy {
        /// Last sign of it.
        what: String,
        /// Log to look at.
        log: PathBuf,
    },
    /// A slot could not be emptied.
    #[error("could not empty the slot {}: {what}", path.display())]
    Slot {
        /// The slot.
        path: PathBuf,
        /// Message of the helper.
        what: String,
    },
    /// The receipt of a package could not be forgotten.
    #[error("the receipt of {identifier} could not be forgotten: {source}")]
    Package {
        /// The package.
        identifier: String,
        /// Message of `pkgutil`.
        source: CommandError,
    },
    /// Developers' tools of macOS.
    #[error("could not {doing} {what}: {source}")]
    Developer {
        /// Action that failed.
        doing: &'static str,
        /// Setting.
        what: String,
        /// Message of the tool.
        source: CommandError,
    },
    /// Another one changes the installation.
    #[error("another installation or removal is at work")]
    Locked,
    /// Whoever watches wants no more.
    #[error("interrupted; run it again to finish")]
    Interrupted,
}

impl InstallError {
    /// Wraps an error of a file.
    pub(super) fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { what, path, source }
    }

    /// Returns the remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Locked => "run it again when that has ended".to_owned(),
            Self::NotRoot { .. } => "run it with `sudo`".to_owned(),
            Self::Untrusted { path, .. } => format!(
                "`sudo chown root {path}`, `sudo chmod go-w {path}` and, on a Mac, `sudo chmod -N {path}` \
                 for its access list, if nothing else needs it so",
                path = path.display()
            ),
            Self::InTheWay { path, .. } => {
                format!("look at it, and move {} away if nobody needs it", path.display())
            }
            Self::Config(error) => return error.hint().map(str::to_owned),
            Self::NoConfig { .. } => "give one with `--config FILE`, take over one of CircleCI's \
                                      runner with `--from FILE`, or have one written with `--url` \
                                      and `--token-file`"
                .to_owned(),
            Self::NoBoot { .. } => "install from the package, or build both with `cargo build \
                                    --release -p russet -p russet-boot`"
                .to_owned(),
            Self::Account(error) => return error.hint(),
            Self::Service(error) => return error.hint(),
            Self::Receipt { .. } => "use the version of russet that installed it".to_owned(),
            Self::BrokenReceipt { path, .. } => format!(
                "it is written whole or not at all, so somebody else changed it; move {} away and \
                 install again",
                path.display()
            ),
            Self::Busy { .. } => "`--wait` waits for them, `--force` cancels them".to_owned(),
            Self::Running => "end it with TERM to its `russet-boot`, and run this again".to_owned(),
            Self::ServerRuns { .. } => {
                "end it with TERM, and run this again; its supervisor must not start it".to_owned()
            }
            Self::Silent { log, .. } => {
                format!("look into its log with `{log}`, and at `sudo russet server doctor`")
            }
            Self::Unhealthy { log, .. } => {
                format!("look into {} and at `sudo russet agent doctor`", log.display())
            }
            Self::Developer { .. } => {
                "install the command line tools (`xcode-select --install`), or do \
                                       without `--developer`"
                    .to_owned()
            }
            Self::Package { identifier, .. } => format!("sudo pkgutil --forget {identifier}"),
            Self::File { path, source, .. } => hint_of_file(path, source)?,
            Self::Slot { path, .. } => format!(
                "look at what is left with `sudo ls -lR {path}`, unmount what is mounted there, remove \
                 it with `sudo rm -rf {path}`, and run this again",
                path = path.display()
            ),
            Self::Interrupted => return None,
        })
    }
}

/// Returns what to do about a file that could not be written or removed.
fn hint_of_file(path: &Path, error: &io::Error) -> Option<String> {
    let path = path.display();
    Some(match error.kind() {
        // Root is refused by flags of files, and on macOS by privacy controls.
        io::ErrorKind::PermissionDenied if cfg!(target_os = "macos") => format!(
            "give the terminal Full Disk Access (for an app's bundle: App Management) in System Settings, \
             Privacy & Security, or take the flags off with `sudo chflags -R 0 {path}`, and run this \
             again"
        ),
        io::ErrorKind::PermissionDenied => {
            format!("if it is immutable, `sudo chattr -R -i {path}`; then run this again")
        }
        io::ErrorKind::ResourceBusy => {
            format!("unmount what is mounted at {path} or below it, and run this again")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            format!("the file system of {path} is read-only: make it writable, and run this again")
        }
        io::ErrorKind::StorageFull => "free some space on the disk, and run this again".to_owned(),
        io::ErrorKind::DirectoryNotEmpty => {
            format!("end what writes to {path}, remove it if nobody needs it, and run this again")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::InstallError;
    use std::io::{Error, ErrorKind};
    use std::path::Path;

    #[test]
    fn whatever_could_not_be_removed_is_named_with_what_to_do() {
        let path = Path::new("/var/db/russet");
        let kinds = [
            ErrorKind::PermissionDenied,
            ErrorKind::ResourceBusy,
            ErrorKind::ReadOnlyFilesystem,
            ErrorKind::DirectoryNotEmpty,
        ];
        for kind in kinds {
            let error = InstallError::file("remove", path)(Error::from(kind));
            let hint = error.hint().unwrap();
            assert!(hint.contains("/var/db/russet") && hint.contains("again"), "{hint}");
        }
        let slot = path.join("slots/1");
        let error = InstallError::Slot { path: slot, what: "x".to_owned() };
        let hint = error.hint().unwrap();
        assert!(hint.contains("`sudo rm -rf /var/db/russet/slots/1`"), "{hint}");
    }
}
