//! Bytes too many for the database: output, artifacts, archives, source snapshots; in a directory, or
//! in a bucket of S3.
//!
//! An object is written whole before the row that names it, and never changed. So a crash between
//! the two leaves at most an object that nothing names. In a directory, which one server has for
//! itself, the next start deletes it; in a bucket, where others may be writing, it is deleted when
//! it is older than [`MIN_LEFT_AGE`].

mod check;
mod credentials;
mod direct;
mod drafts;
mod parts;
mod s3;
mod settings;

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutPayload,
};

use self::check::CheckError;
use self::parts::{Parts, PartsError};
use self::s3::{Bucket, OpenS3Error};
pub use self::settings::{S3Settings, S3Url, S3UrlError};
use crate::clock::millis;
use crate::meters::{ObjectMeters, Operation};

/// Age from which on an object in a bucket that no row names is left over: its row follows it within
/// minutes, or never.
pub(crate) const MIN_LEFT_AGE: Duration = Duration::from_secs(3600);

/// Age from which on an upload in parts is left over. The largest may take a day.
const MIN_UPLOAD_AGE: Duration = Duration::from_secs(48 * 3600);

/// Object that holds the name of the place.
const IDENTITY: &str = "identity";

/// Reason why an object could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObjectError {
    /// The place where objects are failed.
    #[error("the object store failed")]
    Store(#[from] object_store::Error),
    /// The bucket cannot be reached, or refuses. It may come back.
    #[error("the bucket {bucket} failed: {}", check::explain(.source))]
    Unavailable {
        bucket: String,
        #[source]
        source: object_store::Error,
    },
    /// More large objects are on their way than there is memory for.
    #[error("too many large objects are on their way")]
    Busy,
    /// Body that could not be read.
    #[error("the bytes stopped coming")]
    Body(#[source] axum::Error),
    /// It is more than may be stored.
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
    /// It was written, and is something else now.
    #[error("the object store does not hold what was written")]
    NotKept,
    /// It has this hash instead of the one that was announced.
    #[error("the bytes have the hash {0}")]
    OtherHash(String),
}

impl ObjectError {
    /// Name of the kind of error, for metrics.
    fn kind(&self) -> &'static str {
        match self {
            Self::Store(object_store::Error::NotFound { .. }) => "not_found",
            Self::Unavailable { .. } => "unavailable",
            Self::Busy => "busy",
            Self::Body(_) | Self::TooLarge(_) | Self::OtherHash(_) => "refused",
            Self::Store(_) | Self::NotKept => "failed",
        }
    }

    /// Returns true where there is no such object.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Store(object_store::Error::NotFound { .. }))
    }
}

/// Reason why a place for objects cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error(transparent)]
    Open(#[from] OpenS3Error),
    #[error(transparent)]
    Check(#[from] CheckError),
}

/// Store of objects.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    place: Place,
    /// Readers that ask for it are sent to the bucket.
    is_direct: bool,
    meters: Arc<ObjectMeters>,
}

/// Place that the objects are in.
#[derive(Clone, Debug)]
enum Place {
    Directory(PathBuf),
    /// A bucket, and its address for people.
    S3(Arc<Bucket>, Arc<str>),
}

/// Summary of a stored object.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) size: u64,
    /// BLAKE3, in hexadecimal.
    pub(crate) blake3: String,
}

impl Objects {
    /// Objects in a directory. `durable` syncs each to disk.
    pub(crate) fn in_directory(dir: &FilePath, durable: bool) -> Result<Self, ObjectError> {
        let store =
            LocalFileSystem::new_with_prefix(dir)?.with_automatic_cleanup(true).with_fsync(durable);
        let place = Place::Directory(dir.to_owned());
        Ok(Self { store: Arc::new(store), place, is_direct: false, meters: Arc::default() })
    }

    /// Objects in a bucket, which must let itself be written, read and listed.
    pub(crate) async fn in_bucket(settings: &S3Settings) -> Result<Self, OpenError> {
        let bucket = Arc::new(s3::open(settings)?);
        check::check(&*bucket).await?;
        let address = settings.url.to_string().into();
        let store = Arc::clone(&bucket) as _;
        let place = Place::S3(bucket, address);
        Ok(Self { store, place, is_direct: settings.is_direct, meters: Arc::default() })
    }

    /// Returns true where other servers may write at the same time.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.place, Place::S3(..))
    }

    /// Numbers of operations.
    pub(crate) fn meters(&self) -> &ObjectMeters {
        &self.meters
    }

    /// Counts an operation that ended so.
    fn count<T>(
        &self,
        operation: Operation,
        began: Instant,
        result: Result<T, ObjectError>,
    ) -> Result<T, ObjectError> {
        let kind = result.as_ref().map_or_else(ObjectError::kind, |_| "ok");
        self.meters.count(operation, began, kind);
        result
    }

    /// An error of the store, as it looks from here.
    fn failed(&self, error: object_store::Error) -> ObjectError {
        match &self.place {
            // What is not there will not come back.
            Place::S3(_, address) if !matches!(error, object_store::Error::NotFound { .. }) => {
                ObjectError::Unavailable { bucket: address.to_string(), source: error }
            }
            _ => ObjectError::Store(error),
        }
    }

    /// Returns a random name of the place where the objects are, which is kept there: two servers that
    /// read the same one share it.
    pub(crate) async fn identity(&self) -> Result<String, ObjectError> {
        let path = Path::from(IDENTITY);
        if let Err(error) = self.store.head(&path).await {
            if !matches!(error, object_store::Error::NotFound { .. }) {
                return Err(self.failed(error));
            }
            let name = Bytes::from(unique_name());
            match self.store.put_opts(&path, name.into(), PutMode::Create.into()).await {
                Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        let found = self.store.get(&path).await.map_err(|error| self.failed(error))?;
        let bytes = found.bytes().await.map_err(|error| self.failed(error))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Returns true where the place is there and answers: it has its name.
    pub(crate) async fn is_there(&self) -> Result<bool, ObjectError> {
        Ok(self.size(IDENTITY).await?.is_some())
    }

    /// Writes a small object.
    pub(crate) async fn put(&self, name: &str, bytes: Bytes) -> Result<(), ObjectError> {
        let (began, length) = (Instant::now(), bytes.len() as u64);
        let put = self.store.put(&Path::from(name), bytes.into()).await;
        let put = put.map(|_| ()).map_err(|error| self.failed(error));
        if put.is_ok() {
            self.meters.count_written(length);
        }
        self.count(Operation::Write, began, put)
    }

    /// Writes an object from a stream, of at most `limit` bytes, with little of it in memory. A
    /// stream that breaks off, or has another BLAKE3 than is `expected`, leaves nothing.
    pub(crate) async fn put_stream(
        &self,
        name: &str,
        body: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin,
        limit: u64,
        expected: Option<&str>,
    ) -> Result<Written, ObjectError> {
        let began = Instant::now();
        let written = self.write_stream(name, body, limit, expected).await;
        if let Ok(written) = &written {
            self.meters.count_written(written.size);
        }
        self.count(Operation::Write, began, written)
    }

    async fn write_stream(
        &self,
        name: &str,
        body: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin,
        limit: u64,
        expected: Option<&str>,
    ) -> Result<Written, ObjectError> {
        let name = Path::from(name);
        let mut sink = match &self.place {
            Place::S3(bucket, _) => Sink::Parts(Parts::new(Arc::clone(bucket), name)),
            Place::Directory(_) => Sink::File(self.store.put_multipart(&name).await?, Vec::new()),
        };
        match self.copy_stream(&mut sink, body, limit, expected).await {
            Ok(written) => self.complete(sink).await.map(|()| written),
            Err(error) => {
                sink.abort().await;
                Err(error)
            }
        }
    }

    async fn copy_stream(
        &self,
        sink: &mut Sink,
        mut body: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin,
        limit: u64,
        expected: Option<&str>,
    ) -> Result<Written, ObjectError> {
        let mut hasher = blake3::Hasher::new();
        let mut size = 0;
        while let Some(bytes) = body.try_next().await.map_err(ObjectError::Body)? {
            size += bytes.len() as u64;
            if size > limit {
                return Err(ObjectError::TooLarge(limit));
            }
            hasher.update(&bytes);
            sink.write(bytes).await.map_err(|error| self.part_failed(error))?;
        }
        let blake3 = hasher.finalize().to_hex().to_string();
        match expected {
            Some(expected) if expected != blake3 => Err(ObjectError::OtherHash(blake3)),
            _ => Ok(Written { size, blake3 }),
        }
    }

    async fn complete(&self, sink: Sink) -> Result<(), ObjectError> {
        sink.complete().await.map_err(|error| self.part_failed(error))
    }

    fn part_failed(&self, error: PartsError) -> ObjectError {
        match error {
            PartsError::Busy => ObjectError::Busy,
            PartsError::Store(error) => self.failed(error),
        }
    }

    /// Returns the file of an object whose name is plain; `None` in a bucket.
    pub(crate) fn file(&self, name: &str) -> Option<PathBuf> {
        match &self.place {
            Place::Directory(dir) => Some(dir.join(name)),
            Place::S3(..) => None,
        }
    }

    /// Bytes of an object, from offset `start`, `length` of them.
    pub(crate) async fn get_range(
        &self,
        name: &str,
        start: u64,
        length: u64,
    ) -> Result<Bytes, ObjectError> {
        let began = Instant::now();
        let range = self.store.get_range(&Path::from(name), start..start + length).await;
        let range = range.map_err(|error| self.failed(error));
        if let Ok(bytes) = &range {
            self.meters.count_read(bytes.len() as u64);
        }
        self.count(Operation::Read, began, range)
    }

    /// An object as a stream, from offset `start` on.
    pub(crate) async fn stream(
        &self,
        name: &str,
        start: u64,
    ) -> Result<BoxStream<'static, Result<Bytes, object_store::Error>>, ObjectError> {
        let mut options = GetOptions::default();
        if start > 0 {
            options.range = Some(GetRange::Offset(start));
        }
        let began = Instant::now();
        let got = self.store.get_opts(&Path::from(name), options).await;
        let got = self.count(Operation::Read, began, got.map_err(|error| self.failed(error)))?;
        let meters = Arc::clone(&self.meters);
        let count = move |bytes: &Bytes| meters.count_read(bytes.len() as u64);
        Ok(got.into_stream().inspect_ok(count).boxed())
    }

    /// Returns the size of an object; `None` where there is none.
    pub(crate) async fn size(&self, name: &str) -> Result<Option<u64>, ObjectError> {
        let began = Instant::now();
        let size = match self.store.head(&Path::from(name)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(error)),
        };
        self.count(Operation::Stat, began, size)
    }

    /// Deletes an object that no row names. A failure costs space only, so it is logged.
    pub(crate) async fn delete(&self, name: &str) {
        if let Err(error) = self.remove(name).await {
            tracing::warn!(
                error = russet_text::error_chain(&error),
                object = name,
                "an object that is not needed stays"
            );
        }
    }

    /// Deletes an object. One that is not there is as good as deleted.
    pub(crate) async fn remove(&self, name: &str) -> Result<(), ObjectError> {
        let began = Instant::now();
        let removed = match self.store.delete(&Path::from(name)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(error)),
        };
        self.count(Operation::Delete, began, removed)
    }

    /// Deletes what a kill left of writes to a directory, below a prefix. Nobody may be writing
    /// there.
    pub(crate) fn delete_drafts(&self, prefix: &str) {
        if let Place::Directory(dir) = &self.place
            && let Err(error) = drafts::delete_drafts(&dir.join(prefix))
        {
            tracing::warn!(%error, prefix, "halves of objects stay");
        }
    }

    /// Aborts uploads in parts that servers which were killed have left in a bucket.
    pub(crate) async fn abort_left_uploads(&self, now_ms: i64) -> Result<(), ObjectError> {
        let Place::S3(bucket, _) = &self.place else { return Ok(()) };
        for note in self.list_older(parts::NOTES, MIN_UPLOAD_AGE, now_ms).await? {
            tracing::info!(note, "aborts an upload that a server has left");
            let aborted = parts::abort_noted(bucket, &Path::from(note)).await;
            aborted.map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    /// Reads an object and returns its BLAKE3, in hexadecimal.
    pub(crate) async fn hash(&self, name: &str) -> Result<String, ObjectError> {
        let mut hasher = blake3::Hasher::new();
        let mut body = self.stream(name, 0).await?;
        while let Some(bytes) = body.try_next().await.map_err(|error| self.failed(error))? {
            hasher.update(&bytes);
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// The names of all objects, with their sizes.
    pub(crate) async fn sizes(&self) -> Result<Vec<(String, u64)>, ObjectError> {
        let objects = self.store.list(None);
        let named = |meta: object_store::ObjectMeta| (meta.location.to_string(), meta.size);
        let sizes: Result<_, _> = objects.map(|meta| meta.map(named)).try_collect().await;
        sizes.map_err(|error| self.failed(error))
    }

    /// The names of all objects below a prefix.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<String>, ObjectError> {
        self.list_if(prefix, |_| true).await
    }

    /// The names of the objects below a prefix that were written so long before `now_ms`, by a clock
    /// that is within minutes of the store's.
    pub(crate) async fn list_older(
        &self,
        prefix: &str,
        age: Duration,
        now_ms: i64,
    ) -> Result<Vec<String>, ObjectError> {
        let until = now_ms.saturating_sub(millis(age));
        let is_old = |meta: &ObjectMeta| meta.last_modified.timestamp_millis() <= until;
        self.list_if(prefix, is_old).await
    }

    /// The names of the objects below a prefix that no server can be about to name: all, or those
    /// of some age where others write too.
    pub(crate) async fn list_settled(
        &self,
        prefix: &str,
        now_ms: i64,
    ) -> Result<Vec<String>, ObjectError> {
        if self.is_shared() {
            self.list_older(prefix, MIN_LEFT_AGE, now_ms).await
        } else {
            self.list(prefix).await
        }
    }

    async fn list_if(
        &self,
        prefix: &str,
        is_wanted: impl Fn(&ObjectMeta) -> bool,
    ) -> Result<Vec<String>, ObjectError> {
        let began = Instant::now();
        let mut names = Vec::new();
        let mut objects = self.store.list(Some(&Path::from(prefix)));
        while let Some(meta) = objects.next().await {
            let meta = match meta.map_err(|error| self.failed(error)) {
                Ok(meta) => meta,
                Err(error) => return self.count(Operation::List, began, Err(error)),
            };
            if is_wanted(&meta) {
                names.push(meta.location.to_string());
            }
        }
        self.count(Operation::List, began, Ok(names))
    }
}

/// Destination of a stream.
#[derive(Debug)]
enum Sink {
    /// A file, and what was gathered for it.
    File(Box<dyn MultipartUpload>, Vec<u8>),
    Parts(Parts),
}

impl Sink {
    async fn write(&mut self, bytes: Bytes) -> Result<(), PartsError> {
        match self {
            Self::Parts(parts) => parts.write(bytes).await,
            Self::File(upload, buffer) => {
                buffer.extend_from_slice(&bytes);
                if buffer.len() >= STREAM_BUFFER {
                    let full = std::mem::replace(buffer, Vec::with_capacity(STREAM_BUFFER));
                    upload.put_part(PutPayload::from(full)).await?;
                }
                Ok(())
            }
        }
    }

    async fn complete(self) -> Result<(), PartsError> {
        match self {
            Self::Parts(parts) => parts.complete().await,
            Self::File(mut upload, buffer) => {
                if !buffer.is_empty() {
                    upload.put_part(PutPayload::from(buffer)).await?;
                }
                upload.complete().await?;
                Ok(())
            }
        }
    }

    /// Leaves nothing of it. Parts see to that themselves.
    async fn abort(self) {
        if let Self::File(mut upload, _) = self
            && let Err(error) = upload.abort().await
        {
            let error = russet_text::error_chain(&error);
            tracing::debug!(error, "an upload that broke off stays");
        }
    }
}

/// Bytes of a stream that are gathered before they are written to a file.
const STREAM_BUFFER: usize = 1024 * 1024;

/// A random part for the name of an object, so that no two writers ever meet in one.
pub(crate) fn unique_name() -> String {
    russet_protocol::ids::TaskId::generate().as_str().to_owned()
}
