//! Output on disk, before it goes anywhere else.
//!
//! Each step has a file `<number>.log` in the slot's spool. What is in it is masked already. A
//! reader of a terminal appends, the uploader reads what it has not sent yet; neither waits for
//! the other, so a step is never slowed down by the network, and whatever kills this process
//! leaves the output for the one that is started after it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::{Notify, watch};

use russet_platform::clock::{BootTime, Clock};

/// Kept aside so that a full disk still has room for the end of the story: the result record and
/// the last events.
const RESERVE_BYTES: usize = 128 * 1024;

const RESERVE_FILE: &str = "reserve";

/// So many unsent bytes of a step are worth a call at once. Fewer wait a moment for more.
pub(crate) const MUCH: u64 = 1024 * 1024;

/// The output of all steps.
#[derive(Debug)]
pub(crate) struct Spool {
    dir: PathBuf,
    clock: Clock,
    logs: Mutex<BTreeMap<u32, Arc<StepLog>>>,
    /// Bytes of output that are kept of the task, and how many of them are left.
    limit: Option<u64>,
    left: Arc<AtomicU64>,
    /// Set once output that cannot be kept is counted, and ends nothing.
    tolerates_loss: Arc<AtomicBool>,
    /// There is something new to send: the first bytes since all were sent, the first of a step,
    /// or [`MUCH`]. Not each append, since each would wake the uploader's thread, and a step that
    /// prints a lot appends many thousand times a second.
    pub(crate) grown: Arc<Notify>,
}

/// The output of one step.
#[derive(Debug)]
pub(crate) struct StepLog {
    number: u32,
    path: PathBuf,
    /// Open while the step runs: a task of many steps has not a descriptor for each.
    file: Mutex<Option<File>>,
    clock: Clock,
    grown: Arc<Notify>,
    /// Bytes in the file.
    spooled: AtomicU64,
    /// Bytes that the server has.
    committed: AtomicU64,
    /// Time of the last appending, in milliseconds since boot.
    last_output: AtomicU64,
    /// Set once all of the committed offset comes from the server; before, it is assumed.
    is_probed: AtomicBool,
    /// Reason why nothing can be appended any more.
    broken: watch::Sender<Option<String>>,
    left: Arc<AtomicU64>,
    tolerates_loss: Arc<AtomicBool>,
    /// Bytes beyond the limit, and those for which there was no room.
    beyond: AtomicU64,
    lost: AtomicU64,
}

/// Output that was not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NotKept {
    /// Bytes beyond the owner's limit.
    pub(crate) beyond: u64,
    /// Bytes for which there was no room on disk.
    pub(crate) lost: u64,
}

impl Spool {
    /// The spool in `dir`, which is empty. Of output no more bytes than `limit` are kept.
    pub(crate) fn create(dir: &Path, clock: Clock, limit: Option<u64>) -> io::Result<Self> {
        let spool = Self::bare(dir, clock, limit);
        // Without the reserve the task runs all the same.
        drop(std::fs::write(dir.join(RESERVE_FILE), vec![0; RESERVE_BYTES]));
        Ok(spool)
    }

    /// The spool that another process left in `dir`. What the server has of it is not known.
    pub(crate) fn reopen(dir: &Path, clock: Clock) -> io::Result<Self> {
        let spool = Self::bare(dir, clock, None);
        spool.release_reserve();
        for entry in std::fs::read_dir(dir)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".log"));
            if let Some(number) = number.and_then(|number| number.parse().ok()) {
                let log = spool.log(number)?;
                log.close();
                log.is_probed.store(false, Ordering::Relaxed);
            }
        }
        Ok(spool)
    }

    fn bare(dir: &Path, clock: Clock, limit: Option<u64>) -> Self {
        let (logs, grown) = (Mutex::default(), Arc::new(Notify::new()));
        let left = Arc::new(AtomicU64::new(limit.unwrap_or(u64::MAX)));
        let tolerates_loss = Arc::default();
        Self { dir: dir.to_owned(), clock, logs, limit, left, tolerates_loss, grown }
    }

    /// Bytes of output that are kept of the task.
    pub(crate) fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// From here on output for which there is no room on disk ends no step: what runs after a
    /// failure runs to save what can be saved.
    pub(crate) fn tolerate_loss(&self) {
        if !self.tolerates_loss.swap(true, Ordering::Relaxed) {
            // Half of it is for their output; the end of the story keeps the other half.
            self.release_reserve();
            drop(std::fs::write(self.dir.join(RESERVE_FILE), vec![0; RESERVE_BYTES / 2]));
        }
    }

    /// The log of a step, made if it is not there.
    pub(crate) fn log(&self, number: u32) -> io::Result<Arc<StepLog>> {
        let mut logs = self.lock();
        if let Some(log) = logs.get(&number) {
            return Ok(Arc::clone(log));
        }
        let path = self.dir.join(format!("{number}.log"));
        let (file, length) =
            match open_spool_file(&path).and_then(|file| Ok((file.metadata()?.len(), file))) {
                Ok((length, file)) => (Some(file), length),
                // Not even room for an empty file.
                Err(_) if self.tolerates_loss.load(Ordering::Relaxed) => (None, 0),
                Err(error) => return Err(error),
            };
        let log = Arc::new(StepLog {
            number,
            spooled: AtomicU64::new(length),
            file: Mutex::new(file),
            left: Arc::clone(&self.left),
            tolerates_loss: Arc::clone(&self.tolerates_loss),
            beyond: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            path,
            grown: Arc::clone(&self.grown),
            committed: AtomicU64::new(0),
            last_output: AtomicU64::new(self.clock.now().0),
            is_probed: AtomicBool::new(true),
            broken: watch::Sender::new(None),
            clock: self.clock.clone(),
        });
        logs.insert(number, Arc::clone(&log));
        Ok(log)
    }

    /// Every log, by number.
    pub(crate) fn logs(&self) -> Vec<Arc<StepLog>> {
        self.lock().values().cloned().collect()
    }

    /// Bytes of each step that has any: what `finish` tells the server.
    pub(crate) fn totals(&self) -> BTreeMap<u32, u64> {
        let logs = self.lock();
        let totals = logs.iter().map(|(number, log)| (*number, log.spooled()));
        totals.filter(|(_, bytes)| *bytes > 0).collect()
    }

    /// Closes the log of a step that has ended, and says how many bytes it has.
    pub(crate) fn close(&self, number: u32) -> u64 {
        self.lock().get(&number).map_or(0, |log| {
            log.close();
            log.spooled()
        })
    }

    /// Returns true if waiting bytes justify a call at once: the first bytes of a step, or many.
    pub(crate) fn is_urgent(&self) -> bool {
        let is_urgent = |log: &Arc<StepLog>| {
            let pending = log.pending();
            pending >= MUCH || (log.committed() == 0 && pending > 0)
        };
        self.lock().values().any(is_urgent)
    }

    /// Gives back the space that was kept aside.
    pub(crate) fn release_reserve(&self) {
        drop(std::fs::remove_file(self.dir.join(RESERVE_FILE)));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<StepLog>>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open_spool_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(path)
}

fn open_to_read(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

impl StepLog {
    /// The step's number.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Appends masked output of a process, as far as the owner's limit allows. Answers whether this
    /// is what reached the limit.
    pub(crate) fn append_output(&self, bytes: &[u8]) -> bool {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let take = |left: u64| Some(left.saturating_sub(length));
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).unwrap_or(0);
        if left >= length {
            self.append(bytes);
            return false;
        }
        let mut end = usize::try_from(left).unwrap_or(bytes.len()).min(bytes.len());
        // Not within a character.
        while end > 0 && bytes.get(end).is_some_and(|byte| byte & 0xc0 == 0x80) {
            end -= 1;
        }
        let (kept, beyond) = bytes.split_at(end);
        self.append(kept);
        self.beyond.fetch_add(u64::try_from(beyond.len()).unwrap_or(0), Ordering::Relaxed);
        // What is not kept is a sign of life all the same.
        self.touch();
        left > 0
    }

    /// Returns how much of the step's output was not kept.
    pub(crate) fn not_kept(&self) -> NotKept {
        let number = |number: &AtomicU64| number.load(Ordering::Relaxed);
        NotKept { beyond: number(&self.beyond), lost: number(&self.lost) }
    }

    /// Appends masked output. After a failure nothing is appended any more: a hole in the output
    /// would be worse than its end.
    pub(crate) fn append(&self, bytes: &[u8]) {
        if bytes.is_empty() || self.broken.borrow().is_some() {
            return;
        }
        let length = u64::try_from(bytes.len()).unwrap_or_default();
        if self.lost.load(Ordering::Relaxed) > 0 {
            self.lost.fetch_add(length, Ordering::Relaxed);
            self.touch();
            return;
        }
        match self.write(bytes) {
            Ok(()) => {
                // In one order for all threads with the offset that the uploader stores before it
                // looks for more: one of the two sees what the other did.
                let before = self.spooled.fetch_add(length, Ordering::SeqCst);
                let sent = self.committed.load(Ordering::SeqCst);
                let pending = before.saturating_sub(sent);
                if pending == 0 || (pending < MUCH && pending + length >= MUCH) {
                    self.grown.notify_one();
                }
            }
            Err(error) => {
                // What did get to the disk belongs to the output.
                let before = self.spooled();
                if let Ok(metadata) = std::fs::symlink_metadata(&self.path) {
                    self.spooled.store(metadata.len(), Ordering::SeqCst);
                }
                if self.tolerates_loss.load(Ordering::Relaxed) {
                    let kept = self.spooled().saturating_sub(before);
                    self.lost.fetch_add(length.saturating_sub(kept).max(1), Ordering::Relaxed);
                    self.grown.notify_one();
                    self.touch();
                    return;
                }
                self.broken.send_replace(Some(format!("could not keep the output: {error}")));
                self.grown.notify_one();
            }
        }
        self.last_output.store(self.clock.now().0, Ordering::Relaxed);
    }

    fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.is_none() {
            *file = Some(open_spool_file(&self.path)?);
        }
        file.as_mut().map_or(Ok(()), |file| file.write_all(bytes))
    }

    /// The step has ended. What is said about it later opens the file again.
    pub(crate) fn close(&self) {
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Bytes in the log.
    pub(crate) fn spooled(&self) -> u64 {
        self.spooled.load(Ordering::SeqCst)
    }

    /// Bytes that the server has.
    pub(crate) fn committed(&self) -> u64 {
        self.committed.load(Ordering::SeqCst)
    }

    /// The server says how much it has.
    pub(crate) fn set_committed(&self, offset: u64) {
        self.is_probed.store(true, Ordering::Relaxed);
        self.committed.store(offset.min(self.spooled()), Ordering::SeqCst);
    }

    /// Bytes that are still to be sent.
    pub(crate) fn pending(&self) -> u64 {
        self.spooled().saturating_sub(self.committed())
    }

    /// Returns true if the server's offset is known and need not be asked for.
    pub(crate) fn is_probed(&self) -> bool {
        self.is_probed.load(Ordering::Relaxed)
    }

    /// The next bytes to send, at most `most` of them. `buffer` is used again where nobody holds
    /// the chunk before any more.
    pub(crate) fn next_chunk(&self, most: usize, buffer: &mut BytesMut) -> io::Result<Bytes> {
        let length = usize::try_from(self.pending()).unwrap_or(most).min(most);
        buffer.clear();
        buffer.resize(length, 0);
        if length > 0 {
            open_to_read(&self.path)?.read_exact_at(buffer, self.committed())?;
        }
        Ok(buffer.split().freeze())
    }

    /// Returns the last bytes, at most `most` of them.
    pub(crate) fn tail(&self, most: usize) -> io::Result<Vec<u8>> {
        let spooled = self.spooled();
        let length = usize::try_from(spooled).unwrap_or(most).min(most);
        let mut bytes = vec![0; length];
        if length > 0 {
            let begin = spooled.saturating_sub(u64::try_from(length).unwrap_or_default());
            open_to_read(&self.path)?.read_exact_at(&mut bytes, begin)?;
        }
        Ok(bytes)
    }

    /// Returns the time of the last appending.
    pub(crate) fn last_output(&self) -> BootTime {
        BootTime(self.last_output.load(Ordering::Relaxed))
    }

    /// Starts the count of silence anew.
    pub(crate) fn touch(&self) {
        self.last_output.store(self.clock.now().0, Ordering::Relaxed);
    }

    /// Returns the reason why output could not be kept, if some could not.
    pub(crate) fn lost_because(&self) -> Option<String> {
        self.broken.borrow().clone()
    }

    /// Returns when output could not be kept, and says why.
    pub(crate) async fn broken(&self) -> String {
        let mut receiver = self.broken.subscribe();
        let reason = receiver.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        reason.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Spool;
    use russet_platform::clock::Clock;

    #[test]
    fn what_was_spooled_is_found_again_by_the_next_process() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::create(dir.path(), Clock::system(), None).unwrap();
        spool.log(3).unwrap().append(b"hello ");
        spool.log(3).unwrap().append(b"world");
        spool.log(7).unwrap();
        spool.log(3).unwrap().close();
        spool.log(3).unwrap().append(b"!");
        drop(spool);
        let spool = Spool::reopen(dir.path(), Clock::system()).unwrap();
        assert_eq!(spool.totals(), [(3, 12)].into());
        let log = spool.log(3).unwrap();
        assert!(!log.is_probed());
        log.set_committed(6);
        let mut buffer = bytes::BytesMut::new();
        assert_eq!(log.next_chunk(100, &mut buffer).unwrap(), "world!");
        assert_eq!(log.next_chunk(2, &mut buffer).unwrap(), "wo");
        assert!(!dir.path().join("reserve").exists());
    }

    #[tokio::test]
    async fn the_uploader_is_woken_by_first_bytes_and_by_much_and_not_by_each_append() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::create(dir.path(), Clock::system(), None).unwrap();
        let woken = || {
            let mut notified = Box::pin(spool.grown.notified());
            notified.as_mut().enable()
        };
        let log = spool.log(1).unwrap();
        log.append(b"first");
        assert!(woken() && spool.is_urgent());
        log.append(b"second");
        assert!(!woken());
        log.set_committed(log.spooled());
        assert!(!spool.is_urgent());
        log.append(b"the first since all was sent");
        assert!(woken() && !spool.is_urgent());
        let much = vec![b'x'; usize::try_from(super::MUCH).unwrap()];
        log.append(&much);
        assert!(woken() && spool.is_urgent());
        log.append(&much);
        assert!(!woken());
    }

    #[test]
    fn output_beyond_the_limit_is_counted_and_what_is_said_of_it_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::create(dir.path(), Clock::system(), Some(10)).unwrap();
        let (one, two) = (spool.log(1).unwrap(), spool.log(2).unwrap());
        assert!(!one.append_output(b"12345"));
        assert!(two.append_output("678äöü".as_bytes()), "this reaches the limit");
        assert!(!one.append_output(b"more"));
        one.append(b"note");
        assert_eq!((one.not_kept().beyond, two.not_kept().beyond), (4, 4));
        assert_eq!(std::fs::read_to_string(dir.path().join("1.log")).unwrap(), "12345note");
        assert_eq!(std::fs::read_to_string(dir.path().join("2.log")).unwrap(), "678ä");
    }
}
