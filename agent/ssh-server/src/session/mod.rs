//! Programs of a channel: shells, commands and the file server, and what goes between them and the
//! client.

mod inbox;
mod modes;
mod program;
mod signals;
mod terminal;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

use tokio::sync::oneshot;

pub(crate) use inbox::{Inbox, InboxSender, inbox};
pub(crate) use program::{Output, Program, TerminalRequest, on_terminal, start_program};
pub(crate) use terminal::Size;

/// A process that was started.
#[derive(Debug)]
pub struct Started {
    /// Its id, which is also that of its session and of its process group.
    pub pid: i32,
    /// Receives its exit status.
    pub exit: oneshot::Receiver<ExitStatus>,
}

/// The task that a server belongs to, as far as it asks of it.
pub trait Host: Send + Sync + 'static {
    /// Starts a process that leads a session of its own, waits for it, and ends it and what it leaves
    /// when the task ends. The command makes the session itself.
    ///
    /// # Errors
    /// As `Command::spawn`.
    fn spawn(&self, command: &mut Command) -> io::Result<Started>;

    /// Returns the whole environment of a program. With a terminal a person looks at it, who wants an
    /// editor and a pager where a script wants none.
    fn environment(&self, has_terminal: bool) -> Vec<(OsString, OsString)>;

    /// Returns the directory that programs start in.
    fn directory(&self) -> PathBuf;

    /// Returns the user's shell.
    fn shell(&self) -> PathBuf;

    /// Returns what a shell with a terminal begins with, in lines that end with `\n`.
    fn greeting(&self) -> String;

    /// Hears that a person has logged in.
    fn began(&self, connection: &crate::Connection);

    /// Hears that a connection of a person has ended.
    fn ended(&self, connection: &crate::Connection);
}
