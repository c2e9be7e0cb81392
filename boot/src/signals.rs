//! Signals, waiting, and the one way to say something.

use std::io::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::{Duration, Instant};

/// TERM or INT has come.
static TOLD: AtomicBool = AtomicBool::new(false);

/// Descriptor that the handlers write to, to wake the waiting loop.
static WAKE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn handle(signal: libc::c_int) {
    // Only what is safe in a handler: atomics and write(2). Whatever is interrupted must find its
    // error number as it was.
    let error = std::io::Error::last_os_error().raw_os_error();
    if signal != libc::SIGCHLD {
        TOLD.store(true, Ordering::SeqCst);
    }
    let byte = 0_u8;
    // SAFETY: one byte is read from a local; the descriptor is never closed. A full pipe refuses
    // the byte, and wakes the reader in any case.
    unsafe { libc::write(WAKE.load(Ordering::SeqCst), (&raw const byte).cast(), 1) };
    if let Some(error) = error {
        set_errno(error);
    }
}

fn set_errno(error: i32) {
    #[cfg(target_os = "macos")]
    // SAFETY: the function returns a pointer to this thread's own error number.
    let errno = unsafe { libc::__error() };
    #[cfg(not(target_os = "macos"))]
    // SAFETY: as above.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: it points to an integer that lives as long as the thread.
    unsafe { *errno = error };
}

/// TERM, INT and CHLD of this process.
#[derive(Debug)]
pub(crate) struct Signals {
    woken: OwnedFd,
}

impl Signals {
    /// From now on.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let (woken, wake) = std::io::pipe()?;
        for fd in [woken.as_raw_fd(), wake.as_raw_fd()] {
            // SAFETY: fcntl with integers, on descriptors that are open.
            if unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) } < 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        // Never closed: a handler may run at any time.
        WAKE.store(std::os::fd::IntoRawFd::into_raw_fd(wake), Ordering::SeqCst);
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGCHLD] {
            let handler: extern "C" fn(libc::c_int) = handle;
            // SAFETY: the handler does only what is safe in one.
            if unsafe { libc::signal(signal, handler as libc::sighandler_t) } == libc::SIG_ERR {
                return Err(std::io::Error::last_os_error());
            }
        }
        Ok(Self { woken: woken.into() })
    }

    /// Returns true if this process was told to end.
    pub(crate) fn must_end(&self) -> bool {
        TOLD.load(Ordering::SeqCst)
    }

    /// Returns at a signal, or after `limit`. One that came before counts.
    pub(crate) fn wait(&self, limit: Option<Duration>) {
        let fd = self.woken.as_raw_fd();
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let limit = limit.map_or(-1, |limit| i32::try_from(limit.as_millis()).unwrap_or(i32::MAX));
        // SAFETY: one pollfd that lives through the call.
        unsafe { libc::poll(&raw mut poll, 1, limit) };
        let mut bytes = [0_u8; 64];
        // SAFETY: as many bytes as the buffer has; the descriptor does not block.
        while unsafe { libc::read(fd, bytes.as_mut_ptr().cast(), bytes.len()) } > 0 {}
    }

    /// Waits for `limit`, or for ever, or until this process is told to end. It counts by a clock
    /// that nobody sets.
    pub(crate) fn pause(&self, limit: Option<Duration>) {
        let began = Instant::now();
        while !self.must_end() {
            let left = limit.map(|limit| limit.saturating_sub(began.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                return;
            }
            self.wait(left);
        }
    }
}

/// Says it on standard error, which launchd writes to a file and systemd to its journal.
pub(crate) fn log_line(text: &str) {
    // There is nobody to tell that nobody can be told.
    drop(writeln!(std::io::stderr(), "russet-boot: {text}"));
}
