//! Transfers between real databases.

use russet_test_postgres::{Database, database};

use super::cell::{Cell, Kind};
use super::schema::{NOT_COPIED, ORDERED, tables};
use super::side::Side;
use super::*;
use crate::store::sql::query;
use crate::store::{DatabaseUrl, OpenError, Store, line};

/// Some of everything that differs between the two: NUL, order of insertion, identities, places in the
/// line, bytes, and rows that name others.
const ROWS: [&str; 11] = [
    "INSERT INTO projects (name, pipelines, jobs) VALUES ('p', 2, 2)",
    "INSERT INTO projects (name, pipelines, jobs) VALUES ('ä', 1, 1)",
    "INSERT INTO sources (id, size, created_ms) VALUES ('abc', 3, 1)",
    "INSERT INTO pipelines (id, project, number, from_fork, created_ms, warnings, source) \
     VALUES ('one', 'p', 1, 0, 1, '[]', 'abc'), ('two', 'p', 2, 1, 2, 'a' || char(0) || 'b', NULL)",
    "INSERT INTO workflows (id, pipeline, position, name, phase, rev) \
     VALUES ('w', 'one', 0, 'main', 'running', 7000000000000)",
    "INSERT INTO jobs (id, workflow, pipeline, position, number, name, requires, class, phase, rev) \
     VALUES ('j1', 'w', 'one', 0, 1, 'a', '[]', 'acme/mini', 'queued', 7000000000001), \
     ('j2', 'w', 'one', 1, 2, 'b', '[]', 'acme/mini', 'running', 7000000000002)",
    "INSERT INTO tasks (id, job, pipeline, class, phase, queue, allocation, granted, expires) \
     VALUES ('t1', 'j1', 'one', 'acme/mini', 'queued', 7000000000003, NULL, NULL, NULL), \
     ('t2', 'j2', 'one', 'acme/mini', 'running', NULL, 'a', 5, 10)",
    "INSERT INTO steps (position, task, job, pipeline, number, name, background, started_ms, output_bytes, rev) \
     VALUES (41, 't2', 'j2', 'one', 0, 'step', 0, 1, 3, 1)",
    "INSERT INTO output (step, start, length, data) VALUES (41, 0, 3, x'00ff41')",
    "INSERT INTO caches (id, scope, key, project, job_number, size, blake3, object, paths, created_ms, expires_ms) \
     VALUES ('z', 's', 'first', 'p', 1, 1, 'h1', 'archives/x/1', '[]', 1, 2)",
    "INSERT INTO caches (id, scope, key, project, job_number, size, blake3, object, paths, created_ms, expires_ms) \
     VALUES ('a', 's', 'second' || char(0), 'p', 1, 1, 'h2', 'archives/x/2', '[]', 1, 2)",
];

fn silent(_: Step<'_>) {}

struct Source {
    dir: tempfile::TempDir,
    store: Store,
}

impl Source {
    async fn filled() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("russet.db"), false).await.unwrap();
        let source = Self { dir, store };
        source.execute(&ROWS).await;
        source
    }

    async fn execute(&self, statements: &[&'static str]) {
        let mut tx = self.store.write().await.unwrap();
        for statement in statements {
            query(statement).execute(&mut tx).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// Opened beside the store, as beside a server.
    async fn open(&self) -> Side {
        Side::read_sqlite(&self.dir.path().join("russet.db")).await.unwrap()
    }
}

async fn fill(database: &Database) -> Side {
    Side::fill_postgres(&database.url().parse().unwrap()).await.unwrap()
}

/// A whole move.
async fn move_all(source: &mut Side, target: &mut Side) -> Transferred {
    let id = installation(source).await.unwrap();
    assert!(begin_move(target, &id, 1).await.unwrap());
    let done = transfer(source, target, true, &silent).await.unwrap();
    assert_eq!(contents(target).await.unwrap(), done.tables);
    end_move(target).await.unwrap();
    done
}

#[tokio::test]
async fn every_table_of_both_schemas_can_be_transferred() {
    let Some(database) = database() else { return };
    let source = Source::filled().await;
    let (mut one, mut other) = (source.open().await, fill(&database).await);
    let copied = tables(&mut one).await.unwrap();
    assert_eq!(copied, tables(&mut other).await.unwrap());
    // All but what is known to belong to a database itself.
    let all = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' \
               AND name <> '_sqlx_migrations' ORDER BY name";
    let mut wanted = one.texts(all).await.unwrap();
    wanted.retain(|name| !NOT_COPIED.contains(&name.as_str()));
    let names: Vec<String> = copied.iter().map(|table| table.name.clone()).collect();
    assert_eq!(names, wanted);
    let ordered = "SELECT table_name::text FROM information_schema.columns \
                   WHERE table_schema = 'public' AND column_name = 'rowid'";
    assert_eq!(other.texts(ordered).await.unwrap(), ORDERED);
    // A sequence that belongs to no column would not be raised.
    let sequences = "SELECT relname::text FROM pg_class AS c WHERE relkind = 'S' AND NOT EXISTS \
                     (SELECT 1 FROM pg_depend WHERE objid = c.oid AND deptype = 'i')";
    assert_eq!(other.texts(sequences).await.unwrap(), ["places_in_line"]);
    assert_eq!(state(&mut other).await.unwrap(), State::Empty);
}

#[tokio::test]
async fn a_database_is_the_same_on_postgresql_and_its_numbers_go_on() {
    let Some(database) = database() else { return };
    let source = Source::filled().await;
    let (mut from, mut to) = (source.open().await, fill(&database).await);
    let done = move_all(&mut from, &mut to).await;
    assert!(done.changed >= 13, "{}", done.changed);
    assert_eq!(installation(&mut from).await.unwrap(), installation(&mut to).await.unwrap());
    assert_eq!(database.sql("SELECT id FROM caches ORDER BY rowid").trim(), "z\na");
    assert_eq!(database.sql("SELECT encode(data, 'hex') FROM output").trim(), "00ff41");
    assert_eq!(database.sql("SELECT max(rev) FROM jobs").trim(), "0");
    let held = "SELECT expires > extract(epoch FROM now()) * 1000 FROM tasks WHERE id = 't2'";
    assert_eq!(database.sql(held).trim(), "t");
    let keys = "SELECT count(*) > 10 FROM pg_constraint WHERE contype = 'f'";
    assert_eq!(database.sql(keys).trim(), "t", "the foreign keys are back");
    to.close().await.unwrap();
    // A server goes on above what came.
    let url: DatabaseUrl = database.url().parse().unwrap();
    let store = Store::connect(&url, true).await.unwrap();
    let mut tx = store.write().await.unwrap();
    assert!(tx.next_in_line().await.unwrap() > 7_000_000_000_003);
    assert!(tx.rev() > 0);
    let step = "INSERT INTO steps (task, job, pipeline, number, name, background, started_ms, output_bytes, rev) \
                VALUES ('t2', 'j2', 'one', 1, 'next', 0, 1, 0, 1) RETURNING position";
    let row = query(step).fetch_one(&mut tx).await.unwrap();
    assert_eq!(row.try_get::<i64>("position").unwrap(), 42);
    let class = "acme/mini".parse().unwrap();
    assert!(line::is_any_queued(&mut tx, &class, Default::default()).await.unwrap());
}

#[tokio::test]
async fn what_changed_between_two_parts_is_made_the_same_whatever_it_was() {
    let Some(database) = database() else { return };
    let source = Source::filled().await;
    let (mut from, mut to) = (source.open().await, fill(&database).await);
    let id = installation(&mut from).await.unwrap();
    assert!(begin_move(&mut to, &id, 1).await.unwrap());
    transfer(&mut from, &mut to, false, &silent).await.unwrap();
    let again = transfer(&mut from, &mut to, false, &silent).await.unwrap();
    assert_eq!(again.changed, 0, "what is there is not written again");
    source
        .execute(&[
            // A row goes and another one takes its unique values; keys before and behind.
            "DELETE FROM caches WHERE id = 'z'",
            "INSERT INTO caches (id, scope, key, project, job_number, size, blake3, object, paths, created_ms, expires_ms) \
             VALUES ('b', 's', 'first', 'p', 2, 1, 'h3', 'archives/x/3', '[]', 1, 2)",
            "UPDATE tasks SET phase = 'running', queue = NULL WHERE id = 't1'",
            "UPDATE pipelines SET number = 3 WHERE id = 'one'",
            "UPDATE pipelines SET number = 1 WHERE id = 'two'",
            "UPDATE pipelines SET number = 2 WHERE id = 'one'",
            "DELETE FROM output",
            "DELETE FROM steps",
        ])
        .await;
    move_all(&mut from, &mut to).await;
    assert_eq!(database.sql("SELECT id FROM caches ORDER BY rowid").trim(), "a\nb");
    assert_eq!(database.sql("SELECT number FROM pipelines ORDER BY id").trim(), "2\n1");
    assert_eq!(database.sql("SELECT count(*) FROM steps").trim(), "0");
}

#[tokio::test]
async fn no_server_starts_on_half_of_a_move_and_no_other_move_begins_there() {
    let Some(database) = database() else { return };
    let source = Source::filled().await;
    let (mut from, mut to) = (source.open().await, fill(&database).await);
    let id = installation(&mut from).await.unwrap();
    assert!(begin_move(&mut to, &id, 1).await.unwrap());
    transfer(&mut from, &mut to, false, &silent).await.unwrap();
    let mut other = fill(&database).await;
    assert!(!begin_move(&mut other, &id, 1).await.unwrap(), "two at a time");
    drop(to);
    let url: DatabaseUrl = database.url().parse().unwrap();
    assert!(matches!(Store::connect(&url, true).await, Err(OpenError::HalfMoved)));
    assert_eq!(state(&mut other).await.unwrap(), State::Half(id.clone()));
    move_all(&mut from, &mut other).await;
    assert_eq!(state(&mut other).await.unwrap(), State::Used(id));
}

#[tokio::test]
async fn a_row_that_names_what_is_not_there_ends_no_move() {
    let Some(database) = database() else { return };
    let source = Source::filled().await;
    let (mut from, mut to) = (source.open().await, fill(&database).await);
    let id = installation(&mut from).await.unwrap();
    assert!(begin_move(&mut to, &id, 1).await.unwrap());
    transfer(&mut from, &mut to, true, &silent).await.unwrap();
    to.execute("DELETE FROM jobs WHERE id = 'j2'", Vec::new()).await.unwrap();
    assert!(matches!(end_move(&mut to).await, Err(TransferError::Dangling { .. })));
    assert_eq!(state(&mut to).await.unwrap(), State::Half(id));
}

#[tokio::test]
async fn a_copy_of_a_snapshot_does_not_see_what_is_written_meanwhile() {
    let source = Source::filled().await;
    let (mut from, dir) = (source.open().await, tempfile::tempdir().unwrap());
    from.begin_snapshot().await.unwrap();
    source.execute(&["INSERT INTO projects (name, pipelines, jobs) VALUES ('later', 1, 1)"]).await;
    let path = dir.path().join("copy.db");
    let mut copy = Side::create_sqlite(&path).await.unwrap();
    let done = transfer(&mut from, &mut copy, true, &silent).await.unwrap();
    from.end_snapshot().await.unwrap();
    settle(&mut copy).await.unwrap();
    assert_eq!(done.tables["projects"].rows, 2);
    assert_eq!(contents(&mut copy).await.unwrap(), done.tables);
    copy.close().await.unwrap();
    let store = Store::open(&path, false).await.unwrap();
    let mut tx = store.write().await.unwrap();
    assert!(tx.rev() > 7_000_000_000_003);
    assert!(tx.next_in_line().await.unwrap() > 7_000_000_000_003);
}

#[tokio::test]
async fn a_value_that_was_changed_in_the_copy_is_found() {
    let source = Source::filled().await;
    let (mut from, dir) = (source.open().await, tempfile::tempdir().unwrap());
    let mut copy = Side::create_sqlite(&dir.path().join("copy.db")).await.unwrap();
    let done = transfer(&mut from, &mut copy, true, &silent).await.unwrap();
    let change = "UPDATE output SET data = $1";
    copy.execute(change, vec![Cell::Bytes(Some(vec![0, 255, 66]))]).await.unwrap();
    let found = contents(&mut copy).await.unwrap();
    assert_ne!(found["output"], done.tables["output"]);
    assert_eq!(found["steps"], done.tables["steps"]);
    let rows = copy.fetch("SELECT data FROM output", Vec::new(), &[Kind::Bytes]).await.unwrap();
    assert_eq!(rows, [[Cell::Bytes(Some(vec![0, 255, 66]))]]);
}

#[tokio::test]
async fn every_object_that_a_row_names_is_found() {
    let source = Source::filled().await;
    source
        .execute(&[
            "INSERT INTO output (step, start, length, object) VALUES (41, 3, 9, 'output/t2/x')",
        ])
        .await;
    let named = named_objects(&mut source.open().await).await.unwrap();
    let wanted: Named = [
        ("archives/x/1", Some("h1")),
        ("archives/x/2", Some("h2")),
        ("output/t2/x", None),
        ("sources/abc", Some("abc")),
    ]
    .into_iter()
    .map(|(name, hash)| (name.to_owned(), hash.map(str::to_owned)))
    .collect();
    assert_eq!(named, wanted);
}
