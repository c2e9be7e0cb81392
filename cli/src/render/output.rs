//! Output of jobs on standard output, as it comes.

use std::io::{ErrorKind, IsTerminal as _, Write as _};

use super::color::Paint;
use super::terminal::{Cleaner, Piece};
use crate::error::{CliError, Result};

/// Passes a job's output on: to a file or another program byte for byte, to a terminal without what
/// would drive it.
pub(crate) struct JobOutput {
    cleaner: Option<Cleaner>,
    clean: String,
}

impl JobOutput {
    /// To standard output.
    pub(crate) fn new() -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let cleaner = is_terminal.then(|| Cleaner::new(Paint::stdout().is_on()));
        Self { cleaner, clean: String::new() }
    }

    /// Passes on what comes next; `false` where the reader has gone.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<bool> {
        let Some(cleaner) = &mut self.cleaner else { return write(bytes) };
        cleaner.feed(bytes, |piece| add(&mut self.clean, &piece));
        write(std::mem::take(&mut self.clean).as_bytes())
    }

    /// Passes on what was held back until it was whole; `false` where the reader has gone.
    pub(crate) fn finish(mut self) -> Result<bool> {
        if let Some(cleaner) = &mut self.cleaner {
            cleaner.finish(|piece| add(&mut self.clean, &piece));
        }
        write(self.clean.as_bytes())
    }
}

fn add(text: &mut String, piece: &Piece) {
    text.push_str(&piece.text);
    if piece.ends_line {
        text.push('\n');
    }
}

fn write(bytes: &[u8]) -> Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CliError::local("could not write to standard output", error)),
        Ok(()) => Ok(true),
    }
}
