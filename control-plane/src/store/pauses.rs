//! Tables `runner_pauses` and `runner_pauses_lifted`: pauses that people at the server want.
//!
//! A pause is of a runner, or of a class with all its runners, those that come later included. A
//! runner's own comes before that of its class, and one of a class can be lifted for a single runner.

use std::collections::HashMap;

use russet_protocol::machine::{PauseKind, ServerPause};
use russet_protocol::resource_class::ResourceClass;

use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};

/// Name under which the pause of a whole class is kept.
const WHOLE_CLASS: &str = "";

/// Pauses in force.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    by_runner: HashMap<(String, String), ServerPause>,
    lifted: HashMap<(String, String), String>,
}

impl Pauses {
    /// Returns the pause of a class as a whole.
    pub(crate) fn of_class(&self, class: &str) -> Option<&ServerPause> {
        self.by_runner.get(&(class.to_owned(), WHOLE_CLASS.to_owned()))
    }

    /// Returns the pause that a runner is under.
    pub(crate) fn of_runner(&self, class: &str, runner: &str) -> Option<&ServerPause> {
        if self.by_runner.is_empty() {
            return None;
        }
        let key = (class.to_owned(), runner.to_owned());
        let of_class = || {
            let pause = self.of_class(class)?;
            (self.lifted.get(&key) != Some(&pause.id)).then_some(pause)
        };
        self.by_runner.get(&key).or_else(of_class)
    }
}

fn pause_from_row(row: &Row) -> Result<ServerPause, StoreError> {
    let ms = |value: i64| u64::try_from(value).unwrap_or_default();
    let kind: String = row.try_get("kind")?;
    let runner: String = row.try_get("runner")?;
    Ok(ServerPause {
        id: row.try_get("id")?,
        kind: if kind == "drain" { PauseKind::Drain } else { PauseKind::Pause },
        reason: row.try_get("reason")?,
        by: row.try_get("by_whom")?,
        since_ms: ms(row.try_get("since_ms")?),
        until_ms: row.try_get::<Option<i64>>("until_ms")?.map(ms),
        is_of_class: runner == WHOLE_CLASS,
    })
}

/// Returns all pauses that are in force.
pub(crate) async fn all(conn: &mut Conn, now_ms: i64) -> Result<Pauses, StoreError> {
    let text = "SELECT * FROM runner_pauses WHERE until_ms IS NULL OR until_ms > $1";
    let rows = query(text).bind(now_ms).fetch_all(&mut *conn).await?;
    let lifted = match rows.is_empty() {
        true => Vec::new(),
        false => query("SELECT * FROM runner_pauses_lifted").fetch_all(conn).await?,
    };
    collect_pauses(&rows, &lifted)
}

/// Returns the pauses of a class that are in force.
pub(crate) async fn of_class(
    conn: &mut Conn,
    class: &ResourceClass,
    now_ms: i64,
) -> Result<Pauses, StoreError> {
    let rows = query(
        "SELECT * FROM runner_pauses WHERE class = $1 AND (until_ms IS NULL OR until_ms > $2)",
    )
    .bind(class.as_str())
    .bind(now_ms)
    .fetch_all(&mut *conn)
    .await?;
    let text = "SELECT * FROM runner_pauses_lifted WHERE class = $1";
    let lifted = match rows.is_empty() {
        true => Vec::new(),
        false => query(text).bind(class.as_str()).fetch_all(conn).await?,
    };
    collect_pauses(&rows, &lifted)
}

fn collect_pauses(rows: &[Row], lifted: &[Row]) -> Result<Pauses, StoreError> {
    let key = |row: &Row| Ok::<_, StoreError>((row.try_get("class")?, row.try_get("runner")?));
    let by_runner = rows.iter().map(|row| Ok((key(row)?, pause_from_row(row)?)));
    let lifted = lifted.iter().map(|row| Ok((key(row)?, row.try_get("id")?)));
    Ok(Pauses {
        by_runner: by_runner.collect::<Result<_, StoreError>>()?,
        lifted: lifted.collect::<Result<_, StoreError>>()?,
    })
}

/// Pauses a runner, or with `None` a whole class.
pub(crate) async fn set(
    tx: &mut WriteTx,
    class: &ResourceClass,
    runner: Option<&str>,
    pause: &ServerPause,
) -> Result<(), StoreError> {
    let ms = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    query(
        "INSERT INTO runner_pauses (class, runner, id, kind, reason, by_whom, since_ms, until_ms) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (class, runner) DO UPDATE SET \
         id = excluded.id, kind = excluded.kind, reason = excluded.reason, \
         by_whom = excluded.by_whom, since_ms = excluded.since_ms, until_ms = excluded.until_ms",
    )
    .bind(class.as_str())
    .bind(runner.unwrap_or(WHOLE_CLASS))
    .bind(&pause.id)
    .bind(pause.kind.as_str())
    .bind(&pause.reason)
    .bind(&pause.by)
    .bind(ms(pause.since_ms))
    .bind(pause.until_ms.map(ms))
    .execute(&mut *tx)
    .await?;
    tx.wake_class(class.as_str());
    Ok(())
}

/// Lifts the pause of a class, and with it what was said of single runners of the class.
pub(crate) async fn lift_class(tx: &mut WriteTx, class: &ResourceClass) -> Result<(), StoreError> {
    let all = [
        "DELETE FROM runner_pauses WHERE class = $1",
        "DELETE FROM runner_pauses_lifted WHERE class = $1",
    ];
    for text in all {
        query(text).bind(class.as_str()).execute(&mut *tx).await?;
    }
    tx.wake_class(class.as_str());
    Ok(())
}

/// Lifts whatever pause a runner is under, for it alone.
pub(crate) async fn lift_runner(
    tx: &mut WriteTx,
    class: &ResourceClass,
    runner: &str,
) -> Result<(), StoreError> {
    query("DELETE FROM runner_pauses WHERE class = $1 AND runner = $2")
        .bind(class.as_str())
        .bind(runner)
        .execute(&mut *tx)
        .await?;
    query(
        "INSERT INTO runner_pauses_lifted (class, runner, id) \
         SELECT class, CAST($2 AS TEXT), id FROM runner_pauses WHERE class = $1 AND runner = '' \
         ON CONFLICT (class, runner) DO UPDATE SET id = excluded.id",
    )
    .bind(class.as_str())
    .bind(runner)
    .execute(&mut *tx)
    .await?;
    tx.wake_class(class.as_str());
    Ok(())
}

/// Gives what is kept of a runner to another name of it.
pub(super) async fn rename(
    tx: &mut WriteTx,
    class: &ResourceClass,
    runner: &str,
    to: &str,
) -> Result<(), StoreError> {
    let all = [
        "UPDATE runner_pauses SET runner = $3 WHERE class = $1 AND runner = $2",
        "UPDATE runner_pauses_lifted SET runner = $3 WHERE class = $1 AND runner = $2",
    ];
    for text in all {
        query(text).bind(class.as_str()).bind(runner).bind(to).execute(&mut *tx).await?;
    }
    Ok(())
}

/// Forgets what is kept of a runner.
pub(super) async fn forget(
    tx: &mut WriteTx,
    class: &ResourceClass,
    runner: &str,
) -> Result<(), StoreError> {
    let all = [
        "DELETE FROM runner_pauses WHERE class = $1 AND runner = $2",
        "DELETE FROM runner_pauses_lifted WHERE class = $1 AND runner = $2",
    ];
    for text in all {
        query(text).bind(class.as_str()).bind(runner).execute(&mut *tx).await?;
    }
    Ok(())
}
