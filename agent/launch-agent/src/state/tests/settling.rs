//! Settling that fails, slots that cannot be cleaned, and how both are shown.

use std::time::Duration;

use russet_protocol::outcome::Outcome;

use super::{Bench, failure, not_cleaned, not_settled, on, settings};
use crate::state::Action;
use crate::state::slot::{Action as Do, Exit, Input as Got, Settlement, SlotView, Unsettled};

const HOUR: Duration = Duration::from_secs(3600);

fn helper_failed() -> Got {
    Got::NotSettled(Unsettled::HelperFailed("permission denied".to_owned()))
}

/// A slot whose task died and is being reported.
fn settling() -> Bench {
    let mut bench = Bench::running(settings(1));
    let actions = bench.slot(Got::Exited(Exit::Died("signal 9".to_owned())));
    assert!(matches!(actions[..], [Action::Slot(0, Do::Settle(Settlement::Report(_)))]));
    bench
}

fn reported_by_hand(message: &str) -> Vec<Action> {
    vec![on(Do::Settle(Settlement::Fail(failure(Outcome::InfrastructureFail, message))))]
}

#[test]
fn a_helper_that_fails_three_times_is_not_asked_again_and_the_task_fails_by_name() {
    let mut bench = settling();
    for pause in [2, 4] {
        assert_eq!(bench.slot(helper_failed()), []);
        let actions = bench.wait(Duration::from_secs(pause));
        assert!(matches!(actions[..], [Action::Slot(0, Do::Settle(Settlement::Report(_)))]));
    }
    let message = "signal 9; the rest of its output could not be sent: permission denied";
    assert_eq!(bench.slot(helper_failed()), reported_by_hand(message));
    // The launch agent's own call waits for the control plane, and then the slot is cleaned.
    assert_eq!(bench.slot(not_settled()), []);
    assert_eq!(bench.wait(Duration::from_secs(2)), reported_by_hand(message));
    assert_eq!(bench.slot(Got::Settled), [on(Do::Clean)]);
}

#[test]
fn a_control_plane_that_was_away_before_costs_the_helper_none_of_its_attempts() {
    let mut bench = settling();
    for _ in 0..10 {
        assert_eq!(bench.slot(not_settled()), []);
        bench.wait(Duration::from_secs(60));
    }
    assert_eq!(bench.slot(helper_failed()), []);
}

#[test]
fn a_helper_that_hangs_is_not_started_again_and_the_verdict_is_told() {
    let mut bench = Bench::running(settings(1));
    bench.slot(Got::CancelAsked("by a person".to_owned()));
    bench.slot(Got::Exited(Exit::Died("signal 9".to_owned())));
    let stuck = Got::NotSettled(Unsettled::HelperStuck("it took too long".to_owned()));
    let message =
        "canceled: by a person; the rest of its output could not be sent: it took too long";
    assert_eq!(bench.slot(stuck), reported_by_hand(message));
}

#[test]
fn a_control_plane_that_never_answers_does_not_keep_a_slot_for_ever() {
    let mut bench = settling();
    let (mut waited, mut by_hand) = (Duration::ZERO, false);
    loop {
        let actions = bench.slot(not_settled());
        if let Some(Action::Slot(0, Do::GiveUp(reason))) = actions.first() {
            assert_eq!(reason, "connection refused");
            assert_eq!(actions.last(), Some(&on(Do::Clean)));
            break;
        }
        by_hand |= matches!(actions[..], [Action::Slot(0, Do::Settle(Settlement::Fail(_)))]);
        if actions.is_empty() {
            bench.wait(HOUR);
            waited += HOUR;
        }
        assert!(waited < 50 * HOUR, "it goes on for ever");
    }
    assert!(by_hand && waited > 40 * HOUR, "{by_hand} {waited:?}");
}

#[test]
fn a_slot_is_free_only_when_it_is_clean_and_empty() {
    let (mut bench, _) = Bench::new(settings(1));
    assert_eq!(bench.view(), SlotView::Cleaning);
    bench.slot(Got::Cleaned { quick: false });
    assert_eq!(bench.view(), SlotView::Free);
    bench.slot(Got::Claimed { refused: None });
    assert_eq!(bench.view(), SlotView::Busy { ending: None });
    bench.slot(Got::Started { deadline: super::START.after(HOUR) });
    bench.slot(Got::Exited(Exit::Died("signal 9".to_owned())));
    assert_eq!(bench.view(), SlotView::Settling { trouble: None });
    bench.slot(not_settled());
    let trouble = Some("connection refused".to_owned());
    assert_eq!(bench.view(), SlotView::Settling { trouble: trouble.clone() });
    bench.wait(Duration::from_secs(2));
    assert_eq!(bench.view(), SlotView::Settling { trouble });
    bench.slot(Got::Settled);
    assert_eq!(bench.view(), SlotView::Cleaning);
    // It stays held while the next attempt is under way.
    let held = SlotView::Held("could not empty /s/1/spool".to_owned());
    bench.slot(not_cleaned());
    assert_eq!(bench.view(), held);
    assert_eq!(bench.wait(Duration::from_secs(2)), [on(Do::Clean)]);
    assert_eq!(bench.view(), held);
    bench.slot(Got::Cleaned { quick: false });
    assert_eq!(bench.view(), SlotView::Free);
}
