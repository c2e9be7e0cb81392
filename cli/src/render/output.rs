//! Output of jobs on standard output, as it comes.

use std::io::{ErrorKind, IsTerminal as _, Write as _};

use super::terminal::{Cleaner, Piece};
use crate::color::Paint;
use crate::error::{CliError, Result};

/// Passes a job's output on until `next` has no more: to a file or another program byte for byte,
/// to a terminal without what would drive it. `false` where the reader has gone.
pub(crate) async fn copy_output<T: AsRef<[u8]>>(
    mut next: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<bool> {
    let is_terminal = std::io::stdout().is_terminal();
    let mut cleaner = is_terminal.then(|| Cleaner::new(Paint::stdout().is_on()));
    let mut clean = String::new();
    while let Some(bytes) = next().await? {
        let is_on = match &mut cleaner {
            None => write(bytes.as_ref())?,
            Some(cleaner) => {
                cleaner.feed(bytes.as_ref(), |piece| add_piece(&mut clean, &piece));
                write(std::mem::take(&mut clean).as_bytes())?
            }
        };
        if !is_on {
            return Ok(false);
        }
    }
    if let Some(cleaner) = &mut cleaner {
        cleaner.finish(|piece| add_piece(&mut clean, &piece));
    }
    write(clean.as_bytes())
}

fn add_piece(text: &mut String, piece: &Piece) {
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
