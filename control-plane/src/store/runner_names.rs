//! Table `runner_names`: names that people gave to runners. An agent goes on to claim under the name
//! of its configuration; everything that the server keeps of it is under the given one.

use russet_protocol::resource_class::ResourceClass;

use super::sql::query;
use super::{Conn, StoreError, WriteTx, pauses};

/// Returns the name that a runner was given; `None`: it is called as it claims.
pub(crate) async fn given_name(
    conn: &mut Conn,
    class: &ResourceClass,
    claimed: &str,
) -> Result<Option<String>, StoreError> {
    let row = query("SELECT name FROM runner_names WHERE class = $1 AND claimed = $2")
        .bind(class.as_str())
        .bind(claimed)
        .fetch_optional(conn)
        .await?;
    row.map(|row| Ok(row.try_get("name")?)).transpose()
}

/// Gives a runner of a class another name, which is free. What it runs is noted under the new name;
/// jobs that ran keep the old one.
pub(crate) async fn rename(
    tx: &mut WriteTx,
    class: &ResourceClass,
    runner: &str,
    to: &str,
) -> Result<(), StoreError> {
    let was_given = query("UPDATE runner_names SET name = $3 WHERE class = $1 AND name = $2")
        .bind(class.as_str())
        .bind(runner)
        .bind(to)
        .execute(&mut *tx)
        .await?
        .rows_affected()
        > 0;
    if !was_given {
        query("INSERT INTO runner_names (class, claimed, name) VALUES ($1, $2, $3)")
            .bind(class.as_str())
            .bind(runner)
            .bind(to)
            .execute(&mut *tx)
            .await?;
    }
    query("DELETE FROM runner_names WHERE class = $1 AND claimed = name")
        .bind(class.as_str())
        .execute(&mut *tx)
        .await?;
    query("UPDATE runners SET name = $3 WHERE class = $1 AND name = $2")
        .bind(class.as_str())
        .bind(runner)
        .bind(to)
        .execute(&mut *tx)
        .await?;
    query(
        "UPDATE allocations SET runner = $3 WHERE runner = $2 AND id IN (SELECT allocation FROM \
         tasks WHERE class = $1 AND phase = 'running')",
    )
    .bind(class.as_str())
    .bind(runner)
    .bind(to)
    .execute(&mut *tx)
    .await?;
    pauses::rename(tx, class, runner, to).await
}

/// Forgets a runner of a class: what it said, its pauses and the name it was given.
pub(crate) async fn forget_runner(
    tx: &mut WriteTx,
    class: &ResourceClass,
    runner: &str,
) -> Result<(), StoreError> {
    let all = [
        "DELETE FROM runner_names WHERE class = $1 AND name = $2",
        "DELETE FROM runners WHERE class = $1 AND name = $2",
    ];
    for text in all {
        query(text).bind(class.as_str()).bind(runner).execute(&mut *tx).await?;
    }
    pauses::forget(tx, class, runner).await
}
