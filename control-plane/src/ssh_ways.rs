//! Ways into the tasks of a job by SSH, as people are told.

use russet_protocol::ids::JobId;
use russet_protocol::outcome::Phase;
use russet_protocol::ssh::{SshItem, SshPhase};

use crate::public_key::fingerprint_of;
use crate::store::ssh_accesses::{self, Access};
use crate::store::task_ssh::{self, TaskSsh};
use crate::store::{Conn, StoreError};

/// Returns the phase of a task's SSH.
pub(crate) fn phase_of(task: &TaskSsh) -> SshPhase {
    match (task.phase, &task.way) {
        (Phase::Ended, _) => SshPhase::Ended,
        (_, None) => SshPhase::Starting,
        (_, Some(way)) if way.is_waiting => SshPhase::Waiting,
        _ => SshPhase::Running,
    }
}

fn item_of(task: TaskSsh, access: &Access) -> SshItem {
    let phase = phase_of(&task);
    let is_open = phase != SshPhase::Ended;
    let way = task.way.as_ref();
    SshItem {
        phase,
        person: access.person.clone(),
        keys: access.keys.iter().map(|key| fingerprint_of(key)).collect(),
        host_fingerprint: way.map(|way| fingerprint_of(&way.ready.host_key)),
        sessions: way.filter(|_| is_open).map_or(0, |way| way.sessions),
        ends_ms: way.filter(|_| is_open).and_then(|way| way.ends_ms),
        ready: task.way.map(|way| way.ready),
        task: task.task,
        node_index: task.node_index,
    }
}

/// Returns the ways into the tasks of a job; `None` for one that is not reached by SSH.
pub(crate) async fn list_ways(
    conn: &mut Conn,
    job: &JobId,
) -> Result<Option<Vec<SshItem>>, StoreError> {
    let Some(access) = ssh_accesses::of_job(conn, job).await? else { return Ok(None) };
    let tasks = task_ssh::of_job(conn, job).await?;
    Ok(Some(tasks.into_iter().map(|task| item_of(task, &access)).collect()))
}
