//! Access lists of files, by the calls of sys/acl.h, which the libc crate does not have.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr::null_mut;

use crate::access_list::find_writer;
use crate::darwin_abi::ACL_TYPE_EXTENDED;

unsafe extern "C" {
    /// Links are not followed.
    fn acl_get_link_np(path: *const c_char, kind: c_int) -> *mut c_void;
    fn acl_to_text(list: *mut c_void, length: *mut isize) -> *mut c_char;
    fn acl_free(object: *mut c_void) -> c_int;
}

/// Returns whom the access list of `path`, which is not a link, lets change it, other than root
/// and this process's user.
///
/// # Errors
///
/// The list cannot be read.
pub fn list_writer(path: &Path) -> io::Result<Option<String>> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: The path ends with a zero and outlives the call (sys/acl.h).
    let list = unsafe { acl_get_link_np(path.as_ptr(), ACL_TYPE_EXTENDED) };
    if list.is_null() {
        let error = io::Error::last_os_error();
        // The path exists, as callers have seen: there is no list, or the file system has none.
        let is_none = matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTSUP));
        return if is_none { Ok(None) } else { Err(error) };
    }
    // SAFETY: The list is one that the call above made; no length is wanted (sys/acl.h).
    let text = unsafe { acl_to_text(list, null_mut()) };
    let found = if text.is_null() {
        Err(io::Error::last_os_error())
    } else {
        // SAFETY: The text ends with a zero and is freed below.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
        Ok(find_writer(&text, nix::unistd::geteuid().as_raw()))
    };
    if !text.is_null() {
        // SAFETY: acl_to_text made it, and nothing refers to it any more.
        unsafe { acl_free(text.cast()) };
    }
    // SAFETY: acl_get_link_np made it, and nothing refers to it any more.
    unsafe { acl_free(list) };
    found
}
