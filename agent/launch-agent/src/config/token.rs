//! Tokens: where they are, and who may read the files that hold them.

use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use russet_protocol::secret::Secret;

use super::error::ConfigError;

/// Source of a class's token. One that is not in the configuration itself is read again at
/// each claim, so that it can be exchanged while the agent runs.
#[derive(Clone, Debug)]
pub enum Token {
    /// In the configuration or the environment.
    Given(Secret),
    /// In a file, which held this one when the configuration was read.
    File(PathBuf, Secret),
    /// Stored on this machine by `russet agent token add`, under this name.
    Stored(String),
}

impl Token {
    /// The token, where it was read with the configuration.
    #[must_use]
    pub fn read(&self) -> Option<&Secret> {
        match self {
            Self::Given(token) | Self::File(_, token) => Some(token),
            Self::Stored(_) => None,
        }
    }
}

/// Fault of the mode of a file with a token.
pub(super) enum Exposure {
    None,
    /// Others may read it.
    Readable(String),
    /// Somebody else can change it.
    Foreign(String),
}

/// Returns true if others than the process's user could read the token in the file, or replace it.
pub(super) fn file_exposure(path: &Path) -> Exposure {
    // A file that cannot be examined cannot be read either, which is reported then.
    let Ok(meta) = std::fs::metadata(path) else { return Exposure::None };
    let me = nix::unistd::geteuid().as_raw();
    if meta.uid() != me && meta.uid() != 0 {
        return Exposure::Foreign(format!("belongs to user {}", meta.uid()));
    }
    match meta.mode() & 0o077 {
        0 => Exposure::None,
        _ => Exposure::Readable(format!("has mode {:04o}", meta.mode() & 0o7777)),
    }
}

/// Reads a token file: one line. `config` is the file that errors are about.
///
/// # Errors
///
/// It cannot be read, others could read it, or it holds no token.
pub(crate) fn read_file(config: &Path, file: &Path) -> Result<Secret, ConfigError> {
    let error = |message: String, hint: Option<String>| {
        ConfigError::new(config, None, format!("the token file {} {message}", file.display()), hint)
    };
    match file_exposure(file) {
        Exposure::None => {}
        Exposure::Readable(how) | Exposure::Foreign(how) => {
            let hint = format!("chown it to this user and `chmod 600 {}`", file.display());
            return Err(error(how, Some(hint)));
        }
    }
    let unreadable = |e: std::io::Error| error(format!("cannot be read: {e}"), None);
    // No FIFO and no terminal: a launch agent must not hang where a file is expected.
    let opened = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(file)
        .map_err(unreadable)?;
    let mut text = String::new();
    opened.take(64 * 1024).read_to_string(&mut text).map_err(unreadable)?;
    check_token(text.trim()).map_err(|wrong| error(wrong.to_owned(), None))
}

/// A token as it may be sent in a header.
pub(crate) fn check_token(text: &str) -> Result<Secret, &'static str> {
    if text.is_empty() {
        return Err("is empty");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("has characters that no token has (spaces, controls or letters with accents)");
    }
    if text.starts_with("[[") {
        return Err("is still the placeholder of a template");
    }
    Ok(Secret::new(text))
}
