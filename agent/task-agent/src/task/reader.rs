//! From a step's terminal to its log.
//!
//! One thread per running step reads, masks and appends, so that a step that prints a lot is
//! slowed down by nothing but the disk.
//!
//! The end of the output is not the end of the terminal: a step may close its output and live
//! on, and what it left in the background may keep the terminal open for ever. So the reader
//! holds the terminal open itself until the process has ended, reads what is there by then, and
//! gives processes that are left a short while to come to rest. What they print after that is
//! read, so that they do not block, and dropped.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use russet_platform::os;
use tokio::sync::oneshot;

use super::pty::Pty;
use super::spool::StepLog;
use crate::mask::Masker;

/// Bytes that are masked and written at once.
const BUFFER: usize = 64 * 1024;

/// Maximum delay of what was read, in milliseconds. Where a terminal gave many bytes
/// ([`os::TERMINAL_FLOOD`]) a short wait for more makes few large writes of many small ones.
const LINGER: u16 = 1;

/// Processes that outlive their step are at rest when they print nothing for so long.
const QUIET: u16 = 50;

/// And are no longer listened to after this, if they go on.
const LONGEST_TAIL: Duration = Duration::from_secs(1);

/// The thread reads and masks; it needs no deep stack.
const STACK_BYTES: usize = 256 * 1024;

/// End of a step's output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Nobody can write to the terminal any more.
    Closed,
    /// Processes that outlive the step still hold it.
    HeldOpen,
}

/// A running reader.
#[derive(Debug)]
pub(crate) struct Reader {
    has_exited: Arc<AtomicBool>,
    wake: OwnedFd,
    done: oneshot::Receiver<Tail>,
}

impl Reader {
    /// Starts to read `pty` into `log`.
    pub(crate) fn start(pty: Pty, masker: Masker, log: Arc<StepLog>) -> io::Result<Self> {
        let (woken, wake) = nix::unistd::pipe()?;
        for fd in [&woken, &wake] {
            nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
        }
        let has_exited = Arc::new(AtomicBool::new(false));
        let (sender, done) = oneshot::channel();
        let mut pump = Pump {
            master: pty.master,
            slave: Some(pty.slave),
            woken,
            has_exited: Arc::clone(&has_exited),
            masker,
            log,
            raw: vec![0; BUFFER],
            masked: Vec::with_capacity(BUFFER),
        };
        std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
            let tail = pump.run();
            // Nobody waits where the task ended meanwhile.
            sender.send(tail).ok();
            if tail == Tail::HeldOpen {
                pump.discard();
            }
        })?;
        Ok(Self { has_exited, wake, done })
    }

    /// The step's process has ended: reads what is left, and says how the output ended.
    pub(crate) async fn finish(self) -> Tail {
        self.let_go();
        self.done.await.unwrap_or(Tail::Closed)
    }

    /// There is no process any more, or never was one.
    pub(crate) fn let_go(&self) {
        self.has_exited.store(true, Ordering::Release);
        // One byte into an empty pipe always fits; if the reader is gone it needs no waking.
        nix::unistd::write(&self.wake, b"x").ok();
    }
}

struct Pump {
    master: OwnedFd,
    /// Our own hold on the terminal.
    slave: Option<OwnedFd>,
    woken: OwnedFd,
    has_exited: Arc<AtomicBool>,
    masker: Masker,
    log: Arc<StepLog>,
    raw: Vec<u8>,
    masked: Vec<u8>,
}

enum Got {
    Bytes(usize),
    Nothing,
    End,
}

impl Pump {
    fn run(&mut self) -> Tail {
        let mut exited_at: Option<Instant> = None;
        let tail = loop {
            // Looked at before reading: what was written before the exit is read after this.
            let has_exited = self.has_exited.load(Ordering::Acquire);
            if has_exited {
                exited_at.get_or_insert_with(Instant::now);
            }
            match self.fill() {
                Got::Bytes(count) => {
                    self.masker.push(&self.raw[..count], &mut self.masked);
                    self.write();
                    if exited_at.is_some_and(|at| at.elapsed() > LONGEST_TAIL) {
                        break Tail::HeldOpen;
                    }
                }
                Got::End => break Tail::Closed,
                Got::Nothing if !has_exited => self.wait_for_more(),
                Got::Nothing if self.slave.take().is_some() => {}
                Got::Nothing => {
                    if !self.has_more_soon() {
                        break Tail::HeldOpen;
                    }
                }
            }
        };
        self.masker.finish(&mut self.masked);
        self.write();
        tail
    }

    fn write(&mut self) {
        self.log.append_output(&self.masked);
        self.masked.clear();
    }

    /// Reads what is there, up to a buffer full.
    fn fill(&mut self) -> Got {
        let mut count = 0;
        let mut until = None;
        while count < self.raw.len() {
            match nix::unistd::read(&self.master, &mut self.raw[count..]) {
                Ok(0) => return if count > 0 { Got::Bytes(count) } else { Got::End },
                Ok(more) => count += more,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if count == 0 => return Got::Nothing,
                Err(Errno::EAGAIN) if count < os::TERMINAL_FLOOD => break,
                Err(Errno::EAGAIN) => {
                    let linger = Duration::from_millis(LINGER.into());
                    let until = *until.get_or_insert_with(|| Instant::now() + linger);
                    if Instant::now() >= until || !self.has_more_within(LINGER) {
                        break;
                    }
                }
                // Linux says EIO where nobody holds the other end.
                Err(_) if count == 0 => return Got::End,
                Err(_) => break,
            }
        }
        Got::Bytes(count)
    }

    fn wait_for_more(&self) {
        let mut fds = [
            PollFd::new(self.master.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.woken.as_fd(), PollFlags::POLLIN),
        ];
        // An interruption is a reason to look again.
        poll(&mut fds, PollTimeout::NONE).ok();
    }

    fn has_more_soon(&self) -> bool {
        self.has_more_within(QUIET)
    }

    /// Waits for more, for so many milliseconds at most.
    fn has_more_within(&self, ms: u16) -> bool {
        let mut fds = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        !matches!(poll(&mut fds, PollTimeout::from(ms)), Ok(0))
    }

    /// Reads and drops, so that whoever is left does not block on a full terminal.
    fn discard(&mut self) {
        loop {
            match self.fill() {
                Got::Bytes(_) => {}
                Got::End => return,
                Got::Nothing => {
                    let mut fds = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
                    poll(&mut fds, PollTimeout::NONE).ok();
                }
            }
        }
    }
}
