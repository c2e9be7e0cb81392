//! Reading the kernel's state.

use std::ffi::CStr;

/// The text under `name`, without its closing NUL.
pub(super) fn read_string(name: &CStr) -> Option<String> {
    let mut buffer = [0_u8; 256];
    let text = read_bytes(name, &mut buffer)?.split(|byte| *byte == 0).next()?;
    String::from_utf8(text.to_vec()).ok()
}

/// The number under `name`, which the kernel gives in four or eight bytes.
pub(super) fn read_number(name: &CStr) -> Option<u64> {
    let mut buffer = [0_u8; 8];
    let bytes = read_bytes(name, &mut buffer)?;
    match bytes.len() {
        4 => bytes.first_chunk().map(|bytes| u64::from(u32::from_ne_bytes(*bytes))),
        8 => bytes.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes)),
        _ => None,
    }
}

/// Reads the value under `name`, as far as it fits.
pub(super) fn read_bytes<'a>(name: &CStr, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
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
    if result == 0 { buffer.get(..length) } else { None }
}
