//! Tools that are there for as long as they run: they keep something, and let it go with their end.
//!
//! Such a tool runs `cat`, whose standard input is a pipe of ours. So it ends when it is let go,
//! and also when this process is killed: the kernel closes the pipe.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use super::{Command, CommandError, ERROR_LIMIT, error, run};

/// Time for which the last words of a tool that has ended are waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A running tool. It is let go by dropping this.
#[derive(Debug)]
pub struct Held {
    child: tokio::process::Child,
    /// Standard input, whose end ends it.
    _input: Option<tokio::process::ChildStdin>,
    line: String,
}

impl Command {
    /// Starts it, and leaves it running until what is returned is dropped.
    ///
    /// # Errors
    ///
    /// It could not be started.
    pub fn hold(self) -> Result<Held, CommandError> {
        let line = self.line();
        let not_started = |source| run::not_started(&line, source);
        let mut command =
            tokio::process::Command::from(run::prepare_process(&self).map_err(not_started)?);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn().map_err(not_started)?;
        let input = child.stdin.take();
        Ok(Held { child, _input: input, line })
    }
}

impl Held {
    /// Waits until it ends although nobody let it go, and says how.
    pub async fn ended(&mut self) -> CommandError {
        let status = match self.child.wait().await {
            Ok(status) => status,
            Err(source) => return CommandError::Start { command: self.line.clone(), source },
        };
        let mut words = Vec::new();
        if let Some(stderr) = self.child.stderr.take() {
            let limit = u64::try_from(ERROR_LIMIT).unwrap_or(u64::MAX);
            let mut stderr = stderr.take(limit);
            // What it started may keep the pipe open; what was read by then is kept.
            drop(tokio::time::timeout(LAST_WORDS, stderr.read_to_end(&mut words)).await);
        }
        let said = error::first_words(&words, &[]);
        CommandError::Failed { command: self.line.clone(), status, said, hint: None }
    }
}
