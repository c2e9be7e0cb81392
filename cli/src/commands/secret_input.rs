//! Secrets that people hand to a command: from a file, from standard input, or typed without
//! being shown. Never as an argument, which everybody on the machine can read.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use russet_protocol::secret::Secret;
use zeroize::Zeroizing;

use crate::error::{CliError, Result};
use crate::exit::Exit;

/// Maximum size of a secret or of a file with secrets, in bytes.
const MAX_BYTES: u64 = 1_000_000;

/// Source of a secret.
#[derive(clap::Args, Debug)]
pub(crate) struct SecretArgs {
    /// A file with it; `-` is standard input, which is also read where it is no terminal
    #[arg(long = "from", value_name = "FILE")]
    from: Option<PathBuf>,
}

impl SecretArgs {
    /// Returns true where a file is named.
    pub(crate) fn is_given(&self) -> bool {
        self.from.is_some()
    }

    /// A secret of one line.
    pub(crate) fn read(&self, what: &str) -> Result<Secret> {
        let secret = self.read_text(what)?;
        if secret.expose().contains(['\r', '\n']) {
            return Err(CliError::new(Exit::Usage, format!("the {what} is longer than one line")));
        }
        Ok(secret)
    }

    /// A secret of any number of lines, without the line feed at its end: from the file, from
    /// standard input, or asked for.
    pub(crate) fn read_text(&self, what: &str) -> Result<Secret> {
        let text = match self.from.as_deref() {
            Some(path) if path != Path::new("-") => secret_text(read_secret_file(path)?, path)?,
            None if std::io::stdin().is_terminal() => ask_secret(what)?,
            _ => {
                let from = Path::new("standard input");
                secret_text(read_limited(std::io::stdin().lock(), from)?, from)?
            }
        };
        let line = text.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            return Err(CliError::new(Exit::Usage, format!("no {what} was given")));
        }
        if line.contains('\0') {
            return Err(CliError::new(Exit::Usage, format!("the {what} is no text")));
        }
        Ok(Secret::new(line))
    }
}

/// Reads a secret of one line from a file; `-` is standard input.
pub(crate) fn read_secret_line(file: &Path, what: &str) -> Result<Secret> {
    SecretArgs { from: Some(file.to_owned()) }.read(what)
}

/// Reads a secret of any number of lines from a file; `-` is standard input.
pub(crate) fn read_secret_text(file: &Path, what: &str) -> Result<Secret> {
    SecretArgs { from: Some(file.to_owned()) }.read_text(what)
}

/// Asks for a password at the terminal.
pub(crate) fn ask_password(what: &str) -> Result<Secret> {
    Ok(Secret::new(ask_secret(what)?.trim_end_matches(['\r', '\n'])))
}

/// Reads secrets from standard input, a line each.
pub(crate) fn read_secret_lines<const N: usize>(what: [&str; N]) -> Result<[Secret; N]> {
    let from = Path::new("standard input");
    let text = secret_text(read_limited(std::io::stdin().lock(), from)?, from)?;
    let mut lines = text.lines();
    let mut read = what.map(|_| Secret::new(""));
    for (what, secret) in what.iter().zip(&mut read) {
        let line = lines.next().filter(|line| !line.is_empty());
        let none = || CliError::new(Exit::Usage, format!("no {what} was given"));
        *secret = Secret::new(line.ok_or_else(none)?);
    }
    Ok(read)
}

/// Reads a file.
pub(crate) fn read_secret_file(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let opened = std::fs::File::open(path).map_err(|error| {
        CliError::local(format_args!("could not read {}", path.display()), error)
    })?;
    read_limited(opened, path)
}

/// Reads what may be a secret; one that is too long is refused, never cut.
fn read_limited(reader: impl std::io::Read, from: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    reader.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| {
        CliError::local(format_args!("could not read {}", from.display()), error)
    })?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_BYTES {
        let limit = russet_text::format_size(MAX_BYTES);
        let message = format!("{} is larger than {limit}, the limit of a secret", from.display());
        return Err(CliError::new(Exit::Usage, message));
    }
    Ok(bytes)
}

/// Bytes that have to be text.
pub(crate) fn secret_text(bytes: Zeroizing<Vec<u8>>, from: &Path) -> Result<Zeroizing<String>> {
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| CliError::new(Exit::Usage, format!("{} is no text", from.display())))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Asks at the terminal, without showing what is typed.
fn ask_secret(what: &str) -> Result<Zeroizing<String>> {
    let failed = |error: std::io::Error| CliError::local("could not ask at the terminal", error);
    let stdin = std::io::stdin();
    let before = tcgetattr(stdin.as_fd()).map_err(|error| failed(error.into()))?;
    let mut silent = before.clone();
    silent.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(stdin.as_fd(), SetArg::TCSAFLUSH, &silent).map_err(|error| failed(error.into()))?;
    let mut line = Zeroizing::new(String::new());
    let prompted = write!(std::io::stderr().lock(), "{what}: ");
    let read = prompted.and_then(|()| stdin.lock().take(MAX_BYTES).read_line(&mut line));
    let restored = tcsetattr(stdin.as_fd(), SetArg::TCSAFLUSH, &before);
    // The line feed that was typed was not shown.
    crate::render::print_note("");
    read.map_err(failed)?;
    restored.map_err(|error| failed(error.into()))?;
    Ok(line)
}
