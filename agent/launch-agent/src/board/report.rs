//! The board as the control plane is told of it. Pure.

use russet_protocol::local::{HealthCheck, HealthLevel, Hold};
use russet_protocol::machine::{MachineReport, MachineSlot};

use super::model::Model;

/// The most characters of a reason that the control plane is told.
const MAX_REASON_CHARS: usize = 400;

/// The most findings, and the most holds, that it is told.
const MAX_TOLD: usize = 16;

/// Returns the report about the machine for a class: its own slots and holds, and those of all.
pub(super) fn report_of(model: &Model, class: usize, label: &str) -> MachineReport {
    let short = |text: &str| russet_text::one_line_within(text, MAX_REASON_CHARS);
    let status = &model.status;
    let of_class = status.slots.iter().zip(&model.slots).filter(|(_, of)| **of == Some(class));
    let slots = of_class.map(|(slot, _)| MachineSlot {
        number: slot.number,
        state: slot.state,
        job: slot.task.as_ref().and_then(|task| task.job.clone()),
    });
    let holds =
        status.holds.iter().filter(|hold| hold.class.as_deref().is_none_or(|of| of == label));
    let holds = holds.map(|hold| Hold { reason: short(&hold.reason), ..hold.clone() });
    let is_finding =
        |check: &&HealthCheck| matches!(check.level, HealthLevel::Bad | HealthLevel::Warning);
    let findings = status.health.iter().filter(is_finding).map(|check| HealthCheck {
        found: short(&check.found),
        hint: check.hint.as_deref().map(short),
        ..check.clone()
    });
    let lifted = model.lifted.iter().filter(|(of, _)| of == label).map(|(_, id)| id.clone());
    MachineReport {
        state: status.state,
        reason: status.reason.as_deref().map(short),
        slots: slots.collect(),
        holds: holds.take(MAX_TOLD).collect(),
        findings: findings.take(MAX_TOLD).collect(),
        lifted: lifted.take(MAX_TOLD).collect(),
        ..MachineReport::default()
    }
}
