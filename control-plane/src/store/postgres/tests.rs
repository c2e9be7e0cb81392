//! The store on a real PostgreSQL.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use russet_protocol::ids::PipelineId;
use russet_protocol::resource_class::ResourceClass;
use russet_test_postgres::{Database, database};
use sqlx::{ConnectOptions as _, Executor as _, Row as _};
use tokio::sync::Barrier;

use crate::clock::{Clock as _, ManualClock};
use crate::contention::{MayContend, retry};
use crate::follow_seen::Seen;
use crate::store::plans::all_statements;
use crate::store::servers::{Arrival, ServerRow};
use crate::store::sql::{as_postgres, query};
use crate::store::{
    DatabaseUrl, OpenError, Store, StoreError, WriteTx, jobs, locks, projects, servers,
};

/// A workflow of three jobs, each with a queued task.
pub(super) const PIPELINE: [&str; 5] = [
    "INSERT INTO projects (name, pipelines, jobs) VALUES ('p', 1, 3)",
    "INSERT INTO pipelines (id, project, number, from_fork, created_ms, warnings) \
     VALUES ('one', 'p', 1, 0, 1, '[]')",
    "INSERT INTO workflows (id, pipeline, position, name, phase, rev) \
     VALUES ('w', 'one', 0, 'main', 'running', 0)",
    "INSERT INTO jobs (id, workflow, pipeline, position, number, name, requires, class, phase, rev) \
     SELECT 'j' || n, 'w', 'one', n, n, 'job', '[]', 'acme/mini', 'queued', 0 \
     FROM generate_series(1, 3) AS n",
    "INSERT INTO tasks (id, job, pipeline, class, phase, queue) \
     SELECT 't' || n, 'j' || n, 'one', 'acme/mini', 'queued', n FROM generate_series(1, 3) AS n",
];

/// Longest wait for what has to happen.
const LIMIT: Duration = Duration::from_secs(30);

/// Silence of servers that are gone: longer than a test takes, however slow the machine.
const SILENCE_MS: i64 = 300_000;

async fn open(database: &Database) -> Store {
    Store::connect(&database.url().parse().unwrap(), true).await.unwrap()
}

pub(super) async fn with_pipeline(database: &Database) -> Store {
    let store = open(database).await;
    let mut tx = store.write().await.unwrap();
    for statement in PIPELINE {
        query(statement).execute(&mut tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    store
}

fn pipeline() -> PipelineId {
    "one".to_owned().into()
}

pub(super) fn class() -> ResourceClass {
    "acme/mini".parse().unwrap()
}

#[tokio::test]
async fn both_databases_have_the_same_tables_and_columns() {
    let Some(database) = database() else { return };
    let _store = open(&database).await;
    let temp = tempfile::tempdir().unwrap();
    let sqlite = Store::open(&temp.path().join("russet.db"), false).await.unwrap();
    let mut tx = sqlite.write().await.unwrap();
    let columns = "SELECT m.name || '.' || c.name || ' ' || CASE c.type WHEN 'INTEGER' THEN 'bigint' \
                   WHEN 'BLOB' THEN 'bytea' ELSE 'text' END AS it, m.name AS origin \
                   FROM sqlite_schema AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table'";
    let mut wanted: Vec<String> = sqlx::query(columns)
        .fetch_all(tx.sqlite())
        .await
        .unwrap()
        .iter()
        .filter(|row| {
            let table: String = row.get("origin");
            !table.starts_with('_') && !table.starts_with("sqlite_") && table != "counters"
        })
        .map(|row| row.get("it"))
        .collect();
    let columns = "SELECT table_name || '.' || column_name || ' ' || data_type FROM information_schema.columns \
                   WHERE table_schema = 'public' AND table_name NOT LIKE '\\_%' AND column_name <> 'rowid'";
    let mut found: Vec<String> = database.sql(columns).lines().map(str::to_owned).collect();
    wanted.sort();
    found.sort();
    assert_eq!(found, wanted, "a migration is missing on one of the two");
}

#[tokio::test]
async fn every_statement_is_one_that_postgresql_takes() {
    let Some(database) = database() else { return };
    let _store = open(&database).await;
    let url: DatabaseUrl = database.url().parse().unwrap();
    let mut conn = url.options().connect().await.unwrap();
    for (path, statement) in all_statements() {
        let text = as_postgres(&statement).into_owned();
        let text = sqlx::SqlStr::from_static(Box::leak(text.into_boxed_str()));
        if let Err(error) = conn.prepare(text).await {
            panic!("{}: {statement}: {error}", path.display());
        }
    }
}

/// Reads the changes of the jobs as a reader of a live pipeline does.
async fn look(store: &Store, seen: &mut Seen<String>, told: &mut BTreeMap<String, i64>) {
    let mut conn = store.read().await.unwrap();
    let horizon = conn.horizon().await.unwrap();
    for row in jobs::changed_since(&mut conn, &pipeline(), seen.all_to()).await.unwrap() {
        if seen.is_new(row.job.id.to_string(), row.rev) {
            assert_ne!(told.insert(row.job.id.to_string(), row.rev), Some(row.rev), "told twice");
        }
    }
    seen.pass(horizon);
}

#[tokio::test]
async fn a_number_that_becomes_visible_late_is_never_skipped_by_who_has_seen_a_higher_one() {
    let Some(database) = database() else { return };
    let store = with_pipeline(&database).await;
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for order in orders {
        let (mut seen, mut told) = (Seen::nothing(), BTreeMap::new());
        let mut open: Vec<Option<WriteTx>> = Vec::new();
        for job in ["j1", "j2", "j3"] {
            let mut tx = store.write().await.unwrap();
            jobs::touch(&mut tx, &job.to_owned().into()).await.unwrap();
            open.push(Some(tx));
            look(&store, &mut seen, &mut told).await;
        }
        let numbers: Vec<i64> = open.iter().flatten().map(WriteTx::rev).collect();
        assert!(numbers.is_sorted());
        for which in order {
            open[which].take().unwrap().commit().await.unwrap();
            look(&store, &mut seen, &mut told).await;
            let job = format!("j{}", which + 1);
            assert_eq!(told[&job], numbers[which], "commits in the order {order:?}");
        }
        // Ids are of all databases of a PostgreSQL: transactions of other tests are open too.
        let pass = async {
            while seen.all_to() < numbers[2] {
                look(&store, &mut seen, &mut told).await;
            }
        };
        tokio::time::timeout(LIMIT, pass).await.expect("the horizon passes them all");
    }
}

#[tokio::test]
async fn transactions_that_wait_for_each_other_are_told_so_and_may_be_done_again() {
    let Some(database) = database() else { return };
    let store = with_pipeline(&database).await;
    let barrier = Barrier::new(2);
    let attempts = [AtomicU32::new(0), AtomicU32::new(0)];
    // The first time, each waits until both have their first.
    let meet =
        |which: usize| (attempts[which].fetch_add(1, Ordering::Relaxed) == 0).then_some(&barrier);
    let (one, two) = tokio::join!(
        take_both(&store, ["t1", "t2"], meet(0)),
        take_both(&store, ["t2", "t1"], meet(1))
    );
    let failed: Vec<StoreError> = [one, two].into_iter().filter_map(Result::err).collect();
    assert_eq!(failed.len(), 1);
    assert!(failed[0].is_contended(), "{:?}", failed[0]);
    attempts.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    let (one, two) = tokio::join!(
        retry(|| take_both(&store, ["t1", "t2"], meet(0))),
        retry(|| take_both(&store, ["t2", "t1"], meet(1)))
    );
    assert!(one.is_ok() && two.is_ok());
    assert_eq!(attempts.iter().map(|count| count.load(Ordering::Relaxed)).sum::<u32>(), 3);
}

/// Locks two tasks one after the other; meets somebody in between.
async fn take_both(
    store: &Store,
    tasks: [&str; 2],
    meet: Option<&Barrier>,
) -> Result<(), StoreError> {
    let mut tx = store.write().await?;
    locks::task(&mut tx, &tasks[0].to_owned().into()).await?;
    if let Some(barrier) = meet {
        barrier.wait().await;
    }
    locks::task(&mut tx, &tasks[1].to_owned().into()).await?;
    tx.commit().await
}

#[tokio::test]
async fn two_turns_of_a_serial_group_and_two_ends_in_a_pipeline_come_one_after_the_other() {
    let Some(database) = database() else { return };
    let store = with_pipeline(&database).await;
    let mut first = store.write().await.unwrap();
    locks::pipeline(&mut first, &pipeline()).await.unwrap();
    locks::serial_group(&mut first, "deploy").await.unwrap();
    let mut others = Vec::new();
    for takes_group in [true, false] {
        let store = store.clone();
        others.push(tokio::spawn(async move {
            let mut tx = store.write().await.unwrap();
            match takes_group {
                true => locks::serial_group(&mut tx, "deploy").await.unwrap(),
                false => locks::pipeline(&mut tx, &pipeline()).await.unwrap(),
            }
        }));
    }
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    let both_wait = async {
        while database.sql(waiting).trim() != "2" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), both_wait).await.expect("they do not wait");
    assert!(others.iter().all(|other| !other.is_finished()));
    first.commit().await.unwrap();
    for other in others {
        tokio::time::timeout(Duration::from_secs(30), other).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn leases_go_by_the_clock_of_the_database_and_not_by_that_of_a_server() {
    let Some(database) = database() else { return };
    let store = open(&database).await;
    // Far in the past, as a server's may be.
    let clock = ManualClock::new();
    let by_database: i64 = database
        .sql("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)")
        .trim()
        .parse()
        .unwrap();
    let mut conn = store.read().await.unwrap();
    let tx = store.write().await.unwrap();
    for now in [conn.lease_now(&clock).await.unwrap(), tx.lease_ms(&clock)] {
        assert!((by_database..by_database + 600_000).contains(&now), "{now}, {by_database}");
    }
    assert!(clock.steady_ms() < by_database);
    drop((tx, conn));
    store.close().await.unwrap();
    let by_server = Store::connect(&database.url().parse().unwrap(), false).await.unwrap();
    assert_eq!(by_server.write().await.unwrap().lease_ms(&clock), clock.steady_ms());
}

#[tokio::test]
async fn one_server_at_a_time_does_a_job_until_it_is_done_or_gone() {
    let Some(database) = database() else { return };
    let (one, two) = (open(&database).await, open(&database).await);
    let alone = one.try_alone("sweep").await.unwrap().unwrap();
    assert!(two.try_alone("sweep").await.unwrap().is_none());
    assert!(two.try_alone("other").await.unwrap().is_some());
    drop(alone);
    let begins = async |store: &Store| loop {
        if let Some(alone) = store.try_alone("sweep").await.unwrap() {
            return alone;
        }
        tokio::task::yield_now().await;
    };
    let _kept = tokio::time::timeout(LIMIT, begins(&two)).await.expect("it is not let go");
    // A server that is killed leaves nothing that keeps the next one out.
    let sessions = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
    assert_ne!(database.sql(sessions).trim(), "0");
    tokio::time::timeout(LIMIT, begins(&one)).await.expect("the dead one has it still");
}

fn server(id: &str) -> ServerRow {
    let [version, objects, secrets, admin] = ["1.0.0", "o", "s", "a"].map(str::to_owned);
    ServerRow { id: id.to_owned(), version, place: format!("{id}:8080"), objects, secrets, admin }
}

async fn say_present(store: &Store, id: &str) -> servers::Presence {
    arrive(store, id, Arrival { now_ms: 1, schema: 110, is_first: false }).await
}

async fn arrive(store: &Store, id: &str, arrival: Arrival) -> servers::Presence {
    let mut tx = store.write().await.unwrap();
    let presence = servers::say_present(&mut tx, &server(id), SILENCE_MS, arrival).await.unwrap();
    tx.commit().await.unwrap();
    presence
}

/// Moves all that servers said back in time.
fn be_silent_for(database: &Database, ms: i64) {
    let _done = database.sql(&format!(
        "UPDATE servers SET seen_ms = seen_ms - {ms}; \
         UPDATE database_state SET alive_ms = alive_ms - {ms}"
    ));
}

#[tokio::test]
async fn leases_last_longer_by_the_time_in_which_no_server_was_there_and_by_no_other() {
    let Some(database) = database() else { return };
    let store = with_pipeline(&database).await;
    let claim = "UPDATE tasks SET phase = 'running', granted = 1, expires = 1000 WHERE id = 't1'";
    let _done = database.sql(claim);
    let expires = || -> i64 {
        database.sql("SELECT expires FROM tasks WHERE id = 't1'").trim().parse().unwrap()
    };
    assert_eq!(say_present(&store, "one").await.absence_ms, 0, "nobody was ever there");
    be_silent_for(&database, SILENCE_MS - 1000);
    assert_eq!(say_present(&store, "two").await.absence_ms, 0);
    assert_eq!(expires(), 1000, "another server was there");
    be_silent_for(&database, SILENCE_MS * 10);
    let mut tx = store.write().await.unwrap();
    assert!(!servers::was_any_present(&mut tx, SILENCE_MS).await.unwrap());
    drop(tx);
    let back = say_present(&store, "two").await;
    assert!((SILENCE_MS * 10..SILENCE_MS * 11).contains(&back.absence_ms), "{back:?}");
    assert_eq!(expires(), 1000 + back.absence_ms);
    assert_eq!((back.lost, back.others), (1, 0), "the first is gone");
    let mut tx = store.write().await.unwrap();
    assert!(servers::was_any_present(&mut tx, SILENCE_MS).await.unwrap());
    drop(tx);
    assert_eq!(say_present(&store, "two").await.absence_ms, 0);
    assert_eq!(expires(), 1000 + back.absence_ms, "it is accounted for once");
}

#[tokio::test]
async fn silence_counts_from_the_first_server_after_a_break_on_whichever_come_and_go_later() {
    let Some(database) = database() else { return };
    let store = open(&database).await;
    let at = async |id: &str, now_ms, is_first| {
        arrive(&store, id, Arrival { now_ms, schema: 110, is_first }).await.since_ms
    };
    assert_eq!(at("one", 10, true).await, 10);
    assert_eq!(at("two", 20, false).await, 10, "the first is there");
    assert_eq!(at("one", 30, false).await, 10);
    be_silent_for(&database, SILENCE_MS * 2);
    assert_eq!(at("two", 40, false).await, 40, "nobody was there");
    assert_eq!(at("one", 50, false).await, 40);
    assert_eq!(at("one", 60, true).await, 60, "it is alone again");
}

#[tokio::test]
async fn a_server_is_there_until_it_leaves_or_is_silent() {
    let Some(database) = database() else { return };
    let store = open(&database).await;
    say_present(&store, "one").await;
    assert_eq!(say_present(&store, "two").await.others, 1);
    let mut tx = store.write().await.unwrap();
    servers::leave(&mut tx, "one").await.unwrap();
    let left = servers::present(&mut tx, SILENCE_MS).await.unwrap();
    assert_eq!(left, [server("two")]);
    tx.commit().await.unwrap();
    be_silent_for(&database, SILENCE_MS + 1000);
    let mut tx = store.write().await.unwrap();
    assert!(servers::present(&mut tx, SILENCE_MS).await.unwrap().is_empty());
}

#[tokio::test]
async fn an_older_server_goes_on_with_a_newer_schema_until_that_asks_for_a_newer_server() {
    let Some(database) = database() else { return };
    let store = with_pipeline(&database).await;
    // Prepares the statement before the table has one column more.
    let read = async || {
        let mut conn = store.read().await.unwrap();
        jobs::get(&mut conn, &"j1".to_owned().into()).await.unwrap().unwrap()
    };
    let write = async || {
        retry(async || {
            let mut tx = store.write().await?;
            let job = jobs::get(&mut tx, &"j1".to_owned().into()).await?;
            tx.commit().await?;
            Ok::<_, StoreError>(job.unwrap())
        })
        .await
        .unwrap()
    };
    assert_eq!((read().await.job.name, write().await.job.name), ("job".into(), "job".into()));
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'later', true, '\\x00', 0); \
                 ALTER TABLE jobs ADD COLUMN later TEXT; ALTER TABLE tasks ADD COLUMN later TEXT";
    let _done = database.sql(newer);
    for _ in 0..20 {
        assert_eq!((read().await.job.name, write().await.job.name), ("job".into(), "job".into()));
    }
    let url = database.url().parse().unwrap();
    let older = Store::connect(&url, true).await.unwrap();
    assert_eq!(older.too_new().await.unwrap(), None);
    let _done = database.sql("UPDATE database_state SET min_schema = 9999");
    assert_eq!(older.too_new().await.unwrap(), Some(9999));
    let refused = Store::connect(&url, true).await.unwrap_err();
    assert!(matches!(refused, OpenError::TooNew { needed: 9999, .. }), "{refused}");
    assert!(refused.to_string().contains("start a newer version"));
}

#[tokio::test]
async fn text_is_sorted_by_its_bytes_and_what_cannot_be_stored_is_replaced() {
    let Some(database) = database() else { return };
    let store = open(&database).await;
    let mut tx = store.write().await.unwrap();
    for name in ["b", "ä", "B", "a\0c", "a"] {
        let add = "INSERT INTO projects (name, pipelines, jobs) VALUES ($1, 0, 0)";
        query(add).bind(name).execute(&mut tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    let names = projects::names(&mut store.read().await.unwrap()).await.unwrap();
    assert_eq!(names, ["B", "a", "a\u{FFFD}c", "b", "ä"]);
}

#[tokio::test]
async fn a_transaction_that_is_dropped_has_not_happened() {
    let Some(database) = database() else { return };
    let store = open(&database).await;
    for _ in 0..20 {
        let mut tx = store.write().await.unwrap();
        query("INSERT INTO projects (name, pipelines, jobs) VALUES ('p', 1, 1)")
            .execute(&mut tx)
            .await
            .unwrap();
    }
    assert!(projects::names(&mut store.read().await.unwrap()).await.unwrap().is_empty());
    let mut tx = store.write().await.unwrap();
    query("INSERT INTO projects (name, pipelines, jobs) VALUES ('p', 1, 1)")
        .execute(&mut tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(projects::names(&mut store.read().await.unwrap()).await.unwrap(), ["p"]);
}

#[tokio::test]
async fn a_database_behind_tls_is_verified_by_its_authority_and_its_name() {
    let temp = tempfile::tempdir().unwrap();
    let Some(server) = russet_test_postgres::server_with_tls(temp.path()) else { return };
    let connect = async |host: &str, ca: &std::path::Path| {
        let options = format!("sslmode=verify-full&sslrootcert={}", ca.display());
        Store::connect(&server.url(host, &options).parse().unwrap(), true).await
    };
    let (ca, other) = (&server.certificates.ca, &server.certificates.other_ca);
    let error = connect("localhost", other).await.unwrap_err();
    assert!(russet_text::error_chain(&error).contains("certificate"), "{error:?}");
    // The certificate names no address.
    let error = connect("127.0.0.1", ca).await.unwrap_err();
    assert!(russet_text::error_chain(&error).contains("certificate"), "{error:?}");
    let store = connect("localhost", ca).await.unwrap();
    let sessions = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                    WHERE application_name LIKE 'russet%'";
    assert_eq!(server.sql(sessions).trim(), "t", "all connections are protected");
    let mut tx = store.write().await.unwrap();
    assert!(tx.next_in_line().await.unwrap() > 0);
}
