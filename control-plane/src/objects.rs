//! Bytes too many for the database: output, artifacts, source snapshots.
//!
//! An object is written whole before the row that names it, and never changed. So a crash between
//! the two leaves at most an object that nothing names, which the next start deletes.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload,
};

/// Reason why an object could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObjectError {
    /// The place where objects are failed.
    #[error("the object store failed")]
    Store(#[from] object_store::Error),
    /// Body that could not be read.
    #[error("the bytes stopped coming")]
    Body(#[source] axum::Error),
    /// It is more than may be stored.
    #[error("it is larger than {0} bytes")]
    TooLarge(u64),
}

/// Store of objects.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    dir: PathBuf,
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
        Ok(Self { store: Arc::new(store), dir: dir.to_owned() })
    }

    /// Writes a small object.
    pub(crate) async fn put(&self, name: &str, bytes: Bytes) -> Result<(), ObjectError> {
        self.store.put(&Path::from(name), bytes.into()).await?;
        Ok(())
    }

    /// Writes an object from a stream, of at most `limit` bytes, with little of it in memory.
    /// A stream that breaks off leaves nothing.
    pub(crate) async fn put_stream(
        &self,
        name: &str,
        body: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin,
        limit: u64,
    ) -> Result<Written, ObjectError> {
        let mut upload = self.store.put_multipart(&Path::from(name)).await?;
        match copy_stream(&mut *upload, body, limit).await {
            Ok(written) => {
                upload.complete().await?;
                Ok(written)
            }
            Err(error) => {
                if let Err(error) = upload.abort().await {
                    tracing::debug!(
                        error = russet_text::error_chain(&error),
                        object = name,
                        "an upload that broke off stays"
                    );
                }
                Err(error)
            }
        }
    }

    /// Bytes of an object, from offset `start`, `length` of them.
    pub(crate) async fn get_range(
        &self,
        name: &str,
        start: u64,
        length: u64,
    ) -> Result<Bytes, ObjectError> {
        Ok(self.store.get_range(&Path::from(name), start..start + length).await?)
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
        Ok(self.store.get_opts(&Path::from(name), options).await?.into_stream())
    }

    /// Returns the size of an object; `None` where there is none.
    pub(crate) async fn size(&self, name: &str) -> Result<Option<u64>, ObjectError> {
        match self.store.head(&Path::from(name)).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives an object another name, in place of what has it.
    pub(crate) async fn rename(&self, from: &str, to: &str) -> Result<(), ObjectError> {
        self.store.rename(&Path::from(from), &Path::from(to)).await?;
        Ok(())
    }

    /// Deletes an object that no row names. A failure costs space only, so it is logged.
    pub(crate) async fn delete(&self, name: &str) {
        if let Err(error) = self.store.delete(&Path::from(name)).await {
            tracing::warn!(
                error = russet_text::error_chain(&error),
                object = name,
                "an object that is not needed stays"
            );
        }
    }

    /// Deletes what a kill left of writes below a prefix. Nobody may be writing there.
    pub(crate) fn delete_drafts(&self, prefix: &str) {
        if let Err(error) = delete_drafts(&self.dir.join(prefix)) {
            tracing::warn!(%error, prefix, "halves of objects stay");
        }
    }

    /// The names of all objects below a prefix.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<String>, ObjectError> {
        let objects = self.store.list(Some(&Path::from(prefix)));
        Ok(objects.map(|meta| meta.map(|meta| meta.location.to_string())).try_collect().await?)
    }
}

/// A write goes to `name#number` until it is whole. The object store lists no such file.
fn delete_drafts(dir: &FilePath) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            delete_drafts(&entry.path())?;
        } else if entry.file_name().to_string_lossy().contains('#') {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

async fn copy_stream(
    upload: &mut dyn MultipartUpload,
    mut body: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin,
    limit: u64,
) -> Result<Written, ObjectError> {
    let mut hasher = blake3::Hasher::new();
    let mut size = 0;
    let mut part = Vec::with_capacity(STREAM_BUFFER);
    while let Some(bytes) = body.try_next().await.map_err(ObjectError::Body)? {
        size += bytes.len() as u64;
        if size > limit {
            return Err(ObjectError::TooLarge(limit));
        }
        hasher.update(&bytes);
        part.extend_from_slice(&bytes);
        if part.len() >= STREAM_BUFFER {
            let full = std::mem::replace(&mut part, Vec::with_capacity(STREAM_BUFFER));
            upload.put_part(PutPayload::from(full)).await?;
        }
    }
    if !part.is_empty() || size == 0 {
        upload.put_part(PutPayload::from(part)).await?;
    }
    Ok(Written { size, blake3: hasher.finalize().to_hex().to_string() })
}

/// Bytes of a stream that are gathered before they are written.
const STREAM_BUFFER: usize = 1024 * 1024;

/// A random part for the name of an object, so that no two writers ever meet in one.
pub(crate) fn unique_name() -> String {
    russet_protocol::ids::TaskId::generate().as_str().to_owned()
}
