//! Looks at the farm for conditions that people hear of.

use std::collections::BTreeMap;

use russet_protocol::admin::RunnerItem;
use russet_protocol::alerts::AlertKind;
use russet_protocol::local::Update;
use russet_protocol::machine::MachineState;
use russet_text::{format_duration, one_line_within};

use super::decide::Key;
use super::expiry;
use crate::runner_items::list_runners;
use crate::state::App;
use crate::store::{Conn, StoreError, loads, tokens};

/// Time for which the oldest task of a class has to wait before the lack of machines is told, in
/// milliseconds. A machine that is restarted is back by then.
const WAIT_MS: i64 = 3 * 60 * 1000;

/// Age of the last claim of a machine from which on it is not there, in milliseconds. An idle one
/// claims once a minute at least.
const ABSENT_MS: i64 = 2 * 60 * 1000;

/// Most characters of a reason.
const MAX_CHARS: usize = 200;

/// Returns the conditions that are there now, with a description of each.
pub(super) async fn conditions(
    conn: &mut Conn,
    app: &App,
) -> Result<BTreeMap<Key, String>, StoreError> {
    let now_ms = app.clock.wall_ms();
    let machines = list_runners(app, conn).await?;
    let told = machines.iter().flat_map(|machine| {
        [rolled_back(machine), lost(machine), unhealthy(machine)].into_iter().flatten()
    });
    let mut found: BTreeMap<Key, String> = told.collect();
    for token in tokens::expiring(conn, expiry::horizon_ms(now_ms)).await? {
        found.extend(expiry::token_alerts(&token, now_ms));
    }
    for line in loads::waiting_lines(conn).await? {
        if now_ms - line.oldest_ms < WAIT_MS || line.active_tasks > 0 {
            continue;
        }
        if line.last_claim_ms.is_some_and(|last_ms| now_ms - last_ms < ABSENT_MS) {
            continue;
        }
        let waited = std::time::Duration::from_millis(
            u64::try_from(now_ms - line.oldest_ms).unwrap_or_default(),
        );
        let detail = format!(
            "no machine of {} asks for tasks: {} wait, the oldest for {}.",
            line.class,
            line.tasks,
            format_duration(waited)
        );
        found.insert((AlertKind::ClassWithoutMachines, line.class), detail);
    }
    Ok(found)
}

/// Returns the alert of a machine that took an update back.
fn rolled_back(machine: &RunnerItem) -> Option<(Key, String)> {
    let Some(Update::RolledBack { version, why }) = &machine.update else { return None };
    let subject = subject_of(machine);
    let why = one_line_within(why, MAX_CHARS);
    let detail = format!("{subject} took version {version} back: {why}");
    Some(((AlertKind::UpdateRolledBack, subject), detail))
}

/// Returns the alert of a machine that went silent without a word. One whose agent says nothing of its
/// machine cannot say goodbye either, so its silence means nothing.
fn lost(machine: &RunnerItem) -> Option<(Key, String)> {
    if machine.state != MachineState::Lost || machine.machine.is_none() {
        return None;
    }
    let subject = subject_of(machine);
    let detail = format!("{subject} is lost, last seen {}", machine.last_connected);
    Some(((AlertKind::MachineLost, subject), detail))
}

/// Returns the alert of a machine that found something wrong with itself.
fn unhealthy(machine: &RunnerItem) -> Option<(Key, String)> {
    if machine.state != MachineState::Unhealthy {
        return None;
    }
    let subject = subject_of(machine);
    let why = one_line_within(machine.reason.as_deref().unwrap_or_default(), MAX_CHARS);
    let detail = format!("{subject} takes no tasks: {why}");
    Some(((AlertKind::MachineUnhealthy, subject), detail))
}

/// Returns the name of a machine with its class.
fn subject_of(machine: &RunnerItem) -> String {
    format!("{}/{}", machine.resource_class, machine.name)
}
