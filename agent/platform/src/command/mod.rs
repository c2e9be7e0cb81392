//! The one way in which the agents run the system's own tools (`launchctl`, `dscl`, `useradd`,
//! `security`, `pmset` …).
//!
//! They run as root, so nothing about them is left to chance: a tool is named by its absolute
//! path and never searched for, its environment is cleared (a `PATH`, `DYLD_…` or `LANG` of
//! whoever started us changes nothing), its working directory is `/`, it has a limit in time, and
//! what it prints is read up to a limit. Secrets go to its standard input and nowhere else:
//! arguments and environment of a process are there for others to see.
//!
//! Tests put tools of their own in place of the system's with [`Tools::below`].

mod error;
mod held;
mod run;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use zeroize::Zeroizing;

pub use error::CommandError;
pub use held::Held;

/// Timeout of a tool, unless set. Open Directory can take several seconds
/// while a Mac starts.
const LIMIT: Duration = Duration::from_secs(30);

/// Maximum bytes on a tool's standard output, unless set.
const OUTPUT_LIMIT: usize = 4 << 20;

/// Bytes of its standard error that are kept: messages, not data.
const ERROR_LIMIT: usize = 64 << 10;

/// Source of tools: the system, or for tests one directory of fakes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tools {
    directory: Option<PathBuf>,
}

impl Tools {
    /// The system's own tools.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// Whatever lies in `directory` under the tools' last names. A tool that is absent there is
    /// not found: the system's own is never taken instead.
    #[must_use]
    pub fn below(directory: &Path) -> Self {
        Self { directory: Some(directory.to_owned()) }
    }

    /// Returns the path of the tool with this absolute path.
    #[must_use]
    pub fn path(&self, tool: &str) -> PathBuf {
        match &self.directory {
            Some(directory) => {
                directory.join(Path::new(tool).file_name().unwrap_or(OsStr::new(tool)))
            }
            None => PathBuf::from(tool),
        }
    }

    /// A command with the tool of this absolute path.
    #[must_use]
    pub fn command(&self, tool: &str) -> Command {
        Command::new(self.path(tool))
    }
}

/// A tool and how to run it.
#[derive(Debug)]
pub struct Command {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    input: Input,
    limit: Duration,
    output_limit: usize,
    /// Ids of the user and the group as whom it runs; `None`: the caller's.
    user: Option<(u32, u32)>,
}

/// Bytes for standard input, wiped afterwards. Not shown by Debug: they may be a secret.
#[derive(Default)]
struct Input(Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl Command {
    /// A command that runs the program at this absolute path.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            input: Input::default(),
            limit: LIMIT,
            output_limit: OUTPUT_LIMIT,
            user: None,
        }
    }

    /// Adds an argument. Everybody on the machine can read it: never a secret.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets a variable. It has the standard `PATH`, `LC_ALL=C` and what is set here. Never a
    /// secret.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets the tool's standard input, which is empty otherwise. The place for
    /// secrets: the bytes are wiped afterwards and shown nowhere.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Input(Zeroizing::new(bytes.into()));
        self
    }

    /// Sets the timeout (30 s unless set). It and what it started are killed then.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sets the maximum of bytes on standard output (4 MiB unless set).
    #[must_use]
    pub fn output_limit(mut self, bytes: usize) -> Self {
        self.output_limit = bytes;
        self
    }

    /// Runs it as another user, with that group and no other. For programs that root finds and must
    /// not trust; only root can.
    #[must_use]
    pub fn as_user(mut self, uid: u32, gid: u32) -> Self {
        self.user = Some((uid, gid));
        self
    }

    /// Runs it and waits for its end, whatever its exit status. It blocks: in async code it is
    /// called by `spawn_blocking`.
    ///
    /// # Errors
    ///
    /// It could not be started, took too long, or printed too much.
    pub fn run(self) -> Result<Output, CommandError> {
        run::run_command(self)
    }

    /// Runs it, and takes an exit status other than 0 for an error.
    ///
    /// # Errors
    ///
    /// Those of [`Command::run`], or that it failed.
    pub fn run_ok(self) -> Result<Output, CommandError> {
        self.run()?.ok()
    }

    /// Starts it and goes on: nothing is read of what it prints, its errors go where this process's
    /// do, and it lives on when this process ends. It has no time limit.
    ///
    /// # Errors
    ///
    /// It could not be started.
    pub fn detach(self) -> Result<(), CommandError> {
        run::detach_process(&self)
    }

    /// As a person would type it.
    fn line(&self) -> String {
        let words = std::iter::once(self.program.as_os_str())
            .chain(self.arguments.iter().map(OsString::as_os_str));
        let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        let line = shlex::try_join(words.iter().map(String::as_str));
        line.unwrap_or_else(|_| words.join(" "))
    }
}

/// Output of a tool, and its end.
#[derive(Clone, Debug)]
pub struct Output {
    /// Exit status.
    pub status: ExitStatus,
    /// Its standard output, whole.
    pub stdout: Vec<u8>,
    /// The beginning of its standard error.
    pub stderr: Vec<u8>,
    /// As a person would type it, for messages.
    pub command: String,
}

impl Output {
    /// Its exit code; `None` where a signal ended it.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Its standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Its standard error as text.
    #[must_use]
    pub fn error_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Itself, where the exit status is 0.
    ///
    /// # Errors
    ///
    /// [`CommandError::Failed`] with what it said.
    pub fn ok(self) -> Result<Self, CommandError> {
        if self.status.success() { Ok(self) } else { Err(self.failed(None)) }
    }

    /// The error that this end of it is, with what to do about it.
    #[must_use]
    pub fn failed(&self, hint: Option<String>) -> CommandError {
        CommandError::Failed {
            command: self.command.clone(),
            status: self.status,
            said: error::first_words(&self.stderr, &self.stdout),
            hint,
        }
    }
}

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
