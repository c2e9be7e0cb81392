//! Table `ssh_accesses`: people's access to the tasks of jobs by SSH.

use russet_protocol::ids::{JobId, UserId};

use super::abilities::SshLevel;
use super::rows::{count_column, int_value, json, to_json};
use super::sql::query;
use super::{Conn, StoreError, WriteTx};

/// Access of a person to the tasks of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// Account of the person; `None`: the holder of the admin token.
    pub(crate) user: Option<UserId>,
    /// Name of the person.
    pub(crate) person: String,
    /// Public keys, as lines of OpenSSH.
    pub(crate) keys: Vec<String>,
    /// Time for which a task is held while nobody is connected, in milliseconds.
    pub(crate) idle_ms: u64,
    /// Time for which a task is held in all, in milliseconds.
    pub(crate) longest_ms: u64,
}

/// Gives access to the tasks of a job that is not in line yet.
pub(crate) async fn insert(
    tx: &mut WriteTx,
    job: &JobId,
    from_fork: bool,
    access: &Access,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO ssh_accesses (job, user_id, person, keys, idle_ms, longest_ms) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(job.as_str())
    .bind(access.user.as_ref().map(UserId::as_str))
    .bind(&access.person)
    .bind(to_json(&access.keys)?)
    .bind(int_value(access.idle_ms))
    .bind(int_value(access.longest_ms))
    .execute(tx)
    .await?;
    query("UPDATE jobs SET ssh = $1 WHERE id = $2")
        .bind(SshLevel::of_need(from_fork) as i64)
        .bind(job.as_str())
        .execute(tx)
        .await?;
    Ok(())
}

/// Returns the access to the tasks of a job.
pub(crate) async fn of_job(conn: &mut Conn, job: &JobId) -> Result<Option<Access>, StoreError> {
    let row = query("SELECT * FROM ssh_accesses WHERE job = $1")
        .bind(job.as_str())
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Access {
        user: row.try_get::<Option<String>>("user_id")?.map(Into::into),
        person: row.try_get("person")?,
        keys: json(&row, "keys")?,
        idle_ms: count_column(&row, "idle_ms")?,
        longest_ms: count_column(&row, "longest_ms")?,
    }))
}
