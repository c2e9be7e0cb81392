//! Tables `sources`, `chunks` and `source_chunks`: snapshots that pipelines are submitted with.
//! Their name is their hash. A snapshot is one object, or in chunks that it shares with others.

use russet_protocol::ids::SourceId;
use russet_protocol::keeping::Chunk;

use super::rows::int_value;
use super::sql::query;
use super::{Conn, StoreError, WriteTx, unnamed};

/// Place of a snapshot's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// One object.
    Whole(String),
    /// These objects, one behind the other.
    Chunks(Vec<String>),
}

/// Returns true if a snapshot is here.
pub(crate) async fn exists(conn: &mut Conn, id: &SourceId) -> Result<bool, StoreError> {
    let row =
        query("SELECT 1 FROM sources WHERE id = $1").bind(id.as_str()).fetch_optional(conn).await?;
    Ok(row.is_some())
}

/// Notes that a snapshot is here, whose object is written; `object` is empty for one in chunks.
/// One that is here stays as it is and is as young as a new one. Returns false for that: the object
/// is not needed.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    id: &SourceId,
    size: u64,
    object: &str,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let done = query(
        "INSERT INTO sources (id, size, object, created_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING",
    )
    .bind(id.as_str())
    .bind(int_value(size))
    .bind(object)
    .bind(now_ms)
    .execute(tx)
    .await?;
    if done.rows_affected() > 0 {
        return Ok(true);
    }
    query("UPDATE sources SET created_ms = $1 WHERE id = $2")
        .bind(now_ms)
        .bind(id.as_str())
        .execute(tx)
        .await?;
    Ok(false)
}

/// Returns the place of a snapshot; `None` where there is no such snapshot.
pub(crate) async fn place(conn: &mut Conn, id: &SourceId) -> Result<Option<Place>, StoreError> {
    let row = query("SELECT object FROM sources WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(&mut *conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    match row.try_get::<Option<String>>("object")? {
        None => return Ok(Some(Place::Whole(crate::sources::first_object(id)))),
        Some(object) if !object.is_empty() => return Ok(Some(Place::Whole(object))),
        Some(_) => {}
    }
    let rows = query(
        "SELECT c.object FROM source_chunks AS s JOIN chunks AS c ON c.id = s.chunk \
         WHERE s.source = $1 ORDER BY s.position",
    )
    .bind(id.as_str())
    .fetch_all(conn)
    .await?;
    let objects: Result<_, sqlx::Error> = rows.iter().map(|row| row.try_get("object")).collect();
    Ok(Some(Place::Chunks(objects?)))
}

/// Returns true if a snapshot or a chunk has this object, whose name begins with the id of that.
pub(crate) async fn names_object(conn: &mut Conn, object: &str) -> Result<bool, StoreError> {
    let name = object.rsplit('/').next().unwrap_or(object);
    let id = name.split('-').next().unwrap_or(name);
    let row = query(
        "SELECT 1 FROM sources WHERE id = $1 AND coalesce(object, 'sources/' || id) = $2 \
         UNION ALL SELECT 1 FROM chunks WHERE id = $1 AND object = $2",
    )
    .bind(id)
    .bind(object)
    .fetch_optional(conn)
    .await?;
    Ok(row.is_some())
}

/// Returns up to a few snapshots of before that no pipeline has.
pub(crate) async fn unused(conn: &mut Conn, before_ms: i64) -> Result<Vec<SourceId>, StoreError> {
    let rows = query(
        "SELECT s.id FROM sources AS s WHERE s.created_ms < $1 \
         AND NOT EXISTS (SELECT 1 FROM pipelines AS p WHERE p.source = s.id) \
         ORDER BY s.created_ms LIMIT 20",
    )
    .bind(before_ms)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok(row.try_get::<String>("id")?.into())).collect()
}

/// Removes a snapshot that no pipeline has. An error that is a conflict says that one got it at this
/// moment.
pub(crate) async fn remove(
    tx: &mut WriteTx,
    id: &SourceId,
    before_ms: i64,
    now_ms: i64,
) -> Result<(), StoreError> {
    query("DELETE FROM source_chunks WHERE source = $1").bind(id.as_str()).execute(tx).await?;
    let row = query("DELETE FROM sources WHERE id = $1 AND created_ms < $2 RETURNING object")
        .bind(id.as_str())
        .bind(before_ms)
        .fetch_optional(tx)
        .await?;
    let Some(row) = row else { return Err(StoreError::Changed) };
    let object: Option<String> = row.try_get("object")?;
    let object = object.unwrap_or_else(|| crate::sources::first_object(id));
    if !object.is_empty() {
        unnamed::note(tx, &object, now_ms).await?;
    }
    Ok(())
}

/// Returns those of some chunks that are not here.
pub(crate) async fn missing(conn: &mut Conn, chunks: &[Chunk]) -> Result<Vec<String>, StoreError> {
    let mut missing = Vec::new();
    for chunk in chunks {
        let row = query("SELECT 1 FROM chunks WHERE id = $1 AND size = $2")
            .bind(&chunk.id)
            .bind(int_value(chunk.size))
            .fetch_optional(&mut *conn)
            .await?;
        if row.is_none() {
            missing.push(chunk.id.clone());
        }
    }
    missing.sort_unstable();
    missing.dedup();
    Ok(missing)
}

/// Notes that a chunk is here. Returns false where it was already: the object is not needed.
pub(crate) async fn insert_chunk(
    tx: &mut WriteTx,
    chunk: &Chunk,
    object: &str,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let done = query(
        "INSERT INTO chunks (id, size, object, created_ms) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING",
    )
    .bind(&chunk.id)
    .bind(int_value(chunk.size))
    .bind(object)
    .bind(now_ms)
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Adds the next chunk of a snapshot. An error that is a conflict says that there is no such chunk.
pub(crate) async fn add_chunk(
    tx: &mut WriteTx,
    id: &SourceId,
    position: usize,
    chunk: &str,
) -> Result<(), StoreError> {
    query("INSERT INTO source_chunks (source, position, chunk) VALUES ($1, $2, $3)")
        .bind(id.as_str())
        .bind(int_value(position as u64))
        .bind(chunk)
        .execute(tx)
        .await?;
    Ok(())
}

/// Returns up to a few chunks of before that no snapshot has.
pub(crate) async fn unused_chunks(
    conn: &mut Conn,
    before_ms: i64,
) -> Result<Vec<String>, StoreError> {
    let rows = query(
        "SELECT c.id FROM chunks AS c WHERE c.created_ms < $1 \
         AND (SELECT 1 FROM source_chunks AS s WHERE s.chunk = c.id LIMIT 1) IS NULL \
         ORDER BY c.created_ms LIMIT 200",
    )
    .bind(before_ms)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok(row.try_get("id")?)).collect()
}

/// Removes a chunk that no snapshot has. An error that is a conflict says that one got it at this
/// moment.
pub(crate) async fn remove_chunk(
    tx: &mut WriteTx,
    id: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    let rows =
        query("DELETE FROM chunks WHERE id = $1 RETURNING object").bind(id).fetch_all(tx).await?;
    for row in &rows {
        unnamed::note(tx, &row.try_get::<String>("object")?, now_ms).await?;
    }
    Ok(())
}
