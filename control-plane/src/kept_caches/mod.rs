//! Caches that outlive a control plane: those of `russet run`, whose control plane ends with the run.
//!
//! Each project has a directory of its own, outside of any data directory, with two files for a cache:
//! a document that names it, and its archive. Files are written beside their place and linked or renamed
//! into it, so that several runs may read, write and delete there at once: a cache is there as a whole,
//! or not at all. A run notes all of them at its start, and takes an archive into its own objects when a
//! job asks for it; where somebody deleted it meanwhile, it was never there.

mod document;
mod folder;

use russet_protocol::storage::Cache;

use crate::state::App;
use crate::store::caches::{self, NewCache};
use crate::store::{Conn, StoreError, WriteTx};

use self::document::Document;
pub use self::folder::{Removed, bound_kept_caches, remove_kept_caches};

/// Prefix of objects of archives that were kept before.
const PREFIX: &str = "archives/kept/";

/// Notes the caches that are kept, so that jobs find them.
pub(crate) async fn note_kept(app: &App) -> Result<(), StoreError> {
    let Some(kept) = app.kept_caches.clone() else { return Ok(()) };
    let documents = blocking(move || folder::read_documents(&kept.dir)).await.unwrap_or_default();
    let now_ms = app.clock.wall_ms();
    let mut tx = app.store.write().await?;
    for document in documents.iter().filter(|document| document.expires_ms > now_ms) {
        let object = format!("{PREFIX}{}", document.cache.id);
        let new = NewCache {
            cache: &document.cache,
            scope: &document.scope,
            project: &document.project,
            object: &object,
            expires_ms: document.expires_ms,
        };
        caches::insert(&mut tx, &new).await?;
    }
    tx.commit().await
}

/// Takes the archive of a cache that was found into the objects of this control plane. Returns false
/// where it is not there any longer.
pub(crate) async fn take_archive(
    app: &App,
    conn: &mut Conn,
    scope: &str,
    cache: &Cache,
) -> Result<bool, StoreError> {
    let Some(kept) = app.kept_caches.clone() else { return Ok(true) };
    let found = caches::find_archive(conn, scope, &cache.id).await?;
    let Some(object) = found.map(|found| found.object) else { return Ok(false) };
    let Some(own) = app.objects.file(&object).filter(|_| object.starts_with(PREFIX)) else {
        return Ok(true);
    };
    let archive = kept.dir.join(document::archive_name(&cache.id));
    let size = cache.size;
    Ok(blocking(move || folder::take_file(&archive, &own, size)).await.unwrap_or(false))
}

/// Forgets a cache whose archive is not there any longer.
pub(crate) async fn forget(tx: &mut WriteTx, cache: &Cache) -> Result<(), StoreError> {
    caches::remove(tx, &cache.id).await
}

/// Keeps a cache that was stored just now, beyond the end of this control plane. A failure is logged:
/// the next run begins without it.
pub(crate) async fn keep(app: &App, new: &NewCache<'_>) {
    let Some(kept) = app.kept_caches.clone() else { return };
    let Some(own) = app.objects.file(new.object) else { return };
    let document = Document {
        scope: new.scope.to_owned(),
        project: new.project.to_owned(),
        expires_ms: new.expires_ms,
        cache: new.cache.clone(),
    };
    let now_ms = app.clock.wall_ms();
    let done = blocking(move || {
        folder::publish(&kept.dir, &document, &own, now_ms)?;
        match kept.dir.parent() {
            Some(all) => bound_kept_caches(all, kept.limit, now_ms).map(drop),
            None => Ok(()),
        }
    });
    match done.await {
        Some(Ok(())) => {}
        Some(Err(error)) => {
            tracing::warn!(%error, key = new.cache.key, "a cache is not kept for later runs");
        }
        None => tracing::warn!(key = new.cache.key, "a cache is not kept for later runs"),
    }
}

/// Runs what waits for a disk. `None`: the server ends.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
