//! Responsibility for questions about privacy, of which Linux asks none.

use std::ffi::OsString;
use std::io;
use std::path::Path;

/// Does nothing, since there is nothing to disclaim: the caller goes on.
///
/// # Errors
///
/// None here; on macOS, that the program could not be executed so.
pub fn disclaim_responsibility(_program: &Path, _arguments: &[OsString]) -> io::Result<()> {
    Ok(())
}
