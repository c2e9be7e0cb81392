//! Sending one file.
//!
//! Files change while they are read (a log that is still written, a job that is still killed),
//! so the size is what the open file says at the beginning, exactly so many bytes are sent, and
//! the hash of what was sent is compared with that of what was stored.

use std::fs::{File as Handle, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Body, Method, StatusCode};
use russet_protocol::runner::StoredObject;

use super::collect::File;
use crate::task::api::{Api, ApiError};
use russet_text::format_size as in_units;

/// Bytes that are read at once.
const PIECE: usize = 256 * 1024;

/// A call may take this long, and longer for large files: the slowest uplink that is waited for
/// has 100 kB/s.
const SHORTEST_CALL: Duration = Duration::from_secs(120);
const SLOWEST_BYTES_PER_SECOND: u64 = 100_000;

/// A file that takes longer says how far it is, as often as this: whoever watches sees that it
/// goes on.
const PROGRESS: Duration = Duration::from_secs(10);

/// Summary of a stored file.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) size: u64,
    /// Remark for people.
    pub(super) note: Option<String>,
}

/// Reason why a file was not stored.
#[derive(Debug)]
pub(super) enum SendError {
    /// The control plane's side.
    Api(ApiError),
    /// The file's side.
    File(String),
}

/// Sends a file, and once more if it arrives damaged. `say` is told now and then how far it is.
pub(super) async fn send_file(
    api: &Api,
    file: &File,
    say: impl Fn(String),
) -> Result<Sent, SendError> {
    let (handle, size) = open_file(file).map_err(|error| SendError::File(error.to_string()))?;
    let handle = Arc::new(handle);
    let mut last = String::new();
    for _ in 0..2 {
        let reading = Shared::default();
        let far = || format!("{} of {}", in_units(lock_reading(&reading).bytes), in_units(size));
        let (stored, hash) =
            wait_with_notice(put_file(api, file, &handle, size, &reading), || say(far())).await?;
        if stored.size == size && stored.blake3 == hash {
            let grown = handle.metadata().is_ok_and(|metadata| metadata.len() > size);
            let note = grown.then(|| {
                "it grew while it was read; what is stored is what it had at first".to_owned()
            });
            return Ok(Sent { size, note });
        }
        last = format!("{} of {size} bytes were stored, with another hash", stored.size);
    }
    Err(SendError::File(last))
}

/// Waits for `future`, and calls `tell` now and then meanwhile.
pub(super) async fn wait_with_notice<T>(future: impl Future<Output = T>, tell: impl Fn()) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        match tokio::time::timeout(PROGRESS, &mut future).await {
            Ok(done) => return done,
            Err(_elapsed) => tell(),
        }
    }
}

/// Opens a regular file, not through a link that is put there now, and without waiting for
/// somebody to write to a FIFO.
fn open_file(file: &File) -> io::Result<(Handle, u64)> {
    let handle = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(&file.path)?;
    let metadata = handle.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no file any more"));
    }
    Ok((handle, metadata.len()))
}

/// Progress of one try's reading.
#[derive(Debug, Default)]
struct Reading {
    hash: blake3::Hasher,
    bytes: u64,
    failure: Option<String>,
}

type Shared = Arc<Mutex<Reading>>;

async fn put_file(
    api: &Api,
    file: &File,
    handle: &Arc<Handle>,
    size: u64,
    shared: &Shared,
) -> Result<(StoredObject, String), SendError> {
    let call = "store the artifact";
    let path = format!("/api/v3/task/artifacts/{}", russet_text::encode_path(&file.name));
    let timeout = SHORTEST_CALL.max(Duration::from_secs(size / SLOWEST_BYTES_PER_SECOND));
    let answer = api.call_unless(
        call,
        || {
            *lock_reading(shared) = Reading::default();
            api.request(Method::PUT, &path)
                .timeout(timeout)
                .header(reqwest::header::CONTENT_LENGTH, size)
                .body(stream_body(Arc::clone(handle), size, Arc::clone(shared)))
        },
        // A try that failed because of the file will fail again.
        || lock_reading(shared).failure.is_some(),
    );
    let answer = answer.await;
    if let Some(why) = lock_reading(shared).failure.take() {
        return Err(SendError::File(why));
    }
    let answer = answer.map_err(SendError::Api)?;
    if answer.status == StatusCode::CONFLICT {
        return Err(SendError::Api(ApiError::Stale(answer.message())));
    }
    let hash = lock_reading(shared).hash.finalize().to_hex().to_string();
    let stored =
        answer.json::<StoredObject>().unwrap_or(StoredObject { size, blake3: String::new() });
    Ok((stored, hash))
}

fn lock_reading(shared: &Shared) -> std::sync::MutexGuard<'_, Reading> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The first `size` bytes of the file. The reads are short, and what was just written is in
/// memory, so they are done in place.
fn stream_body(handle: Arc<Handle>, size: u64, shared: Shared) -> Body {
    Body::wrap_stream(futures_util::stream::unfold(0_u64, move |offset| {
        let piece = (offset < size).then(|| read(&handle, offset, size, &shared));
        async move {
            let piece = piece?;
            let next = piece.as_ref().map_or(u64::MAX, |bytes| {
                offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
            });
            Some((piece, next))
        }
    }))
}

fn read(handle: &Handle, offset: u64, size: u64, shared: &Shared) -> io::Result<Bytes> {
    let most = usize::try_from(size - offset).unwrap_or(PIECE).min(PIECE);
    let mut buffer = vec![0; most];
    let why = match handle.read_at(&mut buffer, offset) {
        Ok(count) if count > 0 => {
            buffer.truncate(count);
            let mut reading = lock_reading(shared);
            reading.hash.update(&buffer);
            reading.bytes = offset + count as u64;
            return Ok(Bytes::from(buffer));
        }
        Ok(_) => format!("it shrank from {size} to {offset} bytes while it was read"),
        Err(error) => error.to_string(),
    };
    lock_reading(shared).failure = Some(why.clone());
    Err(io::Error::other(why))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::wait_with_notice;

    #[tokio::test(start_paused = true)]
    async fn what_takes_long_is_told_now_and_then() {
        let told_times = Cell::new(0);
        let tell = || told_times.set(told_times.get() + 1);
        assert_eq!(wait_with_notice(async { 7 }, tell).await, 7);
        assert_eq!(told_times.get(), 0, "nothing is said of what is done at once");
        wait_with_notice(tokio::time::sleep(Duration::from_secs(35)), tell).await;
        assert_eq!(told_times.get(), 3);
    }
}
