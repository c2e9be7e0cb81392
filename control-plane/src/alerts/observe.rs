//! Looks at the farm for conditions that people hear of. It goes by the states of the machines, as
//! lists and pages do.

use std::collections::{BTreeMap, BTreeSet};

use russet_protocol::admin::RunnerItem;
use russet_protocol::alerts::AlertKind;
use russet_protocol::local::Update;
use russet_protocol::machine::MachineState;
use russet_text::{format_duration, one_line_within};

use super::certificate::certificate_alerts;
use super::decide::Key;
use super::expiry;
use crate::runner_items::{JudgedRunner, judge_runners};
use crate::state::App;
use crate::store::{Conn, StoreError, loads, tokens};

/// Time for which the oldest task of a class has to wait before the lack of machines is told, in
/// milliseconds.
const WAIT_MS: i64 = 3 * 60 * 1000;

/// Silence of a machine that is away from which on its class has to do without it, in milliseconds.
/// One that is restarted is back by then.
const ABSENT_MS: i64 = 2 * 60 * 1000;

/// Most characters of a reason.
const MAX_CHARS: usize = 200;

/// Returns the conditions that are there now, with a description of each. The number of statements does
/// not depend on how many machines and classes there are.
pub(super) async fn conditions(
    conn: &mut Conn,
    app: &App,
) -> Result<BTreeMap<Key, String>, StoreError> {
    let now_ms = app.clock.wall_ms();
    let machines = judge_runners(app, conn).await?;
    let items = machines.iter().map(|machine| &machine.item);
    let told = items.flat_map(|machine| {
        [rolled_back(machine), lost(machine), unhealthy(machine)].into_iter().flatten()
    });
    let mut found: BTreeMap<Key, String> = told.collect();
    for token in tokens::expiring(conn, expiry::horizon_ms(now_ms)).await? {
        found.extend(expiry::token_alerts(&token, now_ms));
    }
    if let Some(tls) = &app.tls {
        found.extend(certificate_alerts(&tls.standing(), &app.server.place, now_ms));
    }
    let present = machines.iter().filter(|machine| is_present(machine, now_ms));
    let classes: BTreeSet<&str> =
        present.map(|machine| machine.item.resource_class.as_str()).collect();
    for line in loads::waiting_lines(conn).await? {
        if classes.contains(&*line.class) || now_ms - line.oldest_ms < WAIT_MS {
            continue;
        }
        let waited = std::time::Duration::from_millis(
            u64::try_from(now_ms - line.oldest_ms).unwrap_or_default(),
        );
        let detail = format!(
            "no machine of {} is there: {} wait, the oldest for {}.",
            line.class,
            line.tasks,
            format_duration(waited)
        );
        found.insert((AlertKind::ClassWithoutMachines, line.class), detail);
    }
    Ok(found)
}

/// Returns true for a machine that is there, or was a moment ago, and for one of which a server that
/// has just started does not know yet.
fn is_present(machine: &JudgedRunner, now_ms: i64) -> bool {
    let state = machine.item.state;
    !state.is_away() || state == MachineState::Unknown || now_ms - machine.last_ms < ABSENT_MS
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
