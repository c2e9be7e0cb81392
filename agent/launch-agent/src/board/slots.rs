//! Slots as people see them: their states, and what is said of those that cannot be used.

use russet_protocol::local::{HealthCheck, HealthLevel, Slot, SlotState};
use russet_protocol::runner::HeldSlot;

use crate::state::slot::SlotView;

/// Name of the finding about slots.
const SUBJECT: &str = "slots";

/// Name of the finding about directories that are kept aside.
const ASIDE_SUBJECT: &str = "kept aside";

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

/// Returns the finding about directories that are kept aside, if there are any.
pub(super) fn check_aside(slots: &[Slot]) -> Option<HealthCheck> {
    let words: Vec<String> = slots.iter().filter_map(describe_aside).collect();
    (!words.is_empty()).then(|| {
        HealthCheck {
        name: ASIDE_SUBJECT.to_owned(),
        level: HealthLevel::Warning,
        found: words.join("; "),
        hint: Some(
            "it is tried again; operating.md, \"Directories that are kept aside\", says how to help"
                .to_owned(),
        ),
    }
    })
}

fn describe_aside(slot: &Slot) -> Option<String> {
    let aside = slot.aside.as_ref()?;
    let directories = match aside.directories {
        1 => "a directory".to_owned(),
        count => format!("{count} directories"),
    };
    Some(format!(
        "slot {}: the system refuses to delete {directories} of earlier tasks ({})",
        slot.number,
        russet_text::format_size(aside.bytes)
    ))
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
    use russet_protocol::local::{Aside, HealthLevel, SlotState, State};

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
    fn what_is_kept_aside_is_a_warning_that_holds_nothing_until_it_is_gone() {
        let board = show(&[SlotView::Free, SlotView::Free]);
        let aside = |directories, bytes| {
            Some(Aside {
                directories,
                bytes,
                since_ms: 4,
                path: Some("/s/slots/2/aside".to_owned()),
            })
        };
        board.aside(2, aside(1, 12_000_000), 4);
        board.aside(1, aside(2, 0), 4);
        let status = board.status();
        assert_eq!((status.state, &status.slots[1].aside), (State::Idle, &aside(1, 12_000_000)));
        let check = &status.health[0];
        assert_eq!((check.name.as_str(), check.level), ("kept aside", HealthLevel::Warning));
        assert_eq!(
            check.found,
            "slot 1: the system refuses to delete 2 directories of earlier tasks (0 B); slot 2: the \
             system refuses to delete a directory of earlier tasks (12 MB)"
        );
        board.aside(1, None, 5);
        board.aside(2, None, 5);
        assert_eq!(board.status().health, []);
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
