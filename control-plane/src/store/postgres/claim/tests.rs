//! Claims on a real PostgreSQL, and the same on SQLite.

use russet_protocol::ids::AllocationId;
use russet_protocol::xcode::Xcode;
use russet_test_postgres::database;
use serde_json::Value;
use sqlx::Executor as _;

use super::CLAIM;
use crate::credentials::TokenHash;
use crate::store::abilities::{Abilities, SshLevel};
use crate::store::claims::take_first;
use crate::store::postgres::plans::{plan, with_history};
use crate::store::postgres::tests::{PIPELINE, class, with_pipeline};
use crate::store::sql::query;
use crate::store::{Claim, Claimed, DatabaseUrl, Store, StoreError, WriteTx, line};

/// Takes the first task for a runner with these Xcodes, by a claim of this id.
async fn take(
    tx: &mut WriteTx,
    xcodes: Option<&[Xcode]>,
    wanted: &str,
) -> Result<Option<(Claimed, AllocationId)>, StoreError> {
    let claim = Claim {
        class: &class(),
        abilities: Abilities { xcodes, ssh: SshLevel::None },
        wanted: Some(&AllocationId::from(wanted)),
        hash: &TokenHash::of(AllocationId::generate().as_str()),
        runner: "mini-1",
        granted: 5,
        expires: 6,
        now_ms: 7,
    };
    take_first(tx, &claim).await
}

/// Takes the first task of all.
async fn take_any(tx: &mut WriteTx, wanted: &str) -> Option<String> {
    let taken = take(tx, None, wanted).await.unwrap();
    taken.map(|(claimed, _)| claimed.task.to_string())
}

#[tokio::test]
async fn claims_at_the_same_time_take_a_task_each_and_wait_for_nobody() {
    let Some(database) = database() else { return };
    let store = with_pipeline(&database).await;
    let mut open = Vec::new();
    for task in ["t1", "t2", "t3"] {
        let mut tx = store.write().await.unwrap();
        assert_eq!(take_any(&mut tx, task).await.as_deref(), Some(task));
        open.push(tx);
    }
    let mut tx = store.write().await.unwrap();
    assert_eq!(take_any(&mut tx, "none").await, None);
    assert!(
        line::is_any_queued(&mut tx, &class(), Abilities::default()).await.unwrap(),
        "none was taken yet"
    );
    // One that goes away leaves its task to others.
    open.remove(1).rollback().await.unwrap();
    assert_eq!(take_any(&mut tx, "again").await.as_deref(), Some("t2"));
}

/// Everything that a claim changes, row by row.
async fn state(tx: &mut WriteTx) -> Vec<String> {
    let text = "SELECT 'task ' || id || phase || allocation || granted || expires AS it FROM tasks \
                WHERE allocation IS NOT NULL UNION ALL \
                SELECT 'claim ' || id || task || runner || created_ms FROM allocations UNION ALL \
                SELECT 'job ' || id || phase || coalesce(runner, '') || coalesce(started_ms, 0) FROM jobs \
                UNION ALL SELECT 'workflow ' || id || phase FROM workflows UNION ALL \
                SELECT 'runner ' || name || coalesce(last_used_ms, 0) FROM runners";
    let rows = query(text).fetch_all(tx).await.unwrap();
    let mut all: Vec<String> = rows.iter().map(|row| row.try_get("it").unwrap()).collect();
    all.sort();
    all
}

/// Claims one after the other, and returns what each got with all that changed.
async fn story(store: &Store) -> (Vec<Option<(String, bool)>>, Vec<String>) {
    let mut tx = store.write().await.unwrap();
    for statement in [
        "INSERT INTO runners (class, name, hostname, ip, version, first_ms, last_ms) \
         VALUES ('acme/mini', 'mini-1', '', '', '', 1, 1), ('acme/mini', 'mini-2', '', '', '', 1, 1)",
        "UPDATE workflows SET phase = 'queued'",
        "UPDATE tasks SET xcode = '16.4' WHERE id = 't1'",
    ] {
        query(statement).execute(&mut tx).await.unwrap();
    }
    let xcode: Xcode = serde_json::from_value(serde_json::json!({"version": "16.4"})).unwrap();
    let mut got = Vec::new();
    // The third has the id of the first, as one whose task was taken back.
    for (xcodes, wanted) in [(&[][..], "a1"), (&[xcode][..], "a2"), (&[], "a1"), (&[], "a4")] {
        let taken = take(&mut tx, Some(xcodes), wanted).await.unwrap();
        got.push(taken.map(|(claimed, id)| (claimed.task.to_string(), id.as_str() == wanted)));
        if wanted == "a1" && got.len() == 3 {
            // Another id each time.
            query("UPDATE tasks SET allocation = 'other' WHERE id = 't3'")
                .execute(&mut tx)
                .await
                .unwrap();
            query("UPDATE allocations SET id = 'other' WHERE task = 't3'")
                .execute(&mut tx)
                .await
                .unwrap();
        }
    }
    (got, state(&mut tx).await)
}

#[tokio::test]
async fn a_claim_in_one_statement_does_what_one_in_steps_does() {
    let Some(database) = database() else { return };
    let temp = tempfile::tempdir().unwrap();
    let sqlite = Store::open(&temp.path().join("russet.db"), false).await.unwrap();
    let mut tx = sqlite.write().await.unwrap();
    for statement in PIPELINE {
        let series = "(WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 3) SELECT n FROM s)";
        let statement = statement.replace("generate_series(1, 3) AS n", series);
        query(Box::leak(statement.into_boxed_str())).execute(&mut tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    let (got, state) = story(&with_pipeline(&database).await).await;
    assert_eq!((got.clone(), state.clone()), story(&sqlite).await);
    let task = |id: &str, is_wanted| Some((id.to_owned(), is_wanted));
    assert_eq!(got, [task("t2", true), task("t1", true), task("t3", false), None]);
    assert!(state.contains(&"runner mini-17".to_owned()), "{state:?}");
    assert!(state.contains(&"workflow wrunning".to_owned()), "{state:?}");
}

/// Adds the kinds of the nodes of a plan, with their indexes.
fn collect_nodes(node: &Value, nodes: &mut Vec<String>) {
    match node {
        Value::Array(parts) => parts.iter().for_each(|part| collect_nodes(part, nodes)),
        Value::Object(parts) => {
            let name = |key: &str| node[key].as_str().unwrap_or_default();
            nodes.push(format!("{} {}", name("Node Type"), name("Index Name")).trim().to_owned());
            parts.values().for_each(|part| collect_nodes(part, nodes));
        }
        _ => {}
    }
}

#[tokio::test]
async fn a_claim_goes_through_no_table_and_not_through_the_line() {
    let Some(database) = database() else { return };
    let _store = Store::connect(&database.url().parse().unwrap(), true).await.unwrap();
    let url: DatabaseUrl = database.url().parse().unwrap();
    let mut conn = with_history(&url).await;
    // An estimate of nothing in the line, as the statistics of a quiet moment have it.
    conn.execute("SET enable_seqscan = off").await.unwrap();
    for statement in [
        CLAIM,
        "SELECT queue AS place FROM tasks WHERE class = $1 AND phase = 'queued' AND queue > $2 \
         ORDER BY queue LIMIT 1",
        "SELECT expires AS next FROM tasks WHERE phase = 'running' AND expires IS NOT NULL \
         ORDER BY expires LIMIT 1",
    ] {
        let mut nodes = Vec::new();
        collect_nodes(&plan(&mut conn, statement).await, &mut nodes);
        assert!(nodes.iter().any(|node| node == "Limit"), "{statement}: {nodes:?}");
        assert!(
            nodes.iter().all(|node| !node.starts_with("Seq Scan") && !node.starts_with("Sort")),
            "{statement}: {nodes:?}"
        );
        assert!(
            !nodes.iter().any(|node| node.ends_with("tasks_queued_by_xcode")),
            "it goes through all of the line: {statement}: {nodes:?}"
        );
    }
}
