//! Results of system calls that nix does not wrap.

/// Turns the -1 of a system call into the error that it stands for.
pub fn check(result: libc::c_int) -> std::io::Result<libc::c_int> {
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(result) }
}
