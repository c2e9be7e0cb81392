//! Rules of slots' user accounts that are the same on both systems, and their violations.
//!
//! An account is made for each slot when the agent is installed, and looked at again each time
//! that the installed agent starts: upgrades of macOS have removed such users, or given their ids
//! to users of Apple's own (NixOS/nix#10892).

use std::path::PathBuf;

use super::command::CommandError;
use super::privacy::Responsible;

/// Account as it should be.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Wanted {
    /// Its name, which its group has too.
    pub name: String,
    /// Name in lists for people.
    pub full_name: String,
    /// Its home, which is the slot's.
    pub home: PathBuf,
    /// The ids that it had before, to be the same again where they are still free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Ids>,
}

/// Ids that tell an account from another one of the same name.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ids {
    /// The user's id.
    pub uid: u32,
    /// Its group's.
    pub gid: u32,
    /// Id by which macOS knows it: keychains, ACLs and file vaults hang on it. Empty on Linux.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub generated_uid: String,
}

/// An account as the system knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its ids.
    pub ids: Ids,
    /// The name of its group; empty where the group does not exist.
    pub group: String,
    /// Its home.
    pub home: PathBuf,
    /// The program that a login would start.
    pub shell: PathBuf,
    /// Set if it is left out of lists of people (macOS; always so on Linux).
    pub hidden: bool,
    /// Set if a password could let somebody in.
    pub password: bool,
}

impl Account {
    /// Lists its faults, each as the rest of a sentence that begins with its name.
    #[must_use]
    pub fn faults(&self, wanted: &Wanted, shell: &str) -> Vec<String> {
        let mut faults = Vec::new();
        if self.ids.uid == 0 {
            faults.push("has the id of root".to_owned());
        }
        if let Some(before) = &wanted.before {
            if before.uid != self.ids.uid {
                faults.push(format!("has the id {} instead of {}", self.ids.uid, before.uid));
            }
            if before.generated_uid != self.ids.generated_uid {
                faults.push(format!(
                    "is another record ({}) than the one that was made ({})",
                    self.ids.generated_uid, before.generated_uid
                ));
            }
        }
        if self.group != wanted.name {
            faults.push(match self.group.as_str() {
                "" => "has no group".to_owned(),
                other => format!("has the group {other} instead of its own"),
            });
        }
        if self.home != wanted.home {
            faults.push(format!(
                "has the home {} instead of {}",
                self.home.display(),
                wanted.home.display()
            ));
        }
        if self.shell != *shell {
            faults.push(format!("has the shell {}", self.shell.display()));
        }
        if !self.hidden {
            faults.push("is not hidden".to_owned());
        }
        if self.password {
            faults.push("can log in with a password".to_owned());
        }
        faults
    }
}

/// Judges what was read back of an account that was just made or repaired.
pub(super) fn as_made(
    found: Option<Account>,
    wanted: &Wanted,
    shell: &str,
) -> Result<Account, AccountError> {
    let not = |what: String| AccountError::NotAsMade { name: wanted.name.clone(), what };
    let account = found.ok_or_else(|| not("does not exist".to_owned()))?;
    // Ids that were given to somebody else meanwhile cannot be had again.
    let fresh = Wanted { before: None, ..wanted.clone() };
    match account.faults(&fresh, shell).into_iter().next() {
        Some(fault) => Err(not(fault)),
        None => Ok(account),
    }
}

/// Reason why there is no such account.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// A tool failed.
    #[error("could not {what}: {source}")]
    Command {
        /// Action that failed.
        what: String,
        /// Error of the tool.
        source: Box<CommandError>,
    },
    /// There is a user of this name that is somebody's own.
    #[error("there is a user {name} already, and it {what}")]
    Foreign {
        /// The name.
        name: String,
        /// Sign that it is not a slot's.
        what: String,
    },
    /// No id is free.
    #[error("none of the user ids {first} to {last} is free")]
    NoneFree {
        /// The first one that was tried.
        first: u32,
        /// The last one.
        last: u32,
    },
    /// macOS lets nobody without Full Disk Access delete a user or change its home or id, not even
    /// root, and depending on the version not make one either.
    #[error(
        "macOS refused to {what}: it takes Full Disk Access, root included, which the program that \
         is responsible for this process does not have ({source})"
    )]
    NeedsFullDiskAccess {
        /// Action that was refused, with the user.
        what: String,
        /// The program that needs it.
        responsible: Responsible,
        /// Error of the tool.
        source: Box<CommandError>,
    },
    /// The user database cannot be read.
    #[error("could not look up {name}: {source}")]
    LookUp {
        /// Whom.
        name: String,
        /// Cause.
        source: nix::Error,
    },
    /// It was made or repaired, and is still not what it should be.
    #[error("the user {name} {what}, although it was just set up")]
    NotAsMade {
        /// The name.
        name: String,
        /// Fault.
        what: String,
    },
}

impl AccountError {
    /// Returns the remedy.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Command { source, .. } => source.hint(),
            Self::Foreign { .. } => {
                Some("set `runner.user_prefix` to another prefix, or delete that user".to_owned())
            }
            Self::NoneFree { .. } => Some("delete users that nobody needs".to_owned()),
            Self::NeedsFullDiskAccess { responsible, .. } => Some(responsible.remedy()),
            Self::LookUp { .. } | Self::NotAsMade { .. } => None,
        }
    }
}
