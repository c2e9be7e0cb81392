//! Extended attributes of a file as one AppleDouble file: the form in which archives of macOS hold
//! them, and which `copyfile(3)` writes and reads.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr::{null, null_mut};

/// Extended attributes, with the resource fork and what Finder knows; access lists are about users
/// of this machine.
const KEPT: libc::copyfile_flags_t = libc::COPYFILE_XATTR | libc::COPYFILE_NOFOLLOW;

/// True if the system has attributes in this form.
pub const HAS_PACKED_ATTRIBUTES: bool = true;

/// Writes the extended attributes of `path` to the file `packed`. `false`: it has none.
///
/// # Errors
///
/// One of the files cannot be opened, read or written.
pub fn pack_attributes(path: &Path, packed: &Path) -> io::Result<bool> {
    let (path, packed) = (c_path(path)?, c_path(packed)?);
    // SAFETY: The path ends with a zero and outlives the call. With this flag there is no target,
    // and without a state the function makes its own.
    let has =
        unsafe { libc::copyfile(path.as_ptr(), null(), null_mut(), KEPT | libc::COPYFILE_CHECK) };
    if has <= 0 {
        return if has == 0 { Ok(false) } else { Err(io::Error::last_os_error()) };
    }
    // SAFETY: Both paths end with a zero and outlive the call.
    let result = unsafe {
        libc::copyfile(path.as_ptr(), packed.as_ptr(), null_mut(), KEPT | libc::COPYFILE_PACK)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(true) }
}

/// Sets the extended attributes of `path` to those in the file `packed`.
///
/// # Errors
///
/// `packed` is not such a file, or the system does not take an attribute.
pub fn unpack_attributes(packed: &Path, path: &Path) -> io::Result<()> {
    let (path, packed) = (c_path(path)?, c_path(packed)?);
    // SAFETY: Both paths end with a zero and outlive the call.
    let result = unsafe {
        libc::copyfile(packed.as_ptr(), path.as_ptr(), null_mut(), KEPT | libc::COPYFILE_UNPACK)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}
