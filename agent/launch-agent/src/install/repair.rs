//! The users of an installation, looked at again each time that the agent starts.
//!
//! On Linux the agent makes them again by itself. On macOS it only says what is wrong: to change a
//! user there takes Full Disk Access of the program that is responsible, which for a daemon nobody
//! is asked about. `russet agent repair` does it, as whoever runs it; where macOS refuses, it leaves
//! a request to the agent, whose own access (by a profile) may suffice.

use std::path::Path;

use super::error::InstallError;
use super::files;
use super::homes::move_homes;
use super::receipt::Receipt;
use super::run::{installed_program, require_root};
use crate::config;
use russet_platform::accounts::{Accounts, SHELL};
use russet_platform::layout::Layout;

/// Name of the request to the agent, in the state directory, where only root can write.
const REQUEST: &str = "repair-users";

/// Repairs and faults of the users that were looked at, each a sentence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repair {
    /// Repairs that were made.
    pub done: Vec<String>,
    /// Faults that are left.
    pub wrong: Vec<String>,
}

/// Looks at the users of the receipt in this state directory whose names begin so, and makes them
/// again where the agent may (`may_repair`) or was asked to. Without a receipt, or if this process
/// is not root, there is nothing to do.
///
/// # Errors
///
/// The receipt cannot be read, or a user cannot be looked up or repaired.
pub fn look_at_users(state: &Path, prefix: &str, may_repair: bool) -> Result<Repair, InstallError> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(Repair::default());
    }
    if may_repair || take_request(state)? {
        return Ok(Repair { done: repair_users(state, prefix)?, wrong: Vec::new() });
    }
    Ok(Repair { done: Vec::new(), wrong: find_faults(state, prefix)? })
}

/// Takes the request, which is obeyed once.
fn take_request(state: &Path) -> Result<bool, InstallError> {
    let path = state.join(REQUEST);
    let is_there = std::fs::symlink_metadata(&path).is_ok();
    files::remove_file(&path).map_err(InstallError::file("remove", &path))?;
    Ok(is_there)
}

/// Lists what is wrong with the users, each as a sentence.
fn find_faults(state: &Path, prefix: &str) -> Result<Vec<String>, InstallError> {
    let Some(receipt) = Receipt::read(&state.join("receipt.json"))? else {
        return Ok(Vec::new());
    };
    let accounts = Accounts::system();
    let mut faults = Vec::new();
    for wanted in receipt.users().filter(|wanted| wanted.name.starts_with(prefix)) {
        let found = match accounts.find(&wanted.name)? {
            Some(account) => account.faults(wanted, SHELL),
            None => vec!["does not exist any more".to_owned()],
        };
        faults.extend(found.into_iter().map(|fault| format!("the user {} {fault}", wanted.name)));
    }
    Ok(faults)
}

/// Makes the users that the receipt in this state directory knows what they should be again, and
/// says what had to be done.
fn repair_users(state: &Path, prefix: &str) -> Result<Vec<String>, InstallError> {
    let Some(mut receipt) = Receipt::read(&state.join("receipt.json"))? else {
        return Ok(Vec::new());
    };
    let accounts = Accounts::system();
    let mut all = Vec::new();
    for wanted in receipt.users().cloned().collect::<Vec<_>>() {
        if !wanted.name.starts_with(prefix) {
            continue;
        }
        let (account, done) = accounts.ensure(&wanted)?;
        all.extend(done);
        if wanted.before.as_ref() != Some(&account.ids) {
            receipt.has_ids(&wanted.name, &account.ids)?;
            if let Some(before) = &wanted.before {
                all.push(format!(
                    "the user {} has the id {} now, since {} went to somebody else",
                    wanted.name, account.ids.uid, before.uid
                ));
            }
        }
    }
    Ok(all)
}

/// Repairs the users of what is installed, as the program that is responsible for this process.
/// Returns what was done; `None`: nothing is installed.
///
/// # Errors
///
/// This process is not root, or a user cannot be repaired.
pub fn repair_installation(layout: &Layout) -> Result<Option<Vec<String>>, InstallError> {
    require_root("repair")?;
    if installed_program(layout)?.is_none() {
        return Ok(None);
    }
    // Whoever runs this may change users, so their homes follow slots that have moved.
    if let Ok(config) = config::load_config(&layout.config(), &config::installed_environment) {
        move_homes(&layout.state(), &config.data_directory)?;
    }
    repair_users(&layout.state(), "").map(Some)
}

/// Asks the agent to repair its users when it starts next.
///
/// # Errors
///
/// The request cannot be written.
pub fn request_repair(layout: &Layout) -> Result<(), InstallError> {
    let path = layout.state().join(REQUEST);
    files::write(&path, b"", 0o600).map_err(InstallError::file("write", &path))
}

/// Lists what is wrong with the users of what is installed, each as a sentence.
///
/// # Errors
///
/// The receipt cannot be read, or a user cannot be looked up.
pub fn user_faults(layout: &Layout) -> Result<Vec<String>, InstallError> {
    find_faults(&layout.state(), "")
}
