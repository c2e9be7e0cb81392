//! Looks at the farm for conditions that people hear of.

use std::collections::BTreeMap;

use russet_protocol::admin::RunnerItem;
use russet_protocol::alerts::AlertKind;
use russet_protocol::local::Update;
use russet_text::{format_duration, one_line_within};

use super::decide::Key;
use crate::state::App;
use crate::store::{Conn, StoreError, loads, runners};

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
    let machines = runners::list(conn, now_ms).await?;
    let mut found: BTreeMap<Key, String> =
        machines.iter().filter_map(|row| rolled_back(&row.item)).collect();
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
    let subject = format!("{}/{}", machine.resource_class, machine.name);
    let why = one_line_within(why, MAX_CHARS);
    let detail = format!("{subject} took version {version} back: {why}");
    Some(((AlertKind::UpdateRolledBack, subject), detail))
}
