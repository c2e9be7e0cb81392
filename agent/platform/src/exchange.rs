//! Exchanging two directories, which is how a version takes the place of another.
//!
//! `russet-boot` compiles this very file, as it has no dependencies: nothing but the standard
//! library and libc is used here.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Exchanges two directories in one step.
///
/// # Errors
/// The file system does not do that, or one of them is not there.
pub fn exchange_paths(a: &Path, b: &Path) -> io::Result<()> {
    let (a, b) = (CString::new(a.as_os_str().as_bytes())?, CString::new(b.as_os_str().as_bytes())?);
    #[cfg(target_os = "macos")]
    // SAFETY: both names end with a zero and live through the call.
    let result = unsafe { libc::renamex_np(a.as_ptr(), b.as_ptr(), libc::RENAME_SWAP) };
    #[cfg(not(target_os = "macos"))]
    // SAFETY: as above.
    let result = unsafe {
        let at = libc::AT_FDCWD;
        let (a, b) = (a.as_ptr(), b.as_ptr());
        libc::syscall(libc::SYS_renameat2, at, a, at, b, libc::RENAME_EXCHANGE)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
