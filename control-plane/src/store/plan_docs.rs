//! `docs/query-plans.md`: the plans of the statements that a server executes most, on both databases.

use std::path::Path;

use russet_test_postgres::database;
use serde_json::Value;

use super::{DatabaseUrl, Store, plans, postgres::plans as postgres_plans};

/// Statements that are executed most, or over the longest tables: a name, the file that has it, and
/// text that only it has there.
const HOT: [(&str, &str, &str); 20] = [
    ("Claim: a look that finds nothing", "claims.rs", "AS pauses"),
    (
        "Claim: the first place in a class's line",
        "line.rs",
        "queue AS place FROM tasks INDEXED BY tasks_queued WHERE class = $1",
    ),
    ("Claim: … among tasks that name no Xcode", "line.rs", "xcode IS NULL AND queue > $2"),
    ("Claim: … among tasks that name this Xcode", "line.rs", "xcode = $2 AND queue > $3"),
    ("Claim: the task at a place", "line.rs", "tasks.queue = $2"),
    ("Calls of task agents: the task of a token", "allocations.rs", "WHERE allocations.hash = $1"),
    ("List of pipelines: all", "pipeline_pages.rs", "WHERE (created_ms, id) < ($1, $2)"),
    (
        "List of pipelines: of a project",
        "pipeline_pages.rs",
        "WHERE project = $1 AND (created_ms, id) <",
    ),
    (
        "List of pipelines: of a branch",
        "pipeline_pages.rs",
        "AND branch = $2 AND (created_ms, id) <",
    ),
    (
        "List of pipelines: of an author",
        "pipeline_pages.rs",
        "WHERE author = $1 AND (created_ms, id) <",
    ),
    ("List of pipelines: states of a part of the list", "pipeline_pages.rs", "END AS state FROM"),
    ("List of pipelines: those of a page", "pipelines.rs", "FROM pipelines WHERE id IN"),
    ("List of pipelines: workflows of a page", "workflows.rs", "WHERE pipeline IN"),
    ("List of pipelines: jobs of a page", "jobs.rs", "WHERE workflow IN"),
    ("List of pipelines: artifacts of a page", "artifacts.rs", "WHERE job IN"),
    ("Leases: the next that lapses", "tasks.rs", "SELECT expires AS next"),
    ("Leases: those that have lapsed", "tasks.rs", "expires <= $1"),
    ("Output: chunks from an offset on", "output.rs", "start <= $2"),
    ("Machines: the runners", "runners.rs", "OR last_ms >= $1 ORDER BY class, name"),
    ("Machines: the tasks that they hold", "loads.rs", "SELECT tasks.class, allocations.runner"),
];

const HEAD: &str = "# Query plans\n\n\
    Plans of the statements that a server executes most, over 100,000 pipelines of one project, each with a \
    workflow, a job, a task and an artifact. None walks a table that grows with history, and a test \
    holds all other statements of the store to the same on both databases.\n\n\
    `json_each($1)` stands for the keys of a page: on PostgreSQL it is `jsonb_array_elements_text`. \
    PostgreSQL's are generic plans, for values that are not known; it walks a table where that table is \
    small.\n\n\
    Made by `RUSSET_UPDATE_DOCS=1 cargo test --workspace --lib -- query_plans`, which says too when this page is \
    out of date.\n";

/// Finds the statements of [`HOT`].
fn hot() -> Vec<(&'static str, String)> {
    let all = plans::all_statements();
    let find = |(title, file, part): &(&'static str, &str, &str)| {
        let of_file = all.iter().filter(|(path, _)| path.ends_with(file));
        let found: Vec<&String> =
            of_file.map(|(_, text)| text).filter(|text| text.contains(part)).collect();
        assert_eq!(found.len(), 1, "{part} in {file}: {found:?}");
        (*title, found[0].clone())
    };
    HOT.iter().map(find).collect()
}

/// Writes a node of a plan of PostgreSQL and those below it, without estimates.
fn write_node(node: &Value, depth: usize, out: &mut Vec<String>) {
    let text = |key: &str| node[key].as_str();
    let mut line = format!("{}{}", "  ".repeat(depth), text("Node Type").unwrap_or_default());
    for (key, word) in [("Index Name", "using"), ("Relation Name", "on"), ("Function Name", "on")] {
        if let Some(name) = text(key) {
            line += &format!(" {word} {name}");
        }
    }
    if let Some(condition) = text("Index Cond") {
        line += &format!(": {condition}");
    }
    out.push(line);
    for child in node["Plans"].as_array().into_iter().flatten() {
        write_node(child, depth + 1, out);
    }
}

#[tokio::test]
async fn the_page_of_query_plans_is_up_to_date() {
    let Some(database) = database() else { return };
    let temp = tempfile::tempdir().unwrap();
    let store = Store::open(&temp.path().join("russet.db"), false).await.unwrap();
    let mut tx = store.write().await.unwrap();
    for statement in plans::HISTORY {
        sqlx::query(statement).execute(tx.sqlite()).await.unwrap();
    }
    let url: DatabaseUrl = database.url().parse().unwrap();
    let _other = Store::connect(&url, true).await.unwrap();
    let mut conn = postgres_plans::with_history(&url).await;
    let version = database.sql("SHOW server_version");
    let major = version.split('.').next().unwrap().trim();
    let mut page = format!("{HEAD}PostgreSQL {major}.\n");
    for (title, statement) in hot() {
        let sqlite = plans::plan(tx.sqlite(), &statement).await.join("\n");
        let plan = postgres_plans::plan(&mut conn, &statement).await;
        let mut postgres = Vec::new();
        write_node(&plan[0]["Plan"], 0, &mut postgres);
        page += &format!(
            "\n## {title}\n\n```sql\n{statement}\n```\n\nSQLite:\n\n```text\n{sqlite}\n```\n"
        );
        page += &format!("\nPostgreSQL:\n\n```text\n{}\n```\n", postgres.join("\n"));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/query-plans.md");
    if std::env::var_os("RUSSET_UPDATE_DOCS").is_some() {
        std::fs::write(path, page).unwrap();
        return;
    }
    let there = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        without_postgres(&there) == without_postgres(&page),
        "docs/query-plans.md is out of date: RUSSET_UPDATE_DOCS=1 cargo test --workspace --lib -- query_plans"
    );
}

/// Leaves out the plans of PostgreSQL, which depend on its version and on samples that it takes; that
/// they walk nothing is tested for all statements.
fn without_postgres(page: &str) -> String {
    const BEGIN: &str = "\nPostgreSQL:\n\n```text\n";
    let mut parts = page.split(BEGIN);
    let mut left = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        left += part.split_once("\n```\n").map_or("", |(_, after)| after);
    }
    left.lines().filter(|line| !line.starts_with("PostgreSQL ")).collect()
}
