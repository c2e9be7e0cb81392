//! A file that is written while it is read: by what packs and what sends, or by what fetches and
//! what unpacks. Both work at the same time, either can start anew, and nothing of it is in memory.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use reqwest::Body;
use tokio::sync::Notify;

/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;

/// End of the writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The file is whole. Its BLAKE3, in hexadecimal.
    Whole(String),
    /// It is not, and why.
    Failed(String),
    /// Nobody wants it any more.
    Abandoned,
}

#[derive(Debug, Default)]
struct State {
    written: u64,
    end: Option<End>,
}

/// The file, for everybody.
#[derive(Debug)]
pub(super) struct Growing {
    file: File,
    state: Mutex<State>,
    changed: Condvar,
    notify: Notify,
}

impl Growing {
    pub(super) fn new(file: File) -> Arc<Self> {
        Arc::new(Self {
            file,
            state: Mutex::default(),
            changed: Condvar::new(),
            notify: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self) {
        self.changed.notify_all();
        self.notify.notify_waiters();
    }

    /// Ends it, unless it has ended.
    pub(super) fn end(&self, end: End) {
        self.lock().end.get_or_insert(end);
        self.changed();
    }

    /// Nobody wants it any more, even where it is whole.
    pub(super) fn abandon(&self) {
        self.lock().end = Some(End::Abandoned);
        self.changed();
    }

    /// All of it was there before.
    pub(super) fn whole(&self, size: u64, blake3: &str) {
        self.lock().written = size;
        self.end(End::Whole(blake3.to_owned()));
    }

    /// Returns the end, if it has ended.
    pub(super) fn ended(&self) -> Option<End> {
        self.lock().end.clone()
    }

    /// Bytes that are there.
    pub(super) fn written(&self) -> u64 {
        self.lock().written
    }

    /// Waits until it has ended.
    pub(super) async fn wait(&self) -> End {
        loop {
            let notified = self.notify.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            if let Some(end) = self.ended() {
                return end;
            }
            notified.await;
        }
    }

    /// All of it from the start on, as it comes.
    pub(super) fn body(self: &Arc<Self>) -> Body {
        let start = (Arc::clone(self), 0_u64);
        Body::wrap_stream(futures_util::stream::unfold(start, |(growing, offset)| async move {
            let piece = growing.piece(offset).await?;
            let next = piece.as_ref().map_or(u64::MAX, |bytes| offset + bytes.len() as u64);
            Some((piece, (growing, next)))
        }))
    }

    /// Returns the piece at an offset. `None` at the end.
    async fn piece(&self, offset: u64) -> Option<io::Result<Bytes>> {
        if offset == u64::MAX {
            return None;
        }
        loop {
            let notified = self.notify.notified();
            tokio::pin!(notified);
            notified.as_mut().enable();
            let (written, end) = {
                let state = self.lock();
                (state.written, state.end.clone())
            };
            match end {
                Some(End::Failed(why)) => return Some(Err(io::Error::other(why))),
                Some(End::Abandoned) => return Some(Err(io::ErrorKind::Interrupted.into())),
                _ if offset < written => {
                    let most = usize::try_from(written - offset).unwrap_or(PIECE).min(PIECE);
                    let mut piece = vec![0; most];
                    let read = self.file.read_exact_at(&mut piece, offset);
                    return Some(read.map(|()| Bytes::from(piece)));
                }
                Some(End::Whole(_)) => return None,
                None => notified.await,
            }
        }
    }
}

/// The one who writes.
#[derive(Debug)]
pub(super) struct Writer {
    growing: Arc<Growing>,
    hash: blake3::Hasher,
}

impl Writer {
    pub(super) fn new(growing: &Arc<Growing>) -> Self {
        Self { growing: Arc::clone(growing), hash: blake3::Hasher::new() }
    }

    /// Bytes so far.
    pub(super) fn written(&self) -> u64 {
        self.growing.written()
    }

    /// Everything was written.
    pub(super) fn whole(&self) {
        self.growing.end(End::Whole(self.hash.finalize().to_hex().to_string()));
    }
}

impl Write for &mut Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let offset = {
            let state = self.growing.lock();
            if state.end.is_some() {
                return Err(io::Error::other("nobody wants it any more"));
            }
            state.written
        };
        self.growing.file.write_all_at(bytes, offset)?;
        self.hash.update(bytes);
        self.growing.lock().written = offset + bytes.len() as u64;
        self.growing.changed();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One who reads on a thread of its own, and waits for what is not there yet.
#[derive(Debug)]
pub(super) struct Follower {
    growing: Arc<Growing>,
    offset: u64,
}

impl Follower {
    pub(super) fn new(growing: &Arc<Growing>) -> Self {
        Self { growing: Arc::clone(growing), offset: 0 }
    }
}

impl Read for Follower {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.growing.lock();
        loop {
            match &state.end {
                Some(End::Failed(why)) => return Err(io::Error::other(why.clone())),
                Some(End::Abandoned) => return Err(io::Error::other("nobody wants it any more")),
                _ if self.offset < state.written => break,
                Some(End::Whole(_)) => return Ok(0),
                None => {}
            }
            state = self.growing.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let most = usize::try_from(state.written - self.offset).unwrap_or(usize::MAX);
        drop(state);
        let most = most.min(buffer.len());
        let count =
            self.growing.file.read_at(buffer.get_mut(..most).unwrap_or_default(), self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::{End, Follower, Growing, Writer};
    use std::io::{Read as _, Write as _};

    #[test]
    fn a_reader_sees_everything_that_is_written_while_it_reads() {
        let growing = Growing::new(tempfile::tempfile().unwrap());
        let mut follower = Follower::new(&growing);
        let reading = std::thread::spawn(move || {
            let mut all = Vec::new();
            follower.read_to_end(&mut all).map(|_| all)
        });
        let mut writer = Writer::new(&growing);
        let text: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        for piece in text.chunks(7777) {
            (&mut writer).write_all(piece).unwrap();
        }
        writer.whole();
        assert!(reading.join().unwrap().unwrap() == text);
        let hash = blake3::hash(&text).to_hex().to_string();
        assert_eq!(growing.ended(), Some(End::Whole(hash)));
    }

    #[test]
    fn what_nobody_wants_any_more_ends_both() {
        let growing = Growing::new(tempfile::tempfile().unwrap());
        let mut follower = Follower::new(&growing);
        let reading = std::thread::spawn(move || follower.read_to_end(&mut Vec::new()));
        growing.end(End::Abandoned);
        reading.join().unwrap().unwrap_err();
        (&mut Writer::new(&growing)).write_all(b"x").unwrap_err();
    }
}
