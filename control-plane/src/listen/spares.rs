//! Descriptors that are kept back. When the process has no others, one of them makes room for a
//! connection, which is answered and closed, so that its caller knows to come back: otherwise it would
//! hang in the backlog until it gives up.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use tokio::net::TcpStream;

/// Descriptors that are kept back.
const SPARES: usize = 4;

/// Part of all descriptors that connections leave to what those that are here need: an eighth, and at
/// most so many.
const RESERVED_PART: u64 = 8;
const MAX_RESERVED: u64 = 128;

/// Descriptors that are kept back.
#[derive(Debug)]
pub(super) struct Spares {
    kept: Mutex<Vec<File>>,
}

impl Spares {
    pub(super) fn new() -> Arc<Self> {
        let spares = Arc::new(Self { kept: Mutex::default() });
        spares.refill();
        spares
    }

    /// Gives one up, until what is returned is dropped; `None` where all are given up already.
    pub(super) fn give_up(self: &Arc<Self>) -> Option<GivenUp> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(GivenUp(Arc::clone(self)))
    }

    /// Takes back what was given up, as far as the system lets it.
    fn refill(&self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        while kept.len() < SPARES {
            match File::open("/dev/null") {
                Ok(file) => kept.push(file),
                // Somebody else took it meanwhile; the next one tries again.
                Err(error) => {
                    tracing::debug!(%error, "a spare descriptor is missing");
                    return;
                }
            }
        }
    }
}

/// Room for a descriptor. Dropped, it is taken back: drop what used it first.
#[derive(Debug)]
pub(super) struct GivenUp(Arc<Spares>);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.refill();
    }
}

/// Returns true for an error that says that the process, or the system, has no descriptors left.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE))
}

/// Returns true for a connection that leaves too few of the descriptors that a process may have to
/// those that are served. The system gives the lowest free number (POSIX, `open()`), so that many are
/// in use at least.
pub(super) fn is_near_limit(stream: &TcpStream, open_files: u64) -> bool {
    let number = u64::try_from(stream.as_raw_fd()).unwrap_or_default();
    number >= open_files.saturating_sub(reserved(open_files))
}

fn reserved(open_files: u64) -> u64 {
    (open_files / RESERVED_PART).min(MAX_RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spares_are_given_up_one_by_one_and_taken_back() {
        let spares = Spares::new();
        let given: Vec<GivenUp> = std::iter::from_fn(|| spares.give_up()).take(100).collect();
        assert_eq!(given.len(), SPARES);
        assert!(spares.give_up().is_none());
        drop(given);
        assert!(spares.give_up().is_some());
    }

    #[test]
    fn only_a_lack_of_descriptors_is_one() {
        for (errno, expected) in
            [(Errno::EMFILE, true), (Errno::ENFILE, true), (Errno::ECONNABORTED, false)]
        {
            let error = io::Error::from_raw_os_error(errno as i32);
            assert_eq!(is_out_of_descriptors(&error), expected, "{errno}");
        }
        assert!(!is_out_of_descriptors(&io::Error::other("x")));
    }

    #[test]
    fn few_descriptors_are_not_all_kept_back() {
        assert_eq!(reserved(64), 8);
        assert_eq!(reserved(65_536), MAX_RESERVED);
        assert_eq!(reserved(0), 0);
    }
}
