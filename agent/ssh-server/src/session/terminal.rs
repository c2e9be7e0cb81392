//! Terminals of programs.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{SigHandler, Signal};
use nix::sys::termios::{SetArg, tcgetattr, tcsetattr};
use russh::Pty;
use tokio::io::unix::AsyncFd;

use super::modes::apply_modes;

nix::ioctl_write_ptr_bad!(set_window_size, libc::TIOCSWINSZ, Winsize);
nix::ioctl_write_int_bad!(control_session, libc::TIOCSCTTY);

/// Signals of a person's keys and of a terminal's end. Whoever started the agent may ignore some
/// (`nohup`), which a program would inherit, and a shell could not change.
const PERSON_SIGNALS: [Signal; 5] =
    [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGTSTP];

/// Size of a terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) columns: u32,
    pub(crate) rows: u32,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl From<Size> for Winsize {
    fn from(size: Size) -> Self {
        let short = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
        Self {
            ws_row: short(size.rows),
            ws_col: short(size.columns),
            ws_xpixel: short(size.width),
            ws_ypixel: short(size.height),
        }
    }
}

/// Our end of a terminal. Clones share it; dropping the last one hangs up.
#[derive(Clone, Debug)]
pub(crate) struct Terminal(Arc<AsyncFd<OwnedFd>>);

impl Terminal {
    /// Opens a terminal, and returns both ends.
    pub(crate) fn open(size: Size, modes: &[(Pty, u32)]) -> io::Result<(Self, OwnedFd)> {
        let pty = openpty(&Winsize::from(size), None)?;
        for fd in [&pty.master, &pty.slave] {
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        }
        let mut settings = tcgetattr(&pty.slave)?;
        apply_modes(&mut settings, modes);
        tcsetattr(&pty.slave, SetArg::TCSANOW, &settings)?;
        let flags = OFlag::from_bits_retain(fcntl(&pty.master, FcntlArg::F_GETFL)?);
        fcntl(&pty.master, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        // SAFETY: An `OwnedFd` is the same open descriptor for as long as it lives.
        let master = unsafe { AsyncFd::register(pty.master) }.map_err(io::Error::from)?;
        Ok((Self(Arc::new(master)), pty.slave))
    }

    /// Tells the programs on it that its size is another one.
    pub(crate) fn resize(&self, size: Size) -> io::Result<()> {
        let size = Winsize::from(size);
        // SAFETY: It reads a `winsize` through the pointer, which lives through the call
        // (ioctl_tty(2); sys/ttycom.h, XNU).
        Ok(unsafe { set_window_size(self.0.get_ref().as_raw_fd(), &raw const size) }.map(drop)?)
    }

    /// Returns the process group that the keyboard belongs to.
    pub(crate) fn foreground(&self) -> Option<i32> {
        nix::unistd::tcgetpgrp(self.0.get_ref().as_fd()).ok().map(nix::unistd::Pid::as_raw)
    }

    /// Reads what programs print. 0: nobody has the other end any more.
    pub(crate) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.0.readable().await?;
            match ready.try_io(|fd| Ok(nix::unistd::read(fd, buffer)?)) {
                // How Linux says that the other end is closed.
                Ok(Err(error)) if error.raw_os_error() == Some(libc::EIO) => return Ok(0),
                Ok(result) => return result,
                Err(_would_block) => {}
            }
        }
    }

    /// Reads what is there already. None: nothing is.
    pub(crate) fn read_now(&self, buffer: &mut [u8]) -> Option<usize> {
        match nix::unistd::read(self.0.get_ref(), buffer) {
            Ok(length) if length > 0 => Some(length),
            _ => None,
        }
    }

    /// Types `bytes`.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.0.writable().await?;
            match ready.try_io(|fd| Ok(nix::unistd::write(fd, bytes)?)) {
                Ok(result) => bytes = &bytes[result?..],
                Err(_would_block) => {}
            }
        }
        Ok(())
    }
}

/// Makes `command` lead a session on the terminal of which `slave` is the other end.
pub(crate) fn attach_terminal(command: &mut Command, slave: OwnedFd) -> io::Result<()> {
    command
        .stdin(Stdio::from(slave.try_clone()?))
        .stdout(Stdio::from(slave.try_clone()?))
        .stderr(Stdio::from(slave));
    lead_session(command, true);
    Ok(())
}

/// Makes `command` lead a session, and with `has_terminal` own the terminal that is its input.
pub(crate) fn lead_session(command: &mut Command, has_terminal: bool) {
    let lead = move || {
        nix::unistd::setsid()?;
        for signal in PERSON_SIGNALS {
            // SAFETY: It sets the default, so no handler is called (sigaction(2)).
            unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }?;
        }
        if has_terminal {
            // SAFETY: It takes a number (ioctl_tty(2); sys/ttycom.h, XNU). The standard input is the
            // terminal by now.
            unsafe { control_session(0, 0) }?;
        }
        Ok(())
    };
    // SAFETY: Between fork and exec only system calls that are async-signal-safe; nothing allocates,
    // and errors are numbers.
    unsafe { command.pre_exec(lead) };
}
