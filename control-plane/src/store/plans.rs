//! Every statement of the store has an index on SQLite: none walks a table that grows with history.
//! `postgres/plans.rs` is the same for PostgreSQL.

use std::path::{Path, PathBuf};

use sqlx::{Row, SqliteConnection};

use super::Store;

/// Tables that are small however long a server has run, or that are read as a whole once an hour.
pub(super) const MAY_BE_WALKED: [&str; 33] = [
    "task_limits",
    "resource_classes",
    "projects",
    "contexts",
    "orbs",
    "runners",
    "runner_names",
    "runner_pauses",
    "runner_pauses_lifted",
    "counters",
    "installation",
    "moves",
    "ended_sessions",
    "caches",
    "workspace_layers",
    "variables",
    "ssh_keys",
    "servers",
    "retention",
    "object_holds",
    "unnamed_objects",
    "alert_targets",
    "alerts",
    "outbox",
    "users",
    "user_roles",
    "sign_in_links",
    "namespaces",
    "device_logins",
    "git_connections",
    "project_settings",
    "host_calls",
    "schedules",
];

/// Partial indexes of what is open at the moment, and one that is read as far as `LIMIT` says.
const MAY_BE_WALKED_ALONG: [&str; 12] = [
    "jobs_awaiting_room",
    "INDEX tasks_queued",
    "INDEX jobs_on_hold",
    "INDEX jobs_in_groups",
    "INDEX tasks_leased",
    "INDEX tasks_running",
    "INDEX pipelines_being_canceled",
    "INDEX pipelines_being_deleted",
    "INDEX pipelines_by_time",
    "INDEX schedule_firings_open",
    "INDEX commit_statuses_due",
    "CONSTANT ROW",
];

/// 100,000 pipelines of a project, each with a job and its task, a part of them with more. `BLOB` is `BYTEA` on
/// PostgreSQL.
pub(super) const HISTORY: [&str; 24] = [
    "INSERT INTO projects (name, pipelines, jobs) VALUES ('p', 100000, 100000)",
    "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100000) \
     INSERT INTO pipelines (id, project, number, from_fork, created_ms, warnings) \
     SELECT 'p' || n, 'p', n, 0, n, '[]' FROM n",
    "INSERT INTO workflows (id, pipeline, position, name, phase, outcome, rev) \
     SELECT 'w' || number, id, 0, 'main', 'ended', 'success', number FROM pipelines",
    "INSERT INTO jobs (id, workflow, pipeline, position, number, name, requires, class, phase, \
     outcome, rev, project) SELECT 'j' || number, 'w' || number, id, 0, number, 'test', '[]', \
     'a/b', 'ended', 'success', number, 'p' FROM pipelines",
    "INSERT INTO tasks (id, job, pipeline, class, phase, outcome) \
     SELECT 't' || number, 'j' || number, id, 'a/b', 'ended', 'success' FROM pipelines",
    "INSERT INTO artifacts (job, task, path, size, blake3, object) \
     SELECT 'j' || number, 't' || number, 'a', 1, '', '' FROM pipelines",
    "INSERT INTO allocations (id, task, hash, runner, created_ms) \
     SELECT 'a' || number, 't' || number, CAST('h' || number AS BLOB), 'mini', 1 FROM pipelines WHERE number <= 20000",
    "INSERT INTO steps (task, job, pipeline, number, name, background, started_ms, output_bytes, rev) \
     SELECT 't' || number, 'j' || number, id, 0, 'step', 0, 1, 9, number FROM pipelines WHERE number <= 20000",
    "INSERT INTO output (step, start, length, object) \
     SELECT position, 0, 9, 'o' || position FROM steps",
    "INSERT INTO test_batches (task, batch, job, counts, results) \
     SELECT 't' || number, 0, 'j' || number, '{}', '[]' FROM pipelines WHERE number <= 20000",
    "INSERT INTO job_timings (job, timings) SELECT 'j' || number, '' FROM pipelines WHERE number <= 20000",
    "INSERT INTO sources (id, size, created_ms) SELECT 's' || number, 1, number FROM pipelines WHERE number <= 20000",
    "INSERT INTO chunks (id, size, object, created_ms) \
     SELECT 'c' || number, 1, 'o' || number, number FROM pipelines WHERE number <= 20000",
    "INSERT INTO source_chunks (source, position, chunk) \
     SELECT 's' || number, 0, 'c' || number FROM pipelines WHERE number <= 20000",
    "INSERT INTO job_specs (job, version, spec) SELECT 'j' || number, 1, '{}' FROM pipelines WHERE number <= 20000",
    "INSERT INTO projects (name, pipelines, jobs) SELECT 'q' || number, 1, 1 FROM pipelines \
     WHERE number <= 100",
    "INSERT INTO users (id, name, kind, created_ms) \
     SELECT 'u' || number, 'n' || number, 'person', 1 FROM pipelines WHERE number <= 2000",
    "INSERT INTO user_tokens (id, user_id, hash, description, scopes, created_ms) \
     SELECT 'k' || number, 'u' || number, CAST('h' || number AS BLOB), '', '[]', 1 FROM pipelines WHERE number <= 2000",
    "INSERT INTO user_sessions (id, user_id, began_ms, until_s, address) \
     SELECT CAST('h' || number AS BLOB), 'u' || number, 1, number, '' FROM pipelines WHERE number <= 2000",
    "INSERT INTO audit_events (id, at_ms, who, means, address, operation, target) \
     SELECT 'e' || number, number, 'n' || number, '', '', 'run', '' FROM pipelines WHERE number <= 20000",
    "INSERT INTO user_ssh_keys (id, user_id, name, key, fingerprint, created_ms) \
     SELECT 'k' || number, 'u' || number, '', '', 'f', 1 FROM pipelines WHERE number <= 2000",
    "INSERT INTO ssh_accesses (job, person, keys, idle_ms, longest_ms) \
     SELECT 'j' || number, 'n', '[]', 1, 1 FROM pipelines WHERE number <= 20000",
    "INSERT INTO task_ssh (task, allocation, ready) \
     SELECT 't' || number, 'a' || number, '{}' FROM pipelines WHERE number <= 20000",
    "INSERT INTO ssh_sessions (task, session) \
     SELECT 't' || number, 's' FROM pipelines WHERE number <= 20000",
];

/// The statements of the tables' functions, each with its file.
pub(super) fn all_statements() -> Vec<(PathBuf, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut all = Vec::new();
    for file in std::fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() || path.ends_with("plans.rs") || path.ends_with("plan_docs.rs") {
            continue;
        }
        let found = statements(&std::fs::read_to_string(&path).unwrap());
        all.extend(found.into_iter().map(|statement| (path.clone(), statement)));
    }
    all
}

/// The statements in a file of the store: texts that begin as one does.
fn statements(source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for verb in ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "] {
        for (at, _) in source.match_indices(&format!("\"{verb}")) {
            let text = &source[at + 1..];
            let text = &text[..text.find('"').unwrap()];
            let joined: Vec<&str> = text.split("\\\n").map(str::trim_start).collect();
            found.push(joined.concat());
        }
    }
    found
}

pub(super) async fn plan(conn: &mut SqliteConnection, statement: &str) -> Vec<String> {
    let explained = format!("EXPLAIN QUERY PLAN {statement}");
    let rows = sqlx::query(sqlx::AssertSqlSafe(explained)).fetch_all(conn).await;
    let rows = rows.unwrap_or_else(|error| panic!("{statement}: {error}"));
    rows.iter().map(|row| row.get("detail")).collect()
}

fn is_walk(step: &str) -> bool {
    let words: Vec<&str> = step.split(' ').collect();
    words[0] == "SCAN"
        // What a part of the same statement found.
        && !words[1].starts_with("(subquery")
        && !matches!(words[1], "newest" | "line")
        // Keys that a statement was given.
        && !step.contains(" VIRTUAL TABLE ")
        && !MAY_BE_WALKED.contains(&words[1])
        && !MAY_BE_WALKED_ALONG.iter().any(|index| step.contains(index))
}

#[tokio::test]
async fn every_statement_has_an_index_over_a_hundred_thousand_pipelines() {
    let temp = tempfile::tempdir().unwrap();
    let store = Store::open(&temp.path().join("russet.db"), false).await.unwrap();
    let mut tx = store.write().await.unwrap();
    for statement in HISTORY {
        sqlx::query(statement).execute(tx.sqlite()).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut tx = store.write().await.unwrap();
    let mut walks = Vec::new();
    let all = all_statements();
    for (path, statement) in &all {
        let steps = plan(tx.sqlite(), statement).await;
        let sorts = steps.iter().any(|step| step.contains("TEMP B-TREE FOR ORDER BY"));
        let is_list = steps.iter().any(|step| step.contains("INDEX pipelines_by_time"));
        if steps.iter().any(|step| is_walk(step)) || (sorts && is_list) {
            walks.push(format!("{}: {statement}\n  {}", path.display(), steps.join("\n  ")));
        }
    }
    assert!(all.len() > 80, "{} statements were found", all.len());
    assert!(walks.is_empty(), "{}", walks.join("\n"));
}

#[tokio::test]
async fn numbers_go_on_after_a_restart_without_a_look_for_the_highest() {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("russet.db");
    let mut before = 0;
    for _ in 0..2 {
        let store = Store::open(&path, false).await.unwrap();
        for _ in 0..2 {
            let mut tx = store.write().await.unwrap();
            assert!(tx.rev() > before);
            assert!(tx.next_in_line().await.unwrap() >= before);
            before = tx.rev();
            tx.commit().await.unwrap();
        }
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_database_is_closed_whole_while_a_write_is_given_up() {
    let temp = tempfile::tempdir().unwrap();
    let store = Store::open(&temp.path().join("russet.db"), false).await.unwrap();
    let mut tx = store.write().await.unwrap();
    sqlx::query("INSERT INTO projects (name, pipelines, jobs) VALUES ('p', 1, 1)")
        .execute(tx.sqlite())
        .await
        .unwrap();
    drop(tx);
    store.close().await.unwrap();
}

#[tokio::test]
async fn the_log_is_cut_after_a_reader_that_kept_it() {
    use std::os::unix::fs::MetadataExt as _;
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("russet.db");
    let log = || std::fs::metadata(temp.path().join("russet.db-wal")).unwrap();
    let store = Store::open(&path, false).await.unwrap();
    let write = async || {
        let mut tx = store.write().await.unwrap();
        sqlx::query("INSERT INTO orbs VALUES (hex(randomblob(8)), '1', zeroblob(1000000), 0)")
            .execute(tx.sqlite())
            .await
            .unwrap();
        tx.commit().await.unwrap();
    };
    let mut reader = store.read().await.unwrap();
    sqlx::query("BEGIN").execute(reader.sqlite()).await.unwrap();
    sqlx::query("SELECT * FROM projects").fetch_all(reader.sqlite()).await.unwrap();
    for _ in 0..20 {
        write().await;
    }
    assert!(log().len() > super::sqlite::MAX_LOG_BYTES, "the reader kept nothing");
    sqlx::query("COMMIT").execute(reader.sqlite()).await.unwrap();
    write().await;
    write().await;
    assert!(log().len() <= super::sqlite::MAX_LOG_BYTES, "{} bytes", log().len());
    for file in [path, temp.path().join("russet.db-wal")] {
        assert_eq!(std::fs::metadata(file).unwrap().mode() & 0o777, 0o600);
    }
}

/// Tables with rows of a pipeline that are removed with it.
const REMOVED_WITH_A_PIPELINE: [&str; 16] = [
    "allocations",
    "artifacts",
    "job_specs",
    "job_timings",
    "jobs",
    "output",
    "setups",
    "ssh_accesses",
    "ssh_sessions",
    "steps",
    "task_ssh",
    "tasks",
    "test_batches",
    "trigger_events",
    "workflows",
    "workspace_layers",
];

#[tokio::test]
async fn every_table_with_rows_of_a_pipeline_is_removed_with_it() {
    let temp = tempfile::tempdir().unwrap();
    let store = Store::open(&temp.path().join("russet.db"), false).await.unwrap();
    let mut tx = store.write().await.unwrap();
    let tables = "SELECT DISTINCT m.name FROM sqlite_schema AS m, pragma_table_info(m.name) AS c \
                  WHERE m.type = 'table' \
                  AND c.name IN ('pipeline', 'workflow', 'job', 'task', 'step', 'allocation') \
                  UNION SELECT m.name FROM sqlite_schema AS m, pragma_foreign_key_list(m.name) AS f \
                  WHERE m.type = 'table' AND f.\"table\" IN ('pipelines', 'workflows', 'jobs', \
                  'tasks', 'steps', 'allocations') ORDER BY 1";
    let found: Vec<String> = sqlx::query_scalar(tables).fetch_all(tx.sqlite()).await.unwrap();
    assert_eq!(found, REMOVED_WITH_A_PIPELINE);
}
