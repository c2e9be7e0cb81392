//! Table `device_logins`: command lines that wait for somebody to allow them a token. It is small: old
//! rows go with each new one, and there are at most a thousand.

use russet_protocol::ids::UserId;
use russet_protocol::people::NewPersonalToken;

use super::rows::{json, to_json};
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};
use crate::credentials::TokenHash;
use crate::people::{DeviceState, DeviceTimes};

/// Login of a command line.
#[derive(Clone, Debug)]
pub(crate) struct StoredDeviceLogin {
    /// Hash of the code that the command line keeps.
    pub(crate) id: TokenHash,
    /// Keyed hash of the code that a person types.
    pub(crate) user_code: blake3::Hash,
    /// Address that it came from.
    pub(crate) address: String,
    /// Token that is asked for.
    pub(crate) request: NewPersonalToken,
    pub(crate) state: DeviceState,
    pub(crate) times: DeviceTimes,
    /// The one who allowed it.
    pub(crate) user: Option<UserId>,
}

fn login_from_row(row: &Row) -> Result<StoredDeviceLogin, StoreError> {
    let hash = |column| -> Result<blake3::Hash, StoreError> {
        let bytes: Vec<u8> = row.try_get(column)?;
        blake3::Hash::from_slice(&bytes)
            .map_err(|_| StoreError::Unreadable { what: format!("{column} of a login") })
    };
    let state: String = row.try_get("state")?;
    let unreadable = || StoreError::Unreadable { what: format!("the state of a login `{state}`") };
    Ok(StoredDeviceLogin {
        id: TokenHash::of_hash(hash("id")?),
        user_code: hash("user_code")?,
        address: row.try_get("address")?,
        request: json(row, "request")?,
        state: DeviceState::from_name(&state).ok_or_else(unreadable)?,
        times: DeviceTimes {
            until_ms: row.try_get("until_ms")?,
            interval_s: row.try_get("interval_s")?,
            polled_ms: row.try_get("polled_ms")?,
        },
        user: row.try_get::<Option<String>>("user_id")?.map(Into::into),
    })
}

/// Counts the logins of a source, and all of them, after it has forgotten those that are over.
pub(crate) async fn count(
    tx: &mut WriteTx,
    source: &str,
    now_ms: i64,
) -> Result<(i64, i64), StoreError> {
    query("DELETE FROM device_logins WHERE until_ms <= $1").bind(now_ms).execute(tx).await?;
    let row = query(
        "SELECT COUNT(*) AS all_logins, \
         COUNT(CASE WHEN source = $1 THEN 1 END) AS of_source FROM device_logins",
    )
    .bind(source)
    .fetch_one(tx)
    .await?;
    Ok((row.try_get("of_source")?, row.try_get("all_logins")?))
}

/// Adds a login.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    login: &StoredDeviceLogin,
    source: &str,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO device_logins (id, user_code, source, address, request, until_ms, interval_s, \
         state) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(login.id.as_bytes())
    .bind(login.user_code.as_bytes().as_slice())
    .bind(source)
    .bind(&login.address)
    .bind(to_json(&login.request)?)
    .bind(login.times.until_ms)
    .bind(login.times.interval_s)
    .bind(login.state.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the login of a command line.
pub(crate) async fn get(
    conn: &mut Conn,
    id: &TokenHash,
) -> Result<Option<StoredDeviceLogin>, StoreError> {
    let row = query("SELECT * FROM device_logins WHERE id = $1").bind(id.as_bytes());
    row.fetch_optional(conn).await?.as_ref().map(login_from_row).transpose()
}

/// Returns the login that waits for the one who types a code.
pub(crate) async fn find_waiting(
    conn: &mut Conn,
    user_code: &blake3::Hash,
    now_ms: i64,
) -> Result<Option<StoredDeviceLogin>, StoreError> {
    let row = query(
        "SELECT * FROM device_logins WHERE user_code = $1 AND until_ms > $2 AND state = 'waiting'",
    )
    .bind(user_code.as_bytes().as_slice())
    .bind(now_ms)
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(login_from_row).transpose()
}

/// Allows or denies a login that waits. Returns false where somebody else has decided.
pub(crate) async fn decide(
    tx: &mut WriteTx,
    id: &TokenHash,
    state: DeviceState,
    user: &UserId,
) -> Result<bool, StoreError> {
    let done = query(
        "UPDATE device_logins SET state = $2, user_id = $3 WHERE id = $1 AND state = 'waiting'",
    )
    .bind(id.as_bytes())
    .bind(state.as_str())
    .bind(user.as_str())
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Notes that the token of a login is fetched. Returns false where it was before.
pub(crate) async fn fetch(tx: &mut WriteTx, id: &TokenHash) -> Result<bool, StoreError> {
    let done =
        query("UPDATE device_logins SET state = 'fetched' WHERE id = $1 AND state = 'allowed'")
            .bind(id.as_bytes())
            .execute(tx)
            .await?;
    Ok(done.rows_affected() > 0)
}

/// Notes a poll.
pub(crate) async fn note_poll(
    tx: &mut WriteTx,
    id: &TokenHash,
    now_ms: i64,
    interval_s: i64,
) -> Result<(), StoreError> {
    query("UPDATE device_logins SET polled_ms = $2, interval_s = $3 WHERE id = $1")
        .bind(id.as_bytes())
        .bind(now_ms)
        .bind(interval_s)
        .execute(tx)
        .await?;
    Ok(())
}

/// Takes back what an account has allowed and nobody has fetched.
pub(crate) async fn take_back(tx: &mut WriteTx, user: &UserId) -> Result<(), StoreError> {
    query("UPDATE device_logins SET state = 'denied' WHERE user_id = $1 AND state = 'allowed'")
        .bind(user.as_str())
        .execute(tx)
        .await?;
    Ok(())
}
