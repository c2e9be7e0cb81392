//! Objects that come as a stream and go to S3, with little of each in memory.
//!
//! What fits into one part is one call. The rest goes in parts of equal size, which some stores
//! demand, while the next one is gathered. An upload that breaks off is aborted: parts that nobody
//! completes are kept, and paid for, and no list of objects shows them. A server that is killed
//! aborts nothing, so each upload is first noted in an object of its own, by which another server
//! aborts it later.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{MultipartId, ObjectStoreExt as _, PutPayload};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::JoinHandle;

use super::s3::Bucket;
use super::unique_name;

/// Bytes of a part. Ten thousand of them, the most that S3 takes, are 80 GiB.
pub(super) const PART_BYTES: usize = 8 * 1024 * 1024;

/// Bytes of an object from which on it takes a place among [`MAX_LARGE`].
const LARGE_BYTES: usize = 1024 * 1024;

/// Large objects that are on their way at the same time: each has up to two parts in memory.
const MAX_LARGE: usize = 16;

/// Longest wait for a place among them.
const PLACE_TIMEOUT: Duration = Duration::from_secs(20);

/// Prefix of the notes.
pub(super) const NOTES: &str = "multipart";

static LARGE: Semaphore = Semaphore::const_new(MAX_LARGE);

/// Reason why a part is not stored.
#[derive(Debug)]
pub(super) enum PartsError {
    /// Others take all places.
    Busy,
    Store(object_store::Error),
}

impl From<object_store::Error> for PartsError {
    fn from(error: object_store::Error) -> Self {
        Self::Store(error)
    }
}

/// An object on its way. Dropped before it is complete, it is aborted.
#[derive(Debug)]
pub(super) struct Parts {
    bucket: Arc<Bucket>,
    name: Path,
    buffer: BytesMut,
    upload: Option<Upload>,
    place: Option<SemaphorePermit<'static>>,
}

/// Upload in parts, as the store knows it.
#[derive(Debug)]
struct Upload {
    id: MultipartId,
    note: Path,
    sent: Vec<PartId>,
    /// The part that is on its way.
    next: Option<JoinHandle<object_store::Result<PartId>>>,
}

impl Parts {
    pub(super) fn new(bucket: Arc<Bucket>, name: Path) -> Self {
        Self { bucket, name, buffer: BytesMut::new(), upload: None, place: None }
    }

    /// Takes the next bytes.
    pub(super) async fn write(&mut self, mut bytes: Bytes) -> Result<(), PartsError> {
        while !bytes.is_empty() {
            let take = bytes.len().min(PART_BYTES - self.buffer.len());
            self.buffer.extend_from_slice(&bytes.split_to(take));
            if self.place.is_none() && self.buffer.len() > LARGE_BYTES {
                let place = tokio::time::timeout(PLACE_TIMEOUT, LARGE.acquire()).await;
                // It is never closed.
                self.place = Some(place.ok().and_then(Result::ok).ok_or(PartsError::Busy)?);
            }
            if self.buffer.len() == PART_BYTES {
                self.send_part().await?;
            }
        }
        Ok(())
    }

    /// Stores the object. Before that it is not there.
    pub(super) async fn complete(mut self) -> Result<(), PartsError> {
        if self.upload.is_none() {
            let all = std::mem::take(&mut self.buffer).freeze();
            self.bucket.put(&self.name, PutPayload::from(all)).await?;
            return Ok(());
        }
        if !self.buffer.is_empty() {
            self.send_part().await?;
        }
        self.await_part().await?;
        if let Some(upload) = &self.upload {
            let (id, sent) = (&upload.id, upload.sent.clone());
            self.bucket.complete_multipart(&self.name, id, sent).await?;
        }
        if let Some(upload) = self.upload.take()
            && let Err(error) = self.bucket.delete(&upload.note).await
        {
            // The next look at old notes finds an upload that is gone.
            tracing::debug!(error = russet_text::error_chain(&error), "a note stays");
        }
        Ok(())
    }

    /// Sends what was gathered, once the part before it has arrived.
    async fn send_part(&mut self) -> Result<(), PartsError> {
        if self.upload.is_none() {
            self.upload = Some(begin(&self.bucket, &self.name).await?);
        }
        self.await_part().await?;
        let part = PutPayload::from(std::mem::take(&mut self.buffer).freeze());
        let (bucket, name) = (Arc::clone(&self.bucket), self.name.clone());
        if let Some(upload) = &mut self.upload {
            let (id, number) = (upload.id.clone(), upload.sent.len());
            upload.next =
                Some(tokio::spawn(async move { bucket.put_part(&name, &id, number, part).await }));
        }
        Ok(())
    }

    async fn await_part(&mut self) -> Result<(), PartsError> {
        let Some(upload) = &mut self.upload else { return Ok(()) };
        if let Some(next) = &mut upload.next {
            let arrived = next.await;
            upload.next = None;
            upload.sent.push(arrived.map_err(object_store::Error::from)??);
        }
        Ok(())
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        let Some(upload) = self.upload.take() else { return };
        let (bucket, name) = (Arc::clone(&self.bucket), self.name.clone());
        // Its runtime is gone where the server ends; the note stays then.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Some(next) = upload.next {
                    // A part that arrives after the abort would stay.
                    let _arrived = next.await;
                }
                abort(&bucket, &name, &upload.id, &upload.note).await;
            });
        }
    }
}

/// Begins an upload in parts, and notes it.
async fn begin(bucket: &Bucket, name: &Path) -> object_store::Result<Upload> {
    let id = bucket.create_multipart(name).await?;
    let note = Path::from(format!("{NOTES}/{}", unique_name()));
    let text = format!("{name}\n{id}");
    match bucket.put(&note, PutPayload::from(text)).await {
        Ok(_) => Ok(Upload { id, note, sent: Vec::new(), next: None }),
        Err(error) => {
            abort(bucket, name, &id, &note).await;
            Err(error)
        }
    }
}

/// Aborts an upload, and forgets it.
async fn abort(bucket: &Bucket, name: &Path, id: &MultipartId, note: &Path) {
    let result = match bucket.abort_multipart(name, id).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => bucket.delete(note).await,
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        let error = russet_text::error_chain(&error);
        tracing::warn!(error, object = %name, "an upload that broke off stays for now");
    }
}

/// Aborts an upload that a note tells of.
pub(super) async fn abort_noted(bucket: &Bucket, note: &Path) -> object_store::Result<()> {
    let text = bucket.get(note).await?.bytes().await?;
    let text = String::from_utf8_lossy(&text);
    match text.split_once('\n') {
        Some((name, id)) => abort(bucket, &Path::from(name), &id.to_owned(), note).await,
        None => bucket.delete(note).await?,
    }
    Ok(())
}
