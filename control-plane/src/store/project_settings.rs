//! Table `project_settings`, and the pipelines that are canceled by them.

use russet_protocol::ids::PipelineId;
use russet_protocol::project_settings::ProjectSettings;
use russet_protocol::projects::ReportedStatuses;

use super::rows::parse;
use super::sql::{Row, query};
use super::{Conn, StoreError, WriteTx};

/// Settings with the time from which on they count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoredSettings {
    pub(crate) settings: ProjectSettings,
    /// Time from which on pipelines are canceled by later ones, in milliseconds since 1970.
    pub(crate) auto_cancel_ms: Option<i64>,
}

/// Returns the settings of a project, or those that a project has at first.
pub(crate) async fn get(conn: &mut Conn, project: &str) -> Result<StoredSettings, StoreError> {
    let row = query(
        "SELECT default_branch, auto_cancel_ms, statuses, forks FROM project_settings WHERE project = $1",
    )
    .bind(project)
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else {
        let statuses = Some(ReportedStatuses::default());
        let settings = ProjectSettings { statuses, ..ProjectSettings::default() };
        return Ok(StoredSettings { settings, auto_cancel_ms: None });
    };
    let auto_cancel_ms: Option<i64> = row.try_get("auto_cancel_ms")?;
    let settings = ProjectSettings {
        default_branch: row.try_get("default_branch")?,
        auto_cancel: auto_cancel_ms.is_some(),
        statuses: Some(parse(&row, "statuses")?),
        forks: parse(&row, "forks")?,
    };
    Ok(StoredSettings { settings, auto_cancel_ms })
}

/// Sets the settings of a project. What cancels pipelines already goes on counting from where it did.
pub(crate) async fn put(
    tx: &mut WriteTx,
    project: &str,
    settings: &ProjectSettings,
    now_ms: i64,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO project_settings (project, default_branch, auto_cancel_ms, statuses, forks) \
         VALUES ($1, $2, $3, coalesce(CAST($4 AS TEXT), 'both'), $5) \
         ON CONFLICT (project) DO UPDATE SET default_branch = excluded.default_branch, \
         forks = excluded.forks, \
         auto_cancel_ms = CASE WHEN excluded.auto_cancel_ms IS NULL THEN NULL \
         ELSE coalesce(project_settings.auto_cancel_ms, excluded.auto_cancel_ms) END, \
         statuses = coalesce(CAST($4 AS TEXT), project_settings.statuses)",
    )
    .bind(project)
    .bind(&settings.default_branch)
    .bind(settings.auto_cancel.then_some(now_ms))
    .bind(settings.statuses.map(ReportedStatuses::as_str))
    .bind(settings.forks.as_str())
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes the settings of a project that is deleted.
pub(super) async fn remove(tx: &mut WriteTx, project: &str) -> Result<(), StoreError> {
    query("DELETE FROM project_settings WHERE project = $1").bind(project).execute(tx).await?;
    Ok(())
}

/// Pipeline that supersedes others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Superseding<'a> {
    pub(crate) project: &'a str,
    pub(crate) branch: &'a str,
    pub(crate) number: i64,
    pub(crate) from_fork: bool,
    /// Time from which on the setting is on.
    pub(crate) since_ms: i64,
}

/// Returns the earlier pipelines of the branch that have not ended. As at CircleCI, scheduled ones are
/// let run, and those of which something was rerun. Only the last 50 are looked at: each one has canceled
/// those before it.
pub(crate) async fn superseded(
    tx: &mut WriteTx,
    by: Superseding<'_>,
) -> Result<Vec<PipelineId>, StoreError> {
    let rows = query(
        "SELECT newest.id FROM (SELECT p.id FROM pipelines AS p WHERE p.project = $1 AND p.branch = $2 \
         AND p.created_ms >= $3 AND p.number < $4 AND p.from_fork = $5 AND p.tag IS NULL \
         AND p.deleting = 0 AND coalesce(p.trigger_source, 'api') <> 'scheduled_pipeline' \
         ORDER BY p.created_ms DESC, p.id DESC LIMIT 50) AS newest \
         WHERE EXISTS (SELECT 1 FROM workflows AS w WHERE w.pipeline = newest.id AND w.phase <> 'ended') \
         AND NOT EXISTS (SELECT 1 FROM workflows AS w WHERE w.pipeline = newest.id \
         AND w.phase <> 'ended' AND w.rerun_of IS NOT NULL)",
    )
    .bind(by.project)
    .bind(by.branch)
    .bind(by.since_ms)
    .bind(by.number)
    .bind(by.from_fork)
    .fetch_all(tx)
    .await?;
    rows.iter().map(|row: &Row| Ok(row.try_get::<String>("id")?.into())).collect()
}
