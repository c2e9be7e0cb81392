//! Reading the kernel's state.

use std::ffi::CStr;

/// The text under `name`, without its closing NUL.
pub(super) fn string(name: &CStr) -> Option<String> {
    let mut buffer = [0_u8; 256];
    let mut length = buffer.len();
    // SAFETY: name is a C string, buffer and length describe each other, nothing is written.
    let result = unsafe {
        libc::sysctlbyname(
            name.as_ptr(),
            buffer.as_mut_ptr().cast(),
            &raw mut length,
            std::ptr::null_mut(),
            0,
        )
    };
    if result != 0 {
        return None;
    }
    let text = buffer.get(..length)?.split(|byte| *byte == 0).next()?;
    String::from_utf8(text.to_vec()).ok()
}
