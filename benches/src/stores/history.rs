//! Lists over a million pipelines, which are put into the database by its own means.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use sqlx::{Connection as _, SqliteConnection};

use super::servers::Servers;
use crate::stats::Samples;

/// Number of pipelines.
const PIPELINES: usize = 1_000_000;

/// Requests of each kind.
const REQUESTS: usize = 200;

/// Numbers from 1 on, as each database makes them. `{count}` is how many.
const SQLITE_NUMBERS: &str = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n \
                              WHERE n < {count})";
const POSTGRES_NUMBERS: &str = "WITH n (n) AS (SELECT generate_series(1, {count}))";

/// Ids begin behind this number, so that they have one length, and come in order as those of
/// servers do.
const FIRST_ID: usize = 1_000_000;

/// A hundred projects, their pipelines with one workflow, one job and one task each. In the order of
/// the tables' references; `{n}` is for the numbers.
const HISTORY: [&str; 5] = [
    "INSERT INTO projects (name, pipelines, jobs) {n} \
     SELECT 'history/p' || n, 0, 0 FROM n WHERE n <= 100",
    "INSERT INTO pipelines (id, project, number, branch, from_fork, created_ms, warnings) {n} \
     SELECT 'a' || (n + 1000000), 'history/p' || (n % 100 + 1), n, 'main', 0, 1795000000000 + n, '[]' FROM n",
    "INSERT INTO workflows (id, pipeline, position, name, phase, outcome, rev) {n} \
     SELECT 'w' || (n + 1000000), 'a' || (n + 1000000), 0, 'main', 'ended', 'success', 0 FROM n",
    "INSERT INTO jobs (id, workflow, pipeline, position, number, name, requires, class, phase, \
     outcome, rev, project) {n} SELECT 'b' || (n + 1000000), 'w' || (n + 1000000), 'a' || (n + 1000000), 0, n, 'test', '[]', \
     'bench/one', 'ended', 'success', 0, 'history/p' || (n % 100 + 1) FROM n",
    "INSERT INTO tasks (id, job, pipeline, class, phase, outcome) {n} \
     SELECT 't' || (n + 1000000), 'b' || (n + 1000000), 'a' || (n + 1000000), 'bench/one', 'ended', 'success' FROM n",
];

/// Lists that are timed, and their paths.
const LISTS: [(&str, &str); 4] = [
    ("list of pipelines", "/api/v3/pipelines"),
    ("… of a project", "/api/v3/pipelines?project=history/p7"),
    ("a pipeline", "/api/v3/pipelines/a{id}"),
    ("a job with its steps", "/api/v3/jobs/b{id}"),
];

/// Measures.
pub(super) async fn measure(mut servers: Servers, scale: usize) -> Result<()> {
    let count = PIPELINES / scale;
    let start = Instant::now();
    if servers.database().is_some() {
        fill_postgres(&servers, count);
    } else {
        let mut filled = Ok(());
        let fill = async |servers: &Servers| filled = fill_sqlite(servers, count).await;
        servers.restart_after(fill).await?;
        filled?;
    }
    println!("{count} pipelines made in            {:>8.1} s", start.elapsed().as_secs_f64());
    for (what, path) in LISTS {
        let path = path.replace("{id}", &(FIRST_ID + count / 2).to_string());
        let mut samples = Samples::default();
        for _ in 0..REQUESTS {
            let start = Instant::now();
            let bytes = servers.client.get(&path).await?;
            samples.push(start.elapsed());
            ensure!(bytes > 2, "{path} is empty");
        }
        samples.print(what);
    }
    Ok(())
}

fn statements(numbers: &str, count: usize) -> impl Iterator<Item = String> {
    let numbers = numbers.replace("{count}", &count.to_string());
    HISTORY.into_iter().map(move |statement| statement.replace("{n}", &numbers))
}

fn fill_postgres(servers: &Servers, count: usize) {
    let Some(database) = servers.database() else { return };
    for statement in statements(POSTGRES_NUMBERS, count) {
        let _selected = database.sql(&statement);
    }
    // As its own daemon does within a minute.
    let _selected = database.sql("ANALYZE");
}

async fn fill_sqlite(servers: &Servers, count: usize) -> Result<()> {
    let url = format!("sqlite://{}", servers.database_file().display());
    let mut conn = SqliteConnection::connect(&url).await.context("the server's database")?;
    for setting in ["PRAGMA synchronous = OFF", "PRAGMA cache_size = -500000"] {
        sqlx::query(setting).execute(&mut conn).await?;
    }
    for statement in statements(SQLITE_NUMBERS, count) {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut conn).await?;
    }
    conn.close().await?;
    Ok(())
}
