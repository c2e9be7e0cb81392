//! The control plane's database, read as it lies on disk, or in PostgreSQL.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Row as _, SqliteConnection};

/// Rows that name something that is not there, or that nothing names. Foreign keys are checked
/// besides.
const DANGLING: [(&str, &str); 7] = [
    ("tasks that have not ended", "SELECT id FROM tasks WHERE phase <> 'ended' OR outcome IS NULL"),
    ("jobs that have not ended", "SELECT id FROM jobs WHERE phase <> 'ended' OR outcome IS NULL"),
    (
        "workflows that have not ended",
        "SELECT id FROM workflows WHERE phase <> 'ended' OR outcome IS NULL",
    ),
    (
        "jobs without their tasks",
        "SELECT id FROM jobs WHERE parallelism <> (SELECT count(*) FROM tasks WHERE tasks.job = jobs.id)",
    ),
    ("steps of no job", "SELECT name FROM steps WHERE job NOT IN (SELECT id FROM jobs)"),
    ("artifacts of no task", "SELECT path FROM artifacts WHERE task NOT IN (SELECT id FROM tasks)"),
    (
        "steps whose output has gaps, or another length",
        "SELECT name FROM steps WHERE output_bytes <> (SELECT coalesce(sum(length), 0) FROM output WHERE output.step = steps.position)",
    ),
];

/// A task's row.
#[derive(Clone, Debug)]
pub struct TaskRow {
    /// Its id.
    pub id: String,
    /// Its job.
    pub job: String,
    /// Its number within the job.
    pub number: u64,
    /// Outcome, as the wire has it.
    pub outcome: String,
    /// Reason.
    pub message: String,
    /// Set if a step of it began.
    pub has_begun: bool,
}

/// Every task.
const TASKS: &str = "SELECT id, job, ordinal, coalesce(outcome, '') AS outcome, \
                     coalesce(message, '') AS message, step_started FROM tasks";

/// An open database.
pub enum Database {
    /// A file of SQLite.
    Sqlite(SqliteFile),
    /// A database of PostgreSQL.
    Postgres(Arc<russet_test_postgres::Database>),
}

/// An open file.
pub struct SqliteFile {
    runtime: tokio::runtime::Runtime,
    connection: SqliteConnection,
}

impl Database {
    /// Opens the file of a control plane, which may be running.
    pub fn in_file(path: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        let connection = runtime.block_on(options.connect()).unwrap();
        Self::Sqlite(SqliteFile { runtime, connection })
    }

    /// Takes one that is on PostgreSQL.
    pub fn on_postgres(database: Arc<russet_test_postgres::Database>) -> Self {
        Self::Postgres(database)
    }

    /// Every task.
    pub fn tasks(&mut self) -> Vec<TaskRow> {
        match self {
            Self::Sqlite(file) => file.tasks(),
            Self::Postgres(database) => {
                let rows = format!("SELECT coalesce(json_agg(t), '[]') FROM ({TASKS}) AS t");
                let rows: Vec<Value> = serde_json::from_str(&database.sql(&rows)).unwrap();
                rows.iter().map(row_of_json).collect()
            }
        }
    }

    /// Number of pipelines.
    pub fn count_pipelines(&mut self) -> usize {
        self.texts("SELECT id FROM pipelines").len()
    }

    /// Lists what is not whole. PostgreSQL itself lets no row name one that is not there.
    pub fn list_damage(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        if let Self::Sqlite(_) = self {
            found.extend(self.texts("PRAGMA integrity_check"));
            found.retain(|line| line != "ok");
            let broken = self.texts("SELECT \"table\" FROM pragma_foreign_key_check");
            found.extend(
                broken.iter().map(|table| format!("a row of {table} names one that is not there")),
            );
        }
        for (what, query) in DANGLING {
            let rows = self.texts(query);
            if !rows.is_empty() {
                found.push(format!("{what}: {rows:?}"));
            }
        }
        found
    }

    fn texts(&mut self, query: &'static str) -> Vec<String> {
        match self {
            Self::Sqlite(file) => {
                let rows = file
                    .runtime
                    .block_on(sqlx::query(query).fetch_all(&mut file.connection))
                    .unwrap();
                rows.iter().map(|row| row.get::<String, _>(0)).collect()
            }
            Self::Postgres(database) => database.sql(query).lines().map(str::to_owned).collect(),
        }
    }
}

impl SqliteFile {
    fn tasks(&mut self) -> Vec<TaskRow> {
        let rows =
            self.runtime.block_on(sqlx::query(TASKS).fetch_all(&mut self.connection)).unwrap();
        let row = |row: &sqlx::sqlite::SqliteRow| TaskRow {
            id: row.get("id"),
            job: row.get("job"),
            number: u64::try_from(row.get::<i64, _>("ordinal")).unwrap(),
            outcome: row.get("outcome"),
            message: row.get("message"),
            has_begun: row.get("step_started"),
        };
        rows.iter().map(row).collect()
    }
}

fn row_of_json(row: &Value) -> TaskRow {
    let text = |name: &str| row[name].as_str().unwrap().to_owned();
    TaskRow {
        id: text("id"),
        job: text("job"),
        number: row["ordinal"].as_u64().unwrap(),
        outcome: text("outcome"),
        message: text("message"),
        has_begun: row["step_started"].as_i64().unwrap() != 0,
    }
}
