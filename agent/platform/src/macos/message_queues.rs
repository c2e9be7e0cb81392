//! POSIX message queues, which macOS does not have.

use std::io;
use std::os::fd::OwnedFd;

/// Opens nothing.
///
/// # Errors
/// None here.
pub fn open_message_queues() -> io::Result<Option<OwnedFd>> {
    Ok(None)
}
