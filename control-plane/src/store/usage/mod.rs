//! Sums over whole tables, for those who ask what holds the disk. They walk tables, which no other
//! statement of the store may, and run on a connection that reads.

use std::collections::BTreeMap;

use russet_protocol::keeping::ProjectUsage;

use super::rows::count_column;
use super::sql::query;
use super::{Conn, StoreError};

/// A statement with the sums of all projects, and the field that it is for.
type Sum = (&'static str, fn(&mut ProjectUsage, u64));

const SUMS: [Sum; 9] = [
    ("SELECT project, count(*) AS n FROM pipelines GROUP BY project", |to, n| to.pipelines = n),
    (
        "SELECT p.project, CAST(coalesce(sum(s.output_bytes), 0) AS BIGINT) AS n FROM steps AS s \
         JOIN pipelines AS p ON p.id = s.pipeline GROUP BY p.project",
        |to, n| to.output_whole = n,
    ),
    (
        "SELECT p.project, CAST(coalesce(sum(coalesce(o.stored, o.length)), 0) AS BIGINT) AS n FROM output AS o \
         JOIN steps AS s ON s.position = o.step JOIN pipelines AS p ON p.id = s.pipeline \
         WHERE o.object IS NOT NULL GROUP BY p.project",
        |to, n| to.output_packed = n,
    ),
    (
        "SELECT p.project, CAST(coalesce(sum(length(o.data)), 0) AS BIGINT) AS n FROM output AS o \
         JOIN steps AS s ON s.position = o.step JOIN pipelines AS p ON p.id = s.pipeline \
         WHERE o.data IS NOT NULL GROUP BY p.project",
        |to, n| to.output_in_database = n,
    ),
    (
        "SELECT p.project, CAST(coalesce(sum(a.size), 0) AS BIGINT) AS n FROM artifacts AS a \
         JOIN jobs AS j ON j.id = a.job JOIN pipelines AS p ON p.id = j.pipeline GROUP BY p.project",
        |to, n| to.artifacts = n,
    ),
    (
        "SELECT project, CAST(coalesce(sum(size), 0) AS BIGINT) AS n FROM caches GROUP BY project",
        |to, n| to.caches = n,
    ),
    (
        "SELECT p.project, CAST(coalesce(sum(l.size), 0) AS BIGINT) AS n FROM workspace_layers AS l \
         JOIN jobs AS j ON j.id = l.job JOIN pipelines AS p ON p.id = j.pipeline GROUP BY p.project",
        |to, n| to.workspaces = n,
    ),
    (
        "SELECT project, CAST(coalesce(sum(size), 0) AS BIGINT) AS n FROM (SELECT DISTINCT p.project, \
         s.id, s.size FROM pipelines AS p JOIN sources AS s ON s.id = p.source \
         WHERE s.object IS NULL OR s.object <> '') AS whole GROUP BY project",
        |to, n| to.sources += n,
    ),
    (
        "SELECT project, CAST(coalesce(sum(size), 0) AS BIGINT) AS n FROM (SELECT DISTINCT p.project, \
         c.id, c.size FROM pipelines AS p JOIN source_chunks AS s ON s.source = p.source \
         JOIN chunks AS c ON c.id = s.chunk) AS parts GROUP BY project",
        |to, n| to.sources += n,
    ),
];

/// Returns what each project holds.
pub(crate) async fn of_projects(conn: &mut Conn) -> Result<Vec<ProjectUsage>, StoreError> {
    let mut projects: BTreeMap<String, ProjectUsage> = BTreeMap::new();
    for (statement, set) in SUMS {
        for row in &query(statement).fetch_all(conn).await? {
            let project: String = row.try_get("project")?;
            let usage = projects.entry(project.clone()).or_default();
            usage.project = project;
            set(usage, count_column(row, "n")?);
        }
    }
    Ok(projects.into_values().collect())
}

/// Returns the bytes of all snapshots.
pub(crate) async fn of_sources(conn: &mut Conn) -> Result<u64, StoreError> {
    let row = query(
        "SELECT (SELECT CAST(coalesce(sum(size), 0) AS BIGINT) FROM sources \
         WHERE object IS NULL OR object <> '') \
         + (SELECT CAST(coalesce(sum(size), 0) AS BIGINT) FROM chunks) AS n",
    )
    .fetch_one(conn)
    .await?;
    count_column(&row, "n")
}
