//! Times at which a version makes way for another one.

use super::{Action, Bench, Do, End, Exit, Got, HoldSource, Input, hold, on, settings};
use crate::requests::UpdateMode;

/// A version lies ready, or does not any more.
fn offered(mode: Option<UpdateMode>) -> Input {
    Input::Update(mode)
}

const WHEN_IDLE: Option<UpdateMode> = Some(UpdateMode::WhenIdle);
const DRAIN: Option<UpdateMode> = Some(UpdateMode::Drain);

/// A machine with one slot, which claims.
fn idle() -> Bench {
    let (mut bench, _) = Bench::new(settings(1));
    assert_eq!(bench.slot(Got::Cleaned { quick: false }), [on(Do::Claim)]);
    bench
}

#[test]
fn an_idle_agent_drops_its_claim_and_makes_way() {
    let mut bench = idle();
    assert_eq!(bench.send(offered(WHEN_IDLE)), [on(Do::DropClaim)]);
    assert_eq!(bench.slot(Got::ClaimDropped), [Action::Exit(End::Updated)]);
}

#[test]
fn a_busy_agent_makes_way_when_its_task_has_ended_and_claims_nothing_in_between() {
    for mode in [WHEN_IDLE, DRAIN] {
        let mut bench = Bench::running(settings(1));
        assert_eq!(bench.send(offered(mode)), []);
        assert_eq!(bench.slot(Got::Exited(Exit::Reported)), [on(Do::Clean)]);
        let actions = bench.slot(Got::Cleaned { quick: true });
        assert_eq!(actions, [Action::Exit(End::Updated)], "{mode:?}");
    }
}

#[test]
fn a_task_that_comes_with_a_claim_on_its_way_is_run_before_the_update() {
    let mut bench = idle();
    bench.send(offered(WHEN_IDLE));
    assert_eq!(bench.slot(Got::Claimed { refused: None }), [on(Do::Start)]);
    bench.slot(Got::Started { deadline: super::START });
    assert_eq!(bench.slot(Got::Exited(Exit::Reported)), [on(Do::Clean)]);
    assert_eq!(bench.slot(Got::Cleaned { quick: true }), [Action::Exit(End::Updated)]);
}

#[test]
fn one_that_comes_in_the_window_or_while_claims_are_held_is_given_back() {
    let starts = |bench: &mut Bench| {
        let actions = bench.slot(Got::Claimed { refused: None });
        actions.contains(&on(Do::Start))
    };
    let mut bench = idle();
    bench.send(offered(DRAIN));
    assert!(!starts(&mut bench));
    let mut bench = idle();
    bench.send(offered(WHEN_IDLE));
    bench.send(hold(HoldSource::Pause, Some("lunch")));
    assert!(!starts(&mut bench));
}

#[test]
fn a_version_that_is_withdrawn_before_the_last_task_ended_is_not_made_way_for() {
    let mut bench = Bench::running(settings(1));
    bench.send(offered(DRAIN));
    assert!(bench.machine.view(|_| String::new()).is_updating);
    bench.send(offered(None));
    assert!(!bench.machine.view(|_| String::new()).is_updating);
    let actions = bench.slot(Got::Exited(Exit::Reported));
    assert!(!actions.contains(&Action::Exit(End::Updated)));
    assert!(actions.contains(&on(Do::Clean)));
    assert_eq!(bench.slot(Got::Cleaned { quick: true }), [on(Do::Claim)]);
}
