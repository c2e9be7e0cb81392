//! Directories of what a service's own user writes.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::error::InstallError;
use super::files;
use super::receipt::Check;
use russet_platform::accounts::Accounts;

/// Looks how it stands. One of somebody else that is not empty is refused: the service could not
/// read what is in it.
pub(super) fn check_directory(
    path: &Path,
    mode: u32,
    user: &str,
    accounts: &Accounts,
) -> Result<Check, InstallError> {
    let looked = InstallError::file("look at", path);
    let meta = match std::fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Check::Absent),
        Err(error) => return Err(looked(error)),
    };
    let in_the_way = |what: String| Err(InstallError::InTheWay { path: path.to_owned(), what });
    if !meta.is_dir() {
        return in_the_way("is there already, and is no directory".to_owned());
    }
    let account = accounts.find(user)?;
    let is_own = account.is_some_and(|account| account.ids.uid == meta.uid());
    if is_own {
        let is_same = meta.mode() & 0o7777 == mode;
        return Ok(if is_same { Check::Same } else { Check::Different(None) });
    }
    let is_empty = std::fs::read_dir(path).map_err(looked)?.next().is_none();
    if !is_empty {
        return in_the_way(format!(
            "belongs to user {} and is not empty: give it to the server with `sudo chown -R \
             {user}: {}`, once that user exists",
            meta.uid(),
            path.display()
        ));
    }
    Ok(Check::Different(None))
}

/// Makes it, for a user that is there.
pub(super) fn make_directory(
    path: &Path,
    mode: u32,
    user: &str,
    accounts: &Accounts,
) -> Result<(), InstallError> {
    let account = accounts.find(user)?.ok_or_else(|| InstallError::InTheWay {
        path: path.to_owned(),
        what: format!("has no owner: the user {user} does not exist"),
    })?;
    let ids = (account.ids.uid, account.ids.gid);
    files::make_directory_of(path, mode, ids).map_err(InstallError::file("make", path))
}
