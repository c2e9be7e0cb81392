//! The users of an installation, looked at again each time that the agent starts.

use std::path::Path;

use super::error::InstallError;
use super::receipt::Receipt;
use russet_platform::accounts::Accounts;

/// Makes the users that the receipt in this state directory knows what they should be again, and
/// says what had to be done. Without a receipt, or if this process is not root, there is nothing
/// to do.
///
/// # Errors
///
/// The receipt cannot be read, or a user cannot be repaired.
pub fn repair_users(state: &Path, prefix: &str) -> Result<Vec<String>, InstallError> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(Vec::new());
    }
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
