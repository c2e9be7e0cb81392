//! Every statement of the store has an index on PostgreSQL, as on SQLite (`../plans.rs`).
//!
//! The planner may walk a small table all the same, so it is told to do that only where there is no
//! other way; what it plans then without a condition on an index is a walk.

use russet_test_postgres::database;
use serde_json::Value;
use sqlx::{ConnectOptions as _, Executor as _, PgConnection, Row as _, SqlStr};

use crate::store::plans::{HISTORY, MAY_BE_WALKED, all_statements};
use crate::store::sql::as_postgres;
use crate::store::{DatabaseUrl, Store};

/// Indexes of what is open at the moment, and those that are read as far as `LIMIT` says.
const MAY_BE_WALKED_ALONG: [&str; 16] = [
    "jobs_awaiting_room",
    "jobs_unfinished",
    "jobs_in_groups",
    "jobs_of_group",
    "tasks_queued_by_xcode",
    "tasks_queued",
    "jobs_on_hold",
    "pipelines_being_deleted",
    "tasks_leased",
    "tasks_running",
    "pipelines_being_canceled",
    "pipelines_by_time",
    "pipelines_of_project",
    "trigger_events_due",
    "schedule_firings_open",
    "commit_statuses_due",
];

fn text(text: String) -> SqlStr {
    SqlStr::from_static(Box::leak(text.into_boxed_str()))
}

/// Connects to a database with a history, to plan for values that are not known.
pub(in crate::store) async fn with_history(url: &DatabaseUrl) -> PgConnection {
    let mut conn = url.options().connect().await.unwrap();
    // Without looking for what each row refers to, which takes most of the time.
    conn.execute("SET session_replication_role = replica").await.unwrap();
    for statement in HISTORY {
        conn.execute(sqlx::raw_sql(text(statement.replace("AS BLOB", "AS BYTEA")))).await.unwrap();
    }
    for setting in ["VACUUM ANALYZE", "SET plan_cache_mode = force_generic_plan"] {
        conn.execute(setting).await.unwrap();
    }
    conn
}

/// Returns the plan for any values.
pub(in crate::store) async fn plan(conn: &mut PgConnection, statement: &str) -> Value {
    let statement = as_postgres(statement);
    conn.execute(sqlx::raw_sql(text(format!("PREPARE one AS {statement}")))).await.unwrap();
    let values = (1..).take_while(|number| statement.contains(&format!("${number}"))).count();
    let values = match values {
        0 => String::new(),
        count => format!("({})", vec!["NULL"; count].join(", ")),
    };
    let explain = text(format!("EXPLAIN (FORMAT JSON) EXECUTE one{values}"));
    let row = sqlx::raw_sql(explain).fetch_one(&mut *conn).await;
    let row = row.unwrap_or_else(|error| panic!("{statement}: {error}"));
    conn.execute("DEALLOCATE one").await.unwrap();
    let plan: String = row.try_get_unchecked(0).unwrap();
    serde_json::from_str(&plan).unwrap()
}

/// Adds what the nodes of a plan walk.
fn collect_walks(node: &Value, walks: &mut Vec<String>) {
    let name = |key: &str| node[key].as_str().unwrap_or_default();
    let is_scan = name("Node Type").contains("Scan") && !name("Relation Name").is_empty();
    // One that is found by bits has its condition in the node below.
    let is_bound = !node["Index Cond"].is_null() || name("Node Type") == "Bitmap Heap Scan";
    let may_walk = MAY_BE_WALKED.contains(&name("Relation Name"))
        || MAY_BE_WALKED_ALONG.contains(&name("Index Name"));
    if is_scan && !is_bound && !may_walk {
        let parts = ["Node Type", "Relation Name", "Index Name"].map(name);
        walks.push(parts.join(" "));
    }
    match node {
        Value::Array(parts) => parts.iter().for_each(|part| collect_walks(part, walks)),
        Value::Object(parts) => parts.values().for_each(|part| collect_walks(part, walks)),
        _ => {}
    }
}

#[tokio::test]
async fn every_statement_has_an_index_on_postgresql() {
    let Some(database) = database() else { return };
    let _store = Store::connect(&database.url().parse().unwrap(), true).await.unwrap();
    let url: DatabaseUrl = database.url().parse().unwrap();
    let mut conn = with_history(&url).await;
    conn.execute("SET enable_seqscan = off").await.unwrap();
    let mut found = Vec::new();
    for (path, statement) in all_statements() {
        let mut walks = Vec::new();
        let plan = plan(&mut conn, &statement).await;
        collect_walks(&plan, &mut walks);
        if !walks.is_empty() {
            found.push(format!("{}: {statement}\n  {}", path.display(), walks.join("\n  ")));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_walk_is_told_from_a_look_and_from_a_list_with_a_limit() {
    let walks = |plan: Value| {
        let mut walks = Vec::new();
        collect_walks(&plan, &mut walks);
        walks
    };
    let of = |kind: &str, table: &str, index: &str, cond: Value| {
        let node = serde_json::json!({"Node Type": kind, "Relation Name": table,
                                      "Index Name": index, "Index Cond": cond});
        serde_json::json!([{"Plan": {"Node Type": "Limit", "Plans": [node]}}])
    };
    assert_eq!(walks(of("Seq Scan", "tasks", "", Value::Null)), ["Seq Scan tasks "]);
    let whole = of("Index Scan", "tasks", "tasks_of_job", Value::Null);
    assert_eq!(walks(whole), ["Index Scan tasks tasks_of_job"]);
    assert!(walks(of("Index Scan", "tasks", "tasks_of_job", "(job = $1)".into())).is_empty());
    assert!(walks(of("Index Scan", "pipelines", "pipelines_by_time", Value::Null)).is_empty());
    assert!(walks(of("Seq Scan", "runners", "", Value::Null)).is_empty());
}
