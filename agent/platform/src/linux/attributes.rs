//! Extended attributes of a file as one AppleDouble file, which only macOS has.

use std::io;
use std::path::Path;

/// True if the system has attributes in this form.
pub const HAS_PACKED_ATTRIBUTES: bool = false;

/// Writes the extended attributes of `path` to the file `packed`. `false`: it has none.
///
/// # Errors
///
/// None here; on macOS, that a file cannot be opened, read or written.
pub fn pack_attributes(_path: &Path, _packed: &Path) -> io::Result<bool> {
    Ok(false)
}

/// Sets the extended attributes of `path` to those in the file `packed`.
///
/// # Errors
///
/// Always here; on macOS, that `packed` is not such a file or an attribute is not taken.
pub fn unpack_attributes(_packed: &Path, _path: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
