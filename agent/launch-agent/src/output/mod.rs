//! Output of tasks, for people on this machine: of one that runs, its spool; of one that has ended,
//! the end of it, which root keeps when the task's own files are about to go.
//!
//! Threat: a spool belongs to the slot's user, who may put anything in its place. Its files are
//! opened as that user's or not at all (`spool.rs`), as soon as the task agent says that a step
//! begins; their bytes, masked before they were spooled, are passed on and not looked at. How much
//! is kept is bounded by a task and by the number of tasks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use russet_protocol::ids::TaskId;

use crate::files::all_but_newest;
use russet_platform::replace;

mod reading;
mod spool;
#[cfg(test)]
mod tests;

pub(crate) use reading::OutputReader;
pub(crate) use spool::Spool;

/// Folder of the state directory with what tasks said that have ended.
const FOLDER: &str = "task-logs";

/// Number of ended tasks whose output is kept: those that the status calls recent.
const MAX_KEPT_TASKS: usize = crate::board::RECENT;

/// Directories of outputs.
#[derive(Debug)]
struct Places {
    /// Of those that are kept.
    state: PathBuf,
    /// Of the slots.
    data: PathBuf,
}

/// Outputs of the tasks of all slots.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    /// The directories, once they are known. Where they are not, nothing is kept.
    places: OnceLock<Places>,
    slots: Mutex<BTreeMap<u32, (Spool, OutputReader)>>,
}

impl Outputs {
    /// Sets the state directory, for outputs that are kept, and that of the slots.
    pub(crate) fn keep_in(&self, state: &Path, data: &Path) {
        self.places.get_or_init(|| Places { state: state.to_owned(), data: data.to_owned() });
    }

    /// Another task begins in a slot.
    pub(crate) fn begin(&self, slot: u32) {
        self.lock().remove(&slot);
    }

    /// A task is found in a slot that an earlier launch agent started.
    pub(crate) fn adopt(&self, slot: u32) {
        let Some(Ok(spool)) = self.places.get().map(|of| Spool::open(&of.data, slot)) else {
            return;
        };
        let mut reading = OutputReader::default();
        reading.open(&spool);
        self.lock().insert(slot, (spool, reading));
    }

    /// A step begins: its output is there.
    pub(crate) fn step(&self, slot: u32, number: u32) {
        if let Some((spool, reading)) = self.lock().get_mut(&slot) {
            reading.open_step(spool, number);
            return;
        }
        // What was said before the first step is there as well.
        self.adopt(slot);
    }

    /// The task of a slot has ended. What it said is written on another thread.
    pub(crate) fn ended(&self, slot: u32, id: Option<&TaskId>) {
        let Some((_, reading)) = self.lock().remove(&slot) else { return };
        let Some((places, name)) = self.places.get().zip(id.and_then(file_name)) else { return };
        let folder = places.state.join(FOLDER);
        drop(tokio::task::spawn_blocking(move || {
            if let Err(error) = keep_end(&folder, &name, reading) {
                tracing::warn!(
                    file = %folder.join(&name).display(), %error,
                    "could not keep what a task said; the control plane has it"
                );
            }
        }));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, (Spool, OutputReader)>> {
        // Each change is one step: a panic while it was held left nothing half done.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the output of a task that has ended; none: nothing of it is kept.
pub(crate) fn open_kept(state: &Path, id: &TaskId) -> io::Result<Option<File>> {
    let Some(name) = file_name(id) else { return Ok(None) };
    let mut options = std::fs::OpenOptions::new();
    let path = state.join(FOLDER).join(name);
    match options.read(true).custom_flags(libc::O_NOFOLLOW).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Threat: an id comes from the server or from whoever asks, and would be a path. One that is no
/// plain word has no file.
fn file_name(id: &TaskId) -> Option<String> {
    let id = id.as_str();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    ((1..=100).contains(&id.len()) && id.chars().all(is_plain)).then(|| format!("{id}.log"))
}

fn keep_end(folder: &Path, name: &str, reading: OutputReader) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    replace::write_unsynced(&folder.join(name), &reading.into_end(), 0o600)?;
    all_but_newest(folder, MAX_KEPT_TASKS, |_| true)?.into_iter().try_for_each(remove_kept)
}

/// Removes what an earlier task said. Another task that ended at the same time may have done so.
#[expect(clippy::disallowed_methods, reason = "the folder is root's, 0700")]
fn remove_kept(path: PathBuf) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
