//! Table `projects`.

use russet_protocol::ids::PipelineId;

use super::rows::{count_column, int_value};
use super::sql::query;
use super::{
    Conn, StoreError, WriteTx, branch_submissions, notify_targets, project_settings, schedules,
    unnamed, webhook_deliveries,
};
use crate::people::Reach;

/// Returns the names of all projects that have had a pipeline.
pub(crate) async fn names(conn: &mut Conn) -> Result<Vec<String>, StoreError> {
    let rows =
        query("SELECT name FROM projects WHERE deleting = 0 ORDER BY name").fetch_all(conn).await?;
    rows.iter().map(|row| Ok(row.try_get("name")?)).collect()
}

/// Returns the names of the projects within reach; `None`: all are.
pub(crate) async fn within(
    conn: &mut Conn,
    reach: &Reach,
) -> Result<Option<Vec<String>>, StoreError> {
    if *reach == Reach::Everywhere {
        return Ok(None);
    }
    Ok(Some(names_of(conn, reach, |_| true).await?))
}

/// Returns the names of those projects within reach that are wanted.
pub(crate) async fn names_of(
    conn: &mut Conn,
    reach: &Reach,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Vec<String>, StoreError> {
    let mut all = names(conn).await?;
    all.retain(|name| reach.covers_name(name) && is_wanted(name));
    Ok(all)
}

/// Returns the project of a pipeline that is not being deleted.
pub(crate) async fn of_pipeline(
    conn: &mut Conn,
    id: &PipelineId,
) -> Result<Option<String>, StoreError> {
    let row = query("SELECT project FROM pipelines WHERE id = $1 AND deleting = 0")
        .bind(id.as_str())
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|row| row.try_get("project")).transpose()?)
}

/// Marks a project as one that is deleted with its last pipeline, and removes all that belongs to it
/// and to no pipeline. Returns false where there is no such project.
pub(crate) async fn begin_deletion(
    tx: &mut WriteTx,
    project: &str,
    now_ms: i64,
) -> Result<bool, StoreError> {
    let done =
        query("UPDATE projects SET deleting = 1 WHERE name = $1").bind(project).execute(tx).await?;
    let caches = query("DELETE FROM caches WHERE project = $1 RETURNING object")
        .bind(project)
        .fetch_all(tx)
        .await?;
    for row in &caches {
        unnamed::note(tx, &row.try_get::<String>("object")?, now_ms).await?;
    }
    for statement in [
        "DELETE FROM variables WHERE scope = 'project' AND owner = $1",
        "DELETE FROM ssh_keys WHERE project = $1",
        "DELETE FROM retention WHERE project = $1",
        "DELETE FROM git_connections WHERE project = $1",
        "DELETE FROM git_refs WHERE project = $1",
        "DELETE FROM trigger_events WHERE project = $1",
        "DELETE FROM commit_statuses WHERE project = $1",
    ] {
        query(statement).bind(project).execute(tx).await?;
    }
    notify_targets::remove_of_project(tx, project).await?;
    project_settings::remove(tx, project).await?;
    webhook_deliveries::remove_of_project(tx, project).await?;
    schedules::remove_of_project(tx, project).await?;
    branch_submissions::remove_of_project(tx, project).await?;
    Ok(done.rows_affected() > 0)
}

/// Removes the projects that are being deleted and have no pipelines any more.
pub(crate) async fn remove_deleted(tx: &mut WriteTx) -> Result<(), StoreError> {
    query(
        "DELETE FROM projects WHERE deleting = 1 \
         AND (SELECT 1 FROM pipelines AS p WHERE p.project = projects.name LIMIT 1) IS NULL",
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the ids of the pipelines of a project.
pub(crate) async fn pipelines(
    conn: &mut Conn,
    project: &str,
) -> Result<Vec<PipelineId>, StoreError> {
    let rows = query("SELECT id FROM pipelines WHERE project = $1 AND deleting = 0")
        .bind(project)
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| Ok(row.try_get::<String>("id")?.into())).collect()
}

/// Returns true if there is such a project.
pub(crate) async fn exists(conn: &mut Conn, project: &str) -> Result<bool, StoreError> {
    let row = query("SELECT 1 FROM projects WHERE name = $1 AND deleting = 0")
        .bind(project)
        .fetch_optional(conn)
        .await?;
    Ok(row.is_some())
}

/// Takes `pipelines` numbers of pipelines of a project, and `jobs` numbers of jobs. Answers the
/// last number of a pipeline, and the first one of a job.
pub(super) async fn take_numbers(
    tx: &mut WriteTx,
    project: &str,
    pipelines: u64,
    jobs: u64,
) -> Result<(u64, u64), StoreError> {
    let row = query(
        "INSERT INTO projects (name, pipelines, jobs) VALUES ($1, $2, $3) \
         ON CONFLICT (name) DO UPDATE SET \
         pipelines = projects.pipelines + excluded.pipelines, \
         jobs = projects.jobs + excluded.jobs, deleting = 0 RETURNING pipelines, jobs",
    )
    .bind(project)
    .bind(int_value(pipelines))
    .bind(int_value(jobs))
    .fetch_one(tx)
    .await?;
    Ok((count_column(&row, "pipelines")?, count_column(&row, "jobs")? + 1 - jobs))
}

/// Takes numbers for further jobs of a pipeline. Returns the first.
pub(super) async fn take_job_numbers(
    tx: &mut WriteTx,
    pipeline: &PipelineId,
    jobs: u64,
) -> Result<u64, StoreError> {
    let row = query("SELECT project FROM pipelines WHERE id = $1")
        .bind(pipeline.as_str())
        .fetch_one(tx)
        .await?;
    let project: String = row.try_get("project")?;
    Ok(take_numbers(tx, &project, 0, jobs).await?.1)
}
