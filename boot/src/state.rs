//! The files in the state directory, as `docs/service.md` describes them.
//!
//! The agent must start with whatever is found here: a file that is missing or makes no sense
//! says nothing, and one that cannot be written is done without.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::BootError;
use crate::files::{self, Health, Probation};
use crate::memory::{Memory, RunTimes};
use crate::trial::Trial;
use crate::{signals, trust};

/// Bytes of a file that are read.
const MAX_BYTES: u64 = 16 * 1024;

/// Messages of the agent to this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) health: Option<Health>,
    /// Set if it ends because its owner wants it to.
    pub(crate) is_asked: bool,
}

/// The directory.
#[derive(Debug)]
pub(crate) struct State {
    state: PathBuf,
    boot: PathBuf,
    /// `None`: it cannot be used.
    path: Option<PathBuf>,
}

impl State {
    /// Makes the directory where it is absent. It has to be root's alone.
    pub(crate) fn open(state: &Path, boot: &Path) -> Self {
        let (state, boot) = (state.to_owned(), boot.to_owned());
        let mut opened = Self { path: Some(boot.clone()), state, boot };
        opened.open_again();
        opened
    }

    /// A version that ran may have removed it, and its owner may have put it right.
    fn open_again(&mut self) {
        match prepare_directory(&self.state, &self.boot) {
            Ok(path) => self.path = Some(path),
            Err(error) => {
                if self.path.take().is_some() {
                    signals::log_line(&format!("{error}; going on without files"));
                }
            }
        }
    }

    pub(crate) fn is_usable(&self) -> bool {
        self.path.is_some()
    }

    /// Reads what an earlier russet-boot remembered. Its probation counts for the bundle `current`
    /// alone: whoever installed another one since may have been given the inode of the one before.
    pub(crate) fn load(&self, current: &str) -> Memory {
        let text = |name| self.read(name).unwrap_or_default();
        let trial = Trial::parse(&text(files::STRIKES), self.note().as_ref());
        Memory::new(
            trial.filter(|trial| trial.bundle == current),
            files::parse_bad(&text(files::BAD)),
            RunTimes::parse(&text(files::RAN)),
        )
    }

    /// Writes what is remembered, where it does not stand there. Returns false if it could not.
    pub(crate) fn save(&mut self, memory: &Memory) -> bool {
        self.open_again();
        let trial = memory.trial.as_ref().map(Trial::text).unwrap_or_default();
        let texts = [
            (files::BAD, files::bad_text(&memory.bad)),
            (files::STRIKES, trial),
            (files::RAN, memory.ran.text()),
        ];
        texts.iter().fold(true, |is_saved, (name, text)| self.keep(name, text) && is_saved)
    }

    /// Returns the note of an update, if there is one.
    pub(crate) fn note(&self) -> Option<Probation> {
        Probation::parse(&self.read(files::PROBATION)?)
    }

    /// Makes the note what it has to be: there, for a version in probation, which may have removed
    /// it, and gone for any other.
    pub(crate) fn keep_note(&self, note: Option<&Probation>) {
        self.keep(files::PROBATION, &note.map(Probation::text).unwrap_or_default());
    }

    /// Returns what the agent with this process id said.
    pub(crate) fn report(&self, pid: u32) -> Report {
        let Some(text) = self.read(files::HEALTH) else { return Report::default() };
        let is_asked = Health::ends_as_asked(&text, pid);
        Report { health: Health::parse(&text, pid), is_asked }
    }

    /// Forgets what an earlier agent said.
    pub(crate) fn forget_health(&self) {
        if let Some(directory) = &self.path {
            // What is not there need not be removed.
            drop(std::fs::remove_file(directory.join(files::HEALTH)));
        }
    }

    fn read(&self, name: &str) -> Option<String> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let path = self.path.as_ref()?.join(name);
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
        let mut text = String::new();
        file.take(MAX_BYTES).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// Makes a file have this text, or be gone for none, also when the machine loses power. Returns
    /// false if it could not.
    fn keep(&self, name: &str, text: &str) -> bool {
        let Some(directory) = &self.path else { return false };
        let result = match self.read(name) {
            Some(there) if there == text && !text.is_empty() => Ok(()),
            _ if text.is_empty() => remove_file(directory, name),
            _ => replace_file(directory, name, text),
        };
        if let Err(error) = &result {
            let path = directory.join(name);
            signals::log_line(&format!("could not write {}: {error}", path.display()));
        }
        result.is_ok()
    }
}

/// Replaces a file, whole or not at all.
fn replace_file(directory: &Path, name: &str, text: &str) -> io::Result<()> {
    let draft = directory.join(format!("{name}.new"));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, directory.join(name))?;
    File::open(directory)?.sync_all()
}

fn remove_file(directory: &Path, name: &str) -> io::Result<()> {
    match std::fs::remove_file(directory.join(name)) {
        Ok(()) => File::open(directory)?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes the directory, and returns its path without links on the way (`/var` is one on macOS).
fn prepare_directory(state: &Path, boot: &Path) -> Result<PathBuf, BootError> {
    let failed = BootError::at(BootError::State, boot);
    DirBuilder::new().recursive(true).mode(0o711).create(state).map_err(&failed)?;
    match DirBuilder::new().mode(0o700).create(boot) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let name = boot.file_name().unwrap_or_default();
    let path = state.canonicalize().map_err(&failed)?.join(name);
    trust::check_directory(&path, trust::ROOT)?;
    Ok(path)
}

#[cfg(test)]
mod tests;
