//! Keys that the kernel keeps for a user. macOS has keychains, which are files.

use std::io;

/// Does nothing: only Linux has keyrings.
///
/// # Errors
/// None here.
pub fn own_session_keyring() -> io::Result<()> {
    Ok(())
}

/// Removes nothing: there are no such keys.
pub fn remove_keys(_uid: u32) -> (u64, u64) {
    (0, 0)
}
