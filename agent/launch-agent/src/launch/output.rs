//! Output of tasks, for people on this machine: of one that runs, its spool; of one that has ended,
//! the end of it, which root keeps when the task's own files are about to go.
//!
//! Threat: a spool belongs to the slot's user, who may put anything in its place. Its files are
//! opened as that user's or not at all (`dirs.rs`), as soon as the task agent says that a step
//! begins; their bytes, masked before they were spooled, are passed on and not looked at. How much
//! is kept is bounded by a task and by the number of tasks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use russet_protocol::ids::TaskId;

use super::Spool;
use super::oldest::oldest;
use russet_platform::replace;

/// Folder of the state directory with what tasks said that have ended.
const FOLDER: &str = "task-logs";

/// The largest piece. A client that never reads keeps one of them here.
const PIECE: usize = 64 * 1024;

/// Steps beyond this are not shown. Each has an open file while it is.
const MOST_STEPS: usize = 256;

/// So much of the end of a task is kept, in bytes.
const MOST_KEPT: u64 = 256 * 1024;

/// Of so many tasks: those that the status calls recent.
const MOST_TASKS: usize = super::history::RECENT;

/// The files of a task's steps, and how far each is read. They stay open, so that what is in
/// them is there also when the task has ended and its files are gone.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    steps: BTreeMap<u32, (File, u64)>,
    last: Option<u32>,
}

impl Reading {
    /// Opens what is new. What can not be opened is none of ours.
    pub(crate) fn open(&mut self, spool: &Spool) {
        for number in spool.steps(MOST_STEPS).unwrap_or_default() {
            self.open_step(spool, number);
        }
    }

    fn open_step(&mut self, spool: &Spool, number: u32) {
        if !self.steps.contains_key(&number)
            && self.steps.len() < MOST_STEPS
            && let Ok(file) = spool.step(number)
        {
            self.steps.insert(number, (file, 0));
        }
    }

    /// Goes to where no more than this, in bytes, is left.
    pub(crate) fn skip(&mut self, most: u64) {
        let mut left = most;
        for (file, at) in self.steps.values_mut().rev() {
            let length = file.metadata().map_or(0, |data| data.len());
            *at = length.saturating_sub(left);
            left = left.saturating_sub(length);
        }
    }

    /// Returns the next piece of the first step that has more; nothing: no step has.
    pub(crate) fn piece(&mut self) -> Vec<u8> {
        let mut buffer = vec![0; PIECE];
        for (&number, (file, at)) in &mut self.steps {
            let Ok(length @ 1..) = file.read_at(&mut buffer, *at) else { continue };
            *at = at.saturating_add(u64::try_from(length).unwrap_or_default());
            let mut piece = Vec::new();
            if self.last.replace(number) != Some(number) {
                piece.extend_from_slice(format!("== step {number}\n").as_bytes());
            }
            piece.extend_from_slice(buffer.get(..length).unwrap_or_default());
            return piece;
        }
        Vec::new()
    }

    /// The end of everything, no more than [`MOST_KEPT`] and the lines between steps.
    fn end(mut self) -> Vec<u8> {
        self.skip(MOST_KEPT);
        let most = usize::try_from(MOST_KEPT).unwrap_or(usize::MAX).saturating_mul(2);
        let mut all = Vec::new();
        // What something left behind still writes is not waited for.
        while all.len() < most {
            let piece = self.piece();
            if piece.is_empty() {
                break;
            }
            all.extend_from_slice(&piece);
        }
        all
    }
}

/// Outputs of the tasks of all slots.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    /// The state directory, once it is known. Where it is not, nothing is kept.
    state: OnceLock<PathBuf>,
    slots: Mutex<BTreeMap<u32, (Spool, Reading)>>,
}

impl Outputs {
    /// Sets the directory of the slots and of kept outputs.
    pub(super) fn keep_in(&self, state: &Path) {
        self.state.get_or_init(|| state.to_owned());
    }

    /// Another task begins in a slot.
    pub(super) fn begin(&self, slot: u32) {
        self.lock().remove(&slot);
    }

    /// A task is found in a slot that an earlier launch agent started.
    pub(super) fn adopt(&self, slot: u32) {
        let Some(Ok(spool)) = self.state.get().map(|state| Spool::open(state, slot)) else {
            return;
        };
        let mut reading = Reading::default();
        reading.open(&spool);
        self.lock().insert(slot, (spool, reading));
    }

    /// A step begins: its output is there.
    pub(super) fn step(&self, slot: u32, number: u32) {
        if let Some((spool, reading)) = self.lock().get_mut(&slot) {
            reading.open_step(spool, number);
            return;
        }
        // What was said before the first step is there as well.
        self.adopt(slot);
    }

    /// The task of a slot has ended. What it said is written on another thread.
    pub(super) fn ended(&self, slot: u32, id: Option<&TaskId>) {
        let Some((_, reading)) = self.lock().remove(&slot) else { return };
        let Some((state, name)) = self.state.get().zip(id.and_then(file_name)) else { return };
        let folder = state.join(FOLDER);
        drop(tokio::task::spawn_blocking(move || {
            if let Err(error) = keep(&folder, &name, reading) {
                tracing::warn!(
                    file = %folder.join(&name).display(), %error,
                    "could not keep what a task said; the control plane has it"
                );
            }
        }));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, (Spool, Reading)>> {
        // Each change is one step: a panic while it was held left nothing half done.
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the output of a task that has ended; none: nothing of it is kept.
pub(crate) fn kept(state: &Path, id: &TaskId) -> io::Result<Option<File>> {
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

fn keep(folder: &Path, name: &str, reading: Reading) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    replace::write_unsynced(&folder.join(name), &reading.end(), 0o600)?;
    oldest(folder, MOST_TASKS, |_| true)?.into_iter().try_for_each(remove_kept)
}

/// Removes what an earlier task said. Another task that ended at the same time may have done so.
fn remove_kept(path: PathBuf) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::{FOLDER, MOST_KEPT, MOST_TASKS, Reading, keep, kept};
    use crate::launch::Spool;

    fn spool() -> (tempfile::TempDir, std::path::PathBuf, Spool) {
        let state = tempfile::tempdir().unwrap();
        let dir = state.path().join("slots/1/spool");
        std::fs::create_dir_all(&dir).unwrap();
        let spool = Spool::open(state.path(), 1).unwrap();
        (state, dir, spool)
    }

    fn all(reading: &mut Reading) -> String {
        let pieces = std::iter::from_fn(|| Some(reading.piece()).filter(|piece| !piece.is_empty()));
        String::from_utf8(pieces.flatten().collect()).unwrap()
    }

    #[test]
    fn steps_are_told_in_their_order_and_each_goes_on_where_it_was() {
        let (_state, dir, spool) = spool();
        let mut reading = Reading::default();
        std::fs::write(dir.join("10.log"), "ten\n").unwrap();
        std::fs::write(dir.join("2.log"), "two\n").unwrap();
        std::fs::write(dir.join("reserve"), "no log").unwrap();
        reading.open(&spool);
        assert_eq!(all(&mut reading), "== step 2\ntwo\n== step 10\nten\n");
        std::fs::write(dir.join("10.log"), "ten\nmore\n").unwrap();
        // What was written before the files went away is still told.
        std::fs::remove_file(dir.join("10.log")).unwrap();
        assert_eq!(all(&mut reading), "more\n");
    }

    #[test]
    fn of_what_was_said_before_the_end_is_told() {
        let (_state, dir, spool) = spool();
        std::fs::write(dir.join("0.log"), vec![b'x'; 1000]).unwrap();
        std::fs::write(dir.join("1.log"), vec![b'y'; 500]).unwrap();
        let mut reading = Reading::default();
        reading.open(&spool);
        reading.skip(1000);
        let text = all(&mut reading);
        let count = |c: char| text.chars().filter(|it| *it == c).count();
        assert_eq!((count('x'), count('y')), (500, 500));
    }

    #[test]
    fn a_link_a_second_name_and_a_fifo_in_the_place_of_output_are_not_read() {
        let (state, dir, spool) = spool();
        let secret = state.path().join("secret");
        std::fs::write(&secret, "secret").unwrap();
        symlink(&secret, dir.join("0.log")).unwrap();
        std::fs::hard_link(&secret, dir.join("1.log")).unwrap();
        nix::unistd::mkfifo(&dir.join("2.log"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::fs::write(dir.join("3.log"), "ours").unwrap();
        let mut reading = Reading::default();
        reading.open(&spool);
        assert_eq!(all(&mut reading), "== step 3\nours");
    }

    #[test]
    fn what_another_task_has_removed_already_is_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        assert!(super::remove_kept(dir.path().join("task-1.log")).is_ok());
        assert!(super::remove_kept(dir.path().to_owned()).is_err());
    }

    #[test]
    fn the_end_of_the_last_tasks_is_kept_for_root_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let (state, dir, spool) = spool();
        let folder = state.path().join(FOLDER);
        let long = usize::try_from(MOST_KEPT).unwrap() + 5;
        std::fs::write(dir.join("0.log"), vec![b'x'; long]).unwrap();
        for task in 0..=MOST_TASKS {
            let mut reading = Reading::default();
            reading.open(&spool);
            keep(&folder, &format!("task-{task}.log"), reading).unwrap();
        }
        let mut text = String::new();
        let mut file = kept(state.path(), &"task-50".into()).unwrap().unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text.len(), "== step 0\n".len() + long - 5);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), MOST_TASKS);
        for none in ["task-0", "../state", "", "task-50.log"] {
            assert!(kept(state.path(), &none.into()).unwrap().is_none(), "{none}");
        }
    }
}
