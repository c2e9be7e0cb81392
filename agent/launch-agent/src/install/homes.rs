//! The receipt of an installation whose slots have moved: their directory, to be removed with the
//! rest, and the homes of their users, which the user database follows.
//!
//! Where only a person may change users (macOS), their homes stay named as they were until somebody
//! does, and a link leads from there to the slots. Each start of the agent comes here, so one that
//! was killed in between is gone on with.

use std::io;
use std::path::{Path, PathBuf};

use super::error::InstallError;
use super::files;
use super::receipt::{Item, Receipt};

/// Name of a receipt in a state directory.
const RECEIPT: &str = "receipt.json";

/// Name of the directory of slots.
const SLOTS: &str = "slots";

/// Returns the receipt in a state directory, where this process may change it.
fn own_receipt(state: &Path) -> Result<Option<Receipt>, InstallError> {
    if nix::unistd::geteuid().is_root() { Receipt::read(&state.join(RECEIPT)) } else { Ok(None) }
}

/// Notes the directory of slots, unless it is that of state, or was there before us. Without a
/// receipt, or if this process is not root, there is nothing to do.
///
/// # Errors
///
/// The receipt cannot be read or written.
pub fn note_directory(state: &Path, data: &Path) -> Result<(), InstallError> {
    if data.starts_with(state) || data.exists() {
        return Ok(());
    }
    let Some(mut receipt) = own_receipt(state)? else { return Ok(()) };
    let item = Item::Directory { path: data.to_owned() };
    if receipt.entry(&item).is_some() { Ok(()) } else { receipt.made(vec![item]) }
}

/// Lets the homes of users follow their slots to `data`, in the receipt, from where the user database
/// is mended. Where the agent may not change users (`may_move` is false), a link leads from the slots
/// of before to those of now, as long as a home is named there. Returns the names of such users.
///
/// # Errors
///
/// The receipt cannot be read or written, or the link not be made.
pub fn follow_slots(
    state: &Path,
    data: &Path,
    may_move: bool,
) -> Result<Vec<String>, InstallError> {
    if state == data {
        return Ok(Vec::new());
    }
    if may_move {
        move_homes(state, data)?;
    }
    let receipt = own_receipt(state)?;
    let known = || receipt.iter().flat_map(Receipt::users);
    let moved = known().filter(|user| moved_home(&user.home, data).is_some());
    let left: Vec<String> = moved.map(|user| user.name.clone()).collect();
    let users: Vec<&str> = known().map(|user| user.name.as_str()).collect();
    let is_named = users.iter().any(|name| has_home_below(name, &state.join(SLOTS)));
    keep_link(state, data, is_named || !left.is_empty())
        .map_err(InstallError::file("link", &state.join(SLOTS)))?;
    Ok(left)
}

/// Notes that the homes of slots' users are below `data`. Without a receipt, or if this process is
/// not root, there is nothing to do.
///
/// # Errors
///
/// The receipt cannot be read or written.
pub(super) fn move_homes(state: &Path, data: &Path) -> Result<(), InstallError> {
    let Some(mut receipt) = own_receipt(state)? else { return Ok(()) };
    let users: Vec<(String, PathBuf)> =
        receipt.users().map(|user| (user.name.clone(), user.home.clone())).collect();
    for (name, home) in users {
        if let Some(wanted) = moved_home(&home, data) {
            receipt.has_home(&name, &wanted)?;
        }
    }
    Ok(())
}

/// Returns the home that a slot's user should have instead of the one that it has: that of its slot,
/// where the slot is below `data` by now. A home that is none of a slot is its owner's choice.
fn moved_home(home: &Path, data: &Path) -> Option<PathBuf> {
    let number = home.parent()?.file_name()?;
    let of_slot = Path::new(SLOTS).join(number).join("home");
    let (slot, wanted) = (data.join(SLOTS).join(number), data.join(&of_slot));
    (home.ends_with(&of_slot) && home != wanted && slot.is_dir()).then_some(wanted)
}

/// Returns true if the user database names the home of a user below a directory.
fn has_home_below(name: &str, directory: &Path) -> bool {
    let user = nix::unistd::User::from_name(name).ok().flatten();
    user.is_some_and(|user| user.dir.starts_with(directory))
}

/// Makes or removes the link from the slots of before. A directory there is in use.
fn keep_link(state: &Path, data: &Path, is_needed: bool) -> io::Result<()> {
    let link = state.join(SLOTS);
    match link.symlink_metadata() {
        Ok(meta) if meta.is_symlink() && !is_needed => files::remove_file(&link),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_needed => {
            std::os::unix::fs::symlink(data.join(SLOTS), link)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{Item, Receipt, follow_slots, move_homes, moved_home, note_directory};
    use russet_platform::account::Wanted;
    use std::path::Path;

    #[test]
    fn a_home_follows_its_slot_and_no_other_home_does() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path();
        std::fs::create_dir_all(data.join("slots/2")).unwrap();
        let of = |home: &str| moved_home(Path::new(home), data);
        let moved = data.join("slots/2/home");
        assert_eq!(of("/var/db/russet/slots/2/home"), Some(moved.clone()));
        assert_eq!(moved_home(&moved, data), None);
        assert_eq!(of("/Users/ci"), None);
        // Its slot has not moved.
        assert_eq!(of("/var/db/russet/slots/1/home"), None);
    }

    #[test]
    fn the_receipt_follows_slots_that_have_moved() {
        if !russet_test_skip::can_be_root("to own what is installed") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let (state, data) = (dir.path().join("state"), dir.path().join("data"));
        std::fs::create_dir(&state).unwrap();
        // Nothing is installed.
        note_directory(&state, &data).unwrap();
        assert!(follow_slots(&state, &data, true).unwrap().is_empty());
        let path = state.join("receipt.json");
        assert_eq!(Receipt::read(&path).unwrap(), None);
        let wanted = Wanted {
            name: "_rt1".to_owned(),
            full_name: String::new(),
            home: state.join("slots/1/home"),
            before: None,
        };
        let mut receipt = Receipt::new(&path);
        receipt.made(vec![Item::User { wanted }]).unwrap();
        note_directory(&state, &state).unwrap();
        note_directory(&state, &data).unwrap();
        std::fs::create_dir_all(data.join("slots/1/home")).unwrap();
        let home = || {
            let receipt = Receipt::read(&path).unwrap().unwrap();
            receipt.users().next().unwrap().home.clone()
        };
        // Where nobody may change users, their homes are found by a link.
        for _again in 0..2 {
            assert_eq!(follow_slots(&state, &data, false).unwrap(), ["_rt1"]);
            assert_eq!(home(), state.join("slots/1/home"));
            assert!(home().is_dir() && state.join("slots").is_symlink());
        }
        // Until a person does.
        move_homes(&state, &data).unwrap();
        for may_move in [false, true] {
            assert!(follow_slots(&state, &data, may_move).unwrap().is_empty());
            assert_eq!(home(), data.join("slots/1/home"));
            assert!(!state.join("slots").is_symlink());
        }
        let receipt = Receipt::read(&path).unwrap().unwrap();
        assert_eq!(receipt.entries().len(), 2);
        assert!(receipt.entry(&Item::Directory { path: data.clone() }).is_some());
        // One that was there before is not ours to remove.
        std::fs::create_dir(dir.path().join("there")).unwrap();
        note_directory(&state, &dir.path().join("there")).unwrap();
        assert_eq!(Receipt::read(&path).unwrap().unwrap().entries().len(), 2);
    }
}
