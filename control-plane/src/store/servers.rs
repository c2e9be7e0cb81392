//! Tables `servers` and `database_state`: the servers that use the database, and since when none did.

use super::rows::count_column;
use super::sql::{Lock, Row, query};
use super::{Conn, StoreError, WriteTx, tasks};

/// A server, as the others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerRow {
    /// Another one at each start.
    pub(crate) id: String,
    /// Version of the program.
    pub(crate) version: String,
    /// Name by which people know it, which it has again after a restart. Empty: of an older
    /// version.
    pub(crate) place: String,
    /// The same for servers with the same objects.
    pub(crate) objects: String,
    /// The same for servers with the same key of values.
    pub(crate) secrets: String,
    /// The same for servers with the same admin token.
    pub(crate) admin: String,
}

/// Result of [`say_present`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Presence {
    /// Time before this call in which no server was there, in milliseconds, if that was long.
    pub(crate) absence_ms: i64,
    /// Number of servers that were there and are not any more.
    pub(crate) lost: usize,
    /// Number of other servers.
    pub(crate) others: u64,
    /// Time since which some server has been there without a break, in milliseconds since 1970.
    pub(crate) since_ms: i64,
}

/// Circumstances in which a server says that it is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// Time by its clock, in milliseconds since 1970.
    pub(crate) now_ms: i64,
    /// Number of the last migration that it knows.
    pub(crate) schema: i64,
    /// Set where it starts and no other is there.
    pub(crate) is_first: bool,
}

/// Returns the lowest schema that a server has to know.
pub(crate) async fn min_schema(conn: &mut Conn) -> Result<i64, StoreError> {
    let row = query("SELECT min_schema FROM database_state WHERE id = 1").fetch_one(conn).await?;
    Ok(row.try_get("min_schema")?)
}

/// Returns the names of the servers that are there and do not know a schema. Until the end of the
/// transaction none can begin to be.
pub(crate) async fn present_below(
    tx: &mut WriteTx,
    schema: i64,
    silence_ms: i64,
) -> Result<Vec<String>, StoreError> {
    lock_state(tx).await?;
    let since = tx.database_ms().await?.saturating_sub(silence_ms);
    let rows = query(
        "SELECT coalesce(nullif(place, ''), id) AS name FROM servers \
         WHERE seen_ms >= $1 AND coalesce(schema, 0) < $2 ORDER BY name",
    )
    .bind(since)
    .bind(schema)
    .fetch_all(tx)
    .await?;
    rows.iter().map(|row| Ok(row.try_get("name")?)).collect()
}

/// Lets no server use the database from now on that does not know a schema. Those that use it end.
pub(crate) async fn raise_min_schema(tx: &mut WriteTx, schema: i64) -> Result<(), StoreError> {
    query("UPDATE database_state SET min_schema = $1 WHERE id = 1 AND min_schema < $1")
        .bind(schema)
        .execute(tx)
        .await?;
    Ok(())
}

/// Returns the servers that have said within `silence_ms` that they are there. Until the end of the
/// transaction none can begin to be.
pub(crate) async fn present(
    tx: &mut WriteTx,
    silence_ms: i64,
) -> Result<Vec<ServerRow>, StoreError> {
    lock_state(tx).await?;
    let since = tx.database_ms().await?.saturating_sub(silence_ms);
    let rows = query(
        "SELECT id, version, place, objects, secrets, admin FROM servers WHERE seen_ms >= $1",
    )
    .bind(since)
    .fetch_all(tx)
    .await?;
    let server = |row: &Row| {
        Ok(ServerRow {
            id: row.try_get("id")?,
            version: row.try_get("version")?,
            place: row.try_get::<Option<String>>("place")?.unwrap_or_default(),
            objects: row.try_get("objects")?,
            secrets: row.try_get("secrets")?,
            admin: row.try_get("admin")?,
        })
    };
    rows.iter().map(server).collect()
}

/// Notes that a server is there. Where none was for longer than `silence_ms`, also because nobody
/// reached the database, the leases of running tasks lapse later by that time: no runner could renew
/// one. Others that have been silent for twice as long are forgotten, and the time without a break
/// begins anew, as it does with the first server.
pub(crate) async fn say_present(
    tx: &mut WriteTx,
    server: &ServerRow,
    silence_ms: i64,
    arrival: Arrival,
) -> Result<Presence, StoreError> {
    let (alive_ms, unbroken_ms) = lock_state(tx).await?;
    let now = tx.database_ms().await?;
    let silent = now.saturating_sub(alive_ms.unwrap_or(now));
    let absence_ms = if silent > silence_ms { silent } else { 0 };
    if absence_ms > 0 {
        tasks::prolong_leases(tx, absence_ms).await?;
    }
    let unbroken_ms = unbroken_ms.filter(|_| absence_ms == 0 && !arrival.is_first);
    let since_ms = unbroken_ms.unwrap_or(arrival.now_ms);
    query("UPDATE database_state SET alive_ms = $1, present_since_ms = $2 WHERE id = 1")
        .bind(now)
        .bind(since_ms)
        .execute(tx)
        .await?;
    query(
        "INSERT INTO servers (id, version, objects, secrets, admin, seen_ms, place, schema) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET seen_ms = excluded.seen_ms",
    )
    .bind(&server.id)
    .bind(&server.version)
    .bind(&server.objects)
    .bind(&server.secrets)
    .bind(&server.admin)
    .bind(now)
    .bind(&server.place)
    .bind(arrival.schema)
    .execute(tx)
    .await?;
    let lost = query("DELETE FROM servers WHERE seen_ms < $1 RETURNING id")
        .bind(now.saturating_sub(silence_ms.saturating_mul(2)))
        .fetch_all(tx)
        .await?
        .len();
    let row = query("SELECT count(*) AS others FROM servers WHERE id <> $1")
        .bind(&server.id)
        .fetch_one(tx)
        .await?;
    Ok(Presence { absence_ms, lost, others: count_column(&row, "others")?, since_ms })
}

/// Returns the places of the other servers: of those that are gone, a few seconds longer.
pub(crate) async fn other_places(conn: &mut Conn, own: &str) -> Result<Vec<String>, StoreError> {
    let rows = query("SELECT place FROM servers WHERE id <> $1 AND place IS NOT NULL")
        .bind(own)
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| Ok(row.try_get("place")?)).collect()
}

/// Returns true where a server was there within `silence_ms`: leases that have lapsed by now were not
/// kept from being renewed by the absence of all of them.
pub(crate) async fn was_any_present(tx: &mut WriteTx, silence_ms: i64) -> Result<bool, StoreError> {
    let row = query("SELECT alive_ms FROM database_state WHERE id = 1").fetch_one(tx).await?;
    let alive_ms: Option<i64> = row.try_get("alive_ms")?;
    let now = tx.database_ms().await?;
    Ok(alive_ms.is_some_and(|alive_ms| now.saturating_sub(alive_ms) <= silence_ms))
}

/// Notes that a server stops.
pub(crate) async fn leave(tx: &mut WriteTx, server: &str) -> Result<(), StoreError> {
    query("DELETE FROM servers WHERE id = $1").bind(server).execute(tx).await?;
    Ok(())
}

/// Lets no other server say that it is there until the end of the transaction. Returns when one last
/// did, and since when there has been no break.
async fn lock_state(tx: &mut WriteTx) -> Result<(Option<i64>, Option<i64>), StoreError> {
    let row = query("SELECT alive_ms, present_since_ms FROM database_state WHERE id = 1")
        .lock(Lock::Of("database_state"))
        .fetch_one(tx)
        .await?;
    Ok((row.try_get("alive_ms")?, row.try_get("present_since_ms")?))
}
