//! Claims: what one goes by, and what follows from it in the tables of tasks, claims, jobs, workflows and
//! runners.
//!
//! PostgreSQL does all of that in one statement, since each costs it a round trip, and most of what a
//! claim takes is round trips.

use russet_protocol::ids::AllocationId;
use russet_protocol::resource_class::ResourceClass;

use super::abilities::{Abilities, SshLevel};
use super::claimed::{Claim, Claimed, claimed_from_row};
use super::conn::Driver;
use super::rows::{parse, to_json};
use super::sql::query;
use super::tokens::KnownToken;
use super::{
    Conn, StoreError, WriteTx, allocations, jobs, line, postgres, reports, runners, tasks,
    workflows,
};
use crate::credentials::TokenHash;

/// State that a claim goes by.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) token: KnownToken,
    /// A pause of the class, or of one of its runners, is in force.
    pub(crate) has_pauses: bool,
    /// A task waits in the line of the class that a runner with this offer of SSH may have, whatever Xcode
    /// it names.
    pub(crate) is_any_queued: bool,
}

/// Looks at the state that a claim goes by; `None` for a token that is not known. Locks nothing.
pub(crate) async fn look(
    conn: &mut Conn,
    hash: &TokenHash,
    class: &ResourceClass,
    ssh: SshLevel,
    now_ms: i64,
) -> Result<Option<Ground>, StoreError> {
    let row = query(
        "SELECT id, class, expires_ms, (SELECT count(*) FROM runner_pauses WHERE class = $2 \
         AND (until_ms IS NULL OR until_ms > $3)) AS pauses, \
         (SELECT queue FROM tasks INDEXED BY tasks_queued WHERE class = $2 AND phase = 'queued' \
         AND ssh <= $4 ORDER BY queue LIMIT 1) AS place FROM tokens WHERE hash = $1",
    )
    .bind(hash.as_bytes())
    .bind(class.as_str())
    .bind(now_ms)
    .bind(ssh as i64)
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let token = KnownToken {
        id: row.try_get("id")?,
        class: parse(&row, "class")?,
        expires_ms: row.try_get("expires_ms")?,
    };
    let has_pauses = row.try_get::<i64>("pauses")? > 0;
    let is_any_queued = row.try_get::<Option<i64>>("place")?.is_some();
    Ok(Some(Ground { token, has_pauses, is_any_queued }))
}

/// Gives a runner the first task of the line that it may have, with the id of the claim: the one that
/// its agent made, unless an earlier claim has it, whose task was taken back. Tasks that other claims
/// are about to take are passed over.
pub(crate) async fn take_first(
    tx: &mut WriteTx,
    claim: &Claim<'_>,
) -> Result<Option<(Claimed, AllocationId)>, StoreError> {
    let taken = match tx.driver() {
        Driver::Sqlite(_) => take_in_steps(tx, claim).await?,
        Driver::Postgres(_) => take_at_once(tx, claim).await?,
    };
    if let Some((claimed, _)) = &taken {
        if claimed.is_reported {
            reports::report_job(tx, &claimed.job, claim.now_ms).await?;
            reports::report_workflow(tx, &claimed.workflow, claim.now_ms).await?;
        }
        tx.wake_leases();
    }
    Ok(taken)
}

async fn take_in_steps(
    tx: &mut WriteTx,
    claim: &Claim<'_>,
) -> Result<Option<(Claimed, AllocationId)>, StoreError> {
    let Some(next) = line::next_in_line(tx, claim.class, claim.abilities).await? else {
        return Ok(None);
    };
    let allocation = match claim.wanted {
        Some(id) if !allocations::exists(tx, id).await? => id.clone(),
        _ => AllocationId::generate(),
    };
    tasks::grant(tx, &next.task, &allocation, claim).await?;
    allocations::insert(tx, &allocation, &next.task, claim).await?;
    jobs::set_running(tx, &next.job, claim.runner, claim.now_ms).await?;
    workflows::start(tx, &next.workflow).await?;
    runners::mark_used(tx, claim.class, claim.runner, claim.now_ms).await?;
    Ok(Some((next, allocation)))
}

async fn take_at_once(
    tx: &mut WriteTx,
    claim: &Claim<'_>,
) -> Result<Option<(Claimed, AllocationId)>, StoreError> {
    let Abilities { xcodes, ssh } = claim.abilities;
    let fitting = line::fitting_xcodes(tx, claim.class, xcodes).await?;
    let mut after = line::BEFORE_ALL;
    if fitting.is_some() {
        // Tasks that others alone may have are not gone through.
        match line::first_place(tx, claim.class, (fitting.as_deref(), ssh), after).await? {
            Some(place) => after = place - 1,
            None => return Ok(None),
        }
    }
    let spare = AllocationId::generate();
    let row = query(postgres::CLAIM)
        .bind(claim.class.as_str())
        .bind(after)
        .bind(fitting.as_ref().map(to_json).transpose()?)
        .bind(claim.wanted.unwrap_or(&spare).as_str())
        .bind(spare.as_str())
        .bind(claim.granted)
        .bind(claim.expires)
        .bind(claim.hash.as_bytes())
        .bind(claim.runner)
        .bind(claim.now_ms)
        .bind(tx.rev())
        .bind(ssh as i64)
        .fetch_optional(tx)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let allocation = row.try_get::<String>("allocation")?.into();
    Ok(Some((claimed_from_row(&row)?, allocation)))
}
