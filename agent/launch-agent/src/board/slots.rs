//! Slots as people see them: their states, and what is said of those that cannot be used.

use russet_protocol::local::{HealthCheck, HealthLevel, Slot, SlotState};
use russet_protocol::runner::HeldSlot;

use crate::state::slot::SlotView;

/// Name of the finding about slots.
const SUBJECT: &str = "slots";

/// Longest reason that is shown, in characters: it may quote what a job calls its files.
const MAX_REASON_CHARS: usize = 400;

/// Returns the state of a slot, and the reason of one that is not usable.
pub(super) fn shown_state(view: &SlotView) -> (SlotState, Option<String>) {
    let short = |text: &str| russet_text::one_line_within(text, MAX_REASON_CHARS);
    match view {
        SlotView::Free => (SlotState::Free, None),
        SlotView::Busy { .. } => (SlotState::Busy, None),
        SlotView::Settling { trouble } => (SlotState::Settling, trouble.as_deref().map(short)),
        SlotView::Cleaning => (SlotState::Cleaning, None),
        SlotView::Held(reason) => (SlotState::Held, Some(short(reason))),
    }
}

/// Returns the finding about slots that cannot be used, if there are any. The reason of each stands
/// with the slot, where only those see it who may know what a job calls its files.
pub(super) fn check_slots(slots: &[Slot]) -> Option<HealthCheck> {
    let stuck: Vec<&Slot> = slots.iter().filter(|slot| slot.reason.is_some()).collect();
    if stuck.is_empty() {
        return None;
    }
    let words: Vec<String> = stuck.iter().map(|slot| describe_stuck(slot)).collect();
    Some(HealthCheck {
        name: SUBJECT.to_owned(),
        level: if stuck.len() == slots.len() { HealthLevel::Bad } else { HealthLevel::Warning },
        found: words.join("; "),
        hint: Some("`russet agent status` names the reason; it is tried again".to_owned()),
    })
}

/// Returns the reason why no task can be taken, where every slot could not be cleaned.
pub(super) fn describe_total_loss(slots: &[Slot]) -> Option<String> {
    let is_held = |slot: &Slot| slot.state == SlotState::Held;
    let are_all = !slots.is_empty() && slots.iter().all(is_held);
    are_all.then(|| slots.iter().map(describe_stuck).collect::<Vec<_>>().join("; "))
}

/// Returns the slots of a class that cannot be used. `classes` has the class of each slot.
pub(super) fn held_slots(slots: &[Slot], classes: &[Option<usize>], class: usize) -> Vec<HeldSlot> {
    let of_class = slots.iter().zip(classes).filter(|(_, of)| **of == Some(class));
    let stuck = of_class.filter_map(|(slot, _)| {
        let reason = slot.reason.as_deref()?;
        Some(HeldSlot {
            number: slot.number,
            reason: format!("{}: {reason}", describe_state(slot)),
        })
    });
    stuck.collect()
}

fn describe_stuck(slot: &Slot) -> String {
    format!("slot {} {}", slot.number, describe_state(slot))
}

fn describe_state(slot: &Slot) -> &'static str {
    match slot.state {
        SlotState::Settling => "cannot tell the control plane how its task ended",
        _ => "could not be cleaned and takes no task",
    }
}

#[cfg(test)]
mod tests {
    use crate::board::Board;
    use crate::state::View;
    use crate::state::slot::SlotView;
    use russet_protocol::local::{HealthLevel, SlotState, State};

    fn show(slots: &[SlotView]) -> Board {
        let board = Board::default();
        board.view(View { is_ready: true, slots: slots.to_vec(), ..View::default() }, 1);
        board
    }

    #[test]
    fn a_slot_that_cannot_be_used_is_a_finding_and_one_of_several_stops_nothing() {
        let held = SlotView::Held("could not empty /s/1/spool: EBUSY".to_owned());
        let status = show(&[held.clone(), SlotView::Free]).status();
        assert_eq!(status.state, State::Idle);
        let states: Vec<SlotState> = status.slots.iter().map(|slot| slot.state).collect();
        assert_eq!(states, [SlotState::Held, SlotState::Free]);
        assert_eq!(status.slots[0].reason.as_deref(), Some("could not empty /s/1/spool: EBUSY"));
        let check = status.health.last().unwrap();
        assert_eq!((check.name.as_str(), check.level), ("slots", HealthLevel::Warning));
        assert_eq!(check.found, "slot 1 could not be cleaned and takes no task");

        let status = show(&[held]).status();
        assert_eq!((status.state, status.health[0].level), (State::Unhealthy, HealthLevel::Bad));
        assert_eq!(status.reason.as_deref(), Some("slot 1 could not be cleaned and takes no task"));
    }

    #[test]
    fn the_slots_of_a_class_that_cannot_be_used_are_told_with_the_reason() {
        let held = SlotView::Held("EBUSY".to_owned());
        let board = show(&[SlotView::Free, held.clone(), held]);
        board.slots(vec!["a".to_owned(), "b".to_owned()], vec![Some(0), Some(1), None], 1);
        assert_eq!(board.held_slots(0), []);
        let told = board.held_slots(1);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].number, 2);
        assert_eq!(told[0].reason, "could not be cleaned and takes no task: EBUSY");
    }

    #[test]
    fn a_slot_that_settles_is_not_free_and_its_trouble_is_told() {
        let board = show(&[SlotView::Settling { trouble: None }]);
        assert_eq!(board.status().slots[0].state, SlotState::Settling);
        assert_eq!(board.status().health, []);
        board.health(Vec::new());
        let trouble = Some("connection refused".to_owned());
        let board = show(&[SlotView::Settling { trouble }, SlotView::Cleaning]);
        board.health(Vec::new());
        let status = board.status();
        assert_eq!(status.slots[0].reason.as_deref(), Some("connection refused"));
        assert_eq!(status.slots[1].state, SlotState::Cleaning);
        assert_eq!(status.health[0].level, HealthLevel::Warning);
    }
}
