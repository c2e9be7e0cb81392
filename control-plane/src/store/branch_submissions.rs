//! Table `branch_submissions`: the last submission of each branch.

use russet_protocol::admin::SubmitRequest;

use super::rows::{int_value, json, reach_column, reach_value, to_json};
use super::sql::query;
use super::{Conn, StoreError, WriteTx};
use crate::people::Reach;

/// Last submission of a branch.
#[derive(Debug)]
pub(crate) struct BranchSubmission {
    pub(crate) submission: SubmitRequest,
    /// Namespaces whose classes it may use.
    pub(crate) reach: Reach,
}

/// Notes the last submission of a branch.
pub(crate) async fn put(
    tx: &mut WriteTx,
    (branch, number): (&str, u64),
    submission: &SubmitRequest,
    reach: &Reach,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO branch_submissions (project, branch, number, submission, namespaces) \
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT (project, branch) DO UPDATE SET \
         number = excluded.number, submission = excluded.submission, \
         namespaces = excluded.namespaces",
    )
    .bind(&submission.project)
    .bind(branch)
    .bind(int_value(number))
    .bind(to_json(submission)?)
    .bind(reach_value(reach)?)
    .execute(tx)
    .await?;
    Ok(())
}

/// Returns the last submission of a branch.
pub(crate) async fn get(
    conn: &mut Conn,
    project: &str,
    branch: &str,
) -> Result<Option<BranchSubmission>, StoreError> {
    let row = query(
        "SELECT submission, namespaces FROM branch_submissions WHERE project = $1 AND branch = $2",
    )
    .bind(project)
    .bind(branch)
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let reach = reach_column(&row)?;
    Ok(Some(BranchSubmission { submission: json(&row, "submission")?, reach }))
}

/// Removes those of a project that is deleted.
pub(super) async fn remove_of_project(tx: &mut WriteTx, project: &str) -> Result<(), StoreError> {
    query("DELETE FROM branch_submissions WHERE project = $1").bind(project).execute(tx).await?;
    Ok(())
}
