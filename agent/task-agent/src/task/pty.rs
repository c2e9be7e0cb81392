//! Terminals for steps.
//!
//! A step's output goes to a terminal, so that tools behave as people know them: line buffered,
//! with colors and progress. It is a terminal without output post-processing, since what arrives
//! has to be the bytes that were written: no `\n` becomes `\r\n`.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{BaudRate, OutputFlags, SetArg, cfsetspeed, tcgetattr, tcsetattr};

/// Value of `TERM`: what nearly every system has a description of.
pub(crate) const TERM: &str = "xterm-256color";

const SIZE: Winsize = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };

/// Both ends of a terminal.
#[derive(Debug)]
pub(crate) struct Pty {
    /// End that we read from. It does not block.
    pub(crate) master: OwnedFd,
    /// End that the step writes to.
    pub(crate) slave: OwnedFd,
}

impl Pty {
    /// Opens a terminal.
    pub(crate) fn open() -> io::Result<Self> {
        let pty = openpty(&SIZE, None)?;
        for fd in [&pty.master, &pty.slave] {
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        }
        let mut settings = tcgetattr(&pty.slave)?;
        settings.output_flags.remove(OutputFlags::OPOST);
        // Darwin sizes a terminal's queue by its speed: 1,216 bytes at 9,600 baud, 2,048 at this
        // (xnu, tty.c, `ttsetwater`). Linux does not look at it.
        cfsetspeed(&mut settings, BaudRate::B230400)?;
        tcsetattr(&pty.slave, SetArg::TCSANOW, &settings)?;
        let flags = OFlag::from_bits_retain(fcntl(&pty.master, FcntlArg::F_GETFL)?);
        fcntl(&pty.master, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok(Self { master: pty.master, slave: pty.slave })
    }

    /// Makes `command` write to this terminal, in a process group of its own. Its input is empty: a
    /// question that nobody can answer must not wait.
    ///
    /// The terminal controls no session, and the command leads none. So `/dev/tty` cannot be
    /// opened, which fails a tool that would ask there; and when the command ends, nothing that it
    /// left in the background gets a SIGHUP, nor does macOS revoke the terminal that it writes to.
    /// A command that led a session would make the terminal its own as soon as it opened
    /// `/dev/stderr`.
    pub(crate) fn attach(&self, command: &mut Command) -> io::Result<()> {
        command
            .stdin(Stdio::null())
            .stdout(self.slave.try_clone()?)
            .stderr(self.slave.try_clone()?)
            .process_group(0);
        Ok(())
    }
}
