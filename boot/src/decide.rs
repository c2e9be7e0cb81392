//! Decision after an end of the agent: a pure function of the end and of known facts.

use std::time::Duration;

use crate::child::Ended;
use crate::files::{Fault, Health};
use crate::table::{Action, AgentExit, CRASH, Verdict};

/// No pause is longer than this.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// So many strikes, and a version in probation is bad.
pub(crate) const STRIKES: u32 = 3;

/// Facts that a decision rests on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    /// The version has to prove itself, and has not.
    pub(crate) probation: bool,
    /// Progress that it reported.
    pub(crate) health: Option<Health>,
    /// Set if it ran for a while.
    pub(crate) lasted: bool,
    /// Strikes before this end.
    pub(crate) strikes: u32,
    /// Number of quick ends in a row, this one included.
    pub(crate) soon: u32,
}

/// Next action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is started again after the pause.
    Start(Duration),
    /// The previous version takes its place.
    GoBack(Fault),
    /// Nothing, until somebody starts the service again.
    Stay,
}

/// Decides. The number is that of the strikes from now on.
pub(crate) fn decide(ended: &Ended, facts: &Facts) -> (Next, u32) {
    let (action, verdict) = match ended {
        Ended::NotStarted(_) => return (Next::GoBack(Fault::Broken), facts.strikes),
        Ended::TooLate(Some(_)) => return (Next::GoBack(Fault::Unreached), facts.strikes),
        Ended::TooLate(None) => return (Next::GoBack(Fault::Hung), facts.strikes),
        Ended::NoRoom(_) => (Action::Restart, Verdict::Nothing),
        Ended::Signal(_) => CRASH,
        Ended::Exit(code) => match AgentExit::from_code(*code) {
            // Whatever exits with 0 at once has not done what its owner wanted.
            Some(AgentExit::Ended) if facts.health.is_none() && !facts.lasted => CRASH,
            Some(exit) => (exit.action(), exit.verdict()),
            None => CRASH,
        },
    };
    let strikes = facts.strikes.saturating_add(u32::from(verdict == Verdict::Strike));
    if facts.probation && verdict == Verdict::Bad {
        return (Next::GoBack(Fault::Refused), strikes);
    }
    if facts.probation && strikes >= STRIKES {
        return (Next::GoBack(Fault::Crashed), strikes);
    }
    let next = match action {
        // Asked for by its owner, but nobody asks a version that has not proved itself.
        Action::Stay if facts.probation => Next::Start(growing_pause(facts.soon)),
        Action::Stay => Next::Stay,
        Action::StartNow if facts.soon <= 1 => Next::Start(Duration::ZERO),
        Action::StartNow | Action::Restart => Next::Start(growing_pause(facts.soon)),
        Action::Retry(seconds) => Next::Start(Duration::from_secs(seconds.into())),
    };
    (next, strikes)
}

/// Counts the quick ends in a row, this one included; `facts.soon` is the number before.
///
/// One that had proved itself and asks to be started at once did what it was for, however quickly:
/// updates that follow one another are not slowed down. One that never proves itself is, whatever
/// it asks for.
pub(crate) fn soon(ended: &Ended, facts: &Facts) -> u32 {
    let exit = match ended {
        Ended::Exit(code) => AgentExit::from_code(*code),
        _ => None,
    };
    let asks = exit.is_some_and(|exit| exit.action() == Action::StartNow);
    if facts.lasted || (asks && facts.health == Some(Health::Proved)) {
        return 0;
    }
    facts.soon.saturating_add(1)
}

/// 1 s, 2 s, 4 s, … [`LONGEST_PAUSE`].
fn growing_pause(soon: u32) -> Duration {
    let seconds = 1_u64.checked_shl(soon.saturating_sub(1).min(32)).unwrap_or(u64::MAX);
    Duration::from_secs(seconds).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::{Facts, Next, decide, soon};
    use crate::child::Ended;
    use crate::files::{Fault, Health};
    use crate::table::AgentExit;
    use std::time::Duration;

    fn exit(exit: AgentExit) -> Ended {
        Ended::Exit(i32::from(exit.code()))
    }

    fn start(seconds: u64) -> Next {
        Next::Start(Duration::from_secs(seconds))
    }

    /// A version that is settled and ran for a while.
    const SETTLED: Facts =
        Facts { probation: false, health: Some(Health::Proved), lasted: true, strikes: 0, soon: 0 };

    /// A new one that ended soon.
    const NEW: Facts = Facts { probation: true, health: None, lasted: false, strikes: 0, soon: 1 };

    #[test]
    fn a_settled_version_is_treated_as_its_exit_asks_and_never_taken_back() {
        let next = |ended: &Ended| decide(ended, &SETTLED).0;
        assert_eq!(next(&exit(AgentExit::Ended)), Next::Stay);
        assert_eq!(next(&exit(AgentExit::Left)), start(0));
        assert_eq!(next(&exit(AgentExit::Updated)), start(0));
        assert_eq!(next(&exit(AgentExit::BadConfig)), start(60));
        assert_eq!(next(&exit(AgentExit::StateInUse)), start(10));
        assert_eq!(next(&exit(AgentExit::Failed)), start(1));
        assert_eq!(next(&Ended::Signal(9)), start(1));
        assert_eq!(next(&Ended::Exit(101)), start(1));
        for strikes in 0..10 {
            let facts = Facts { strikes, soon: strikes, lasted: false, ..SETTLED };
            assert!(matches!(decide(&Ended::Signal(11), &facts).0, Next::Start(_)));
        }
    }

    #[test]
    fn pauses_grow_to_a_minute_also_for_one_that_asks_to_be_started_now() {
        let pause =
            |ended: &Ended, soon: u32| decide(ended, &Facts { soon, lasted: false, ..SETTLED }).0;
        let crash = Ended::Signal(6);
        let pauses: Vec<Next> = [1, 2, 3, 7, 40, u32::MAX].map(|n| pause(&crash, n)).into();
        assert_eq!(pauses, [start(1), start(2), start(4), start(60), start(60), start(60)]);
        assert_eq!(pause(&exit(AgentExit::Updated), 1), start(0));
        assert_eq!(pause(&exit(AgentExit::Updated), 3), start(4));
    }

    #[test]
    fn only_one_that_had_proved_itself_and_asks_to_be_started_ends_the_row_of_soon_ends() {
        let quick = |health, soon| Facts { health, soon, lasted: false, ..SETTLED };
        let proved = quick(Some(Health::Proved), 6);
        for asks in [AgentExit::Updated, AgentExit::Left] {
            assert_eq!(soon(&exit(asks), &proved), 0);
            for health in [None, Some(Health::Ready)] {
                assert_eq!(soon(&exit(asks), &quick(health, 6)), 7, "{health:?}");
            }
        }
        for ended in [exit(AgentExit::Failed), exit(AgentExit::Ended), Ended::Signal(9)] {
            assert_eq!(soon(&ended, &proved), 7, "{ended}");
            assert_eq!(soon(&ended, &Facts { lasted: true, ..proved }), 0, "{ended}");
        }
        assert_eq!(soon(&Ended::Signal(9), &quick(None, u32::MAX)), u32::MAX);
    }

    #[test]
    fn a_new_version_is_taken_back_at_its_third_crash_and_at_once_if_it_refuses() {
        for ended in [Ended::Signal(11), Ended::Exit(101), Ended::Exit(0), Ended::Exit(5)] {
            assert_eq!(decide(&ended, &NEW), (start(1), 1), "{ended}");
            let third = Facts { strikes: 2, ..NEW };
            assert_eq!(decide(&ended, &third), (Next::GoBack(Fault::Crashed), 3), "{ended}");
        }
        for refusal in [AgentExit::Usage, AgentExit::BadConfig] {
            assert_eq!(decide(&exit(refusal), &NEW).0, Next::GoBack(Fault::Refused));
        }
        let third = Facts { strikes: 2, ..NEW };
        assert_eq!(decide(&exit(AgentExit::StateInUse), &third), (start(10), 2));
        assert_eq!(decide(&exit(AgentExit::Left), &third), (start(0), 2));
    }

    #[test]
    fn what_can_not_be_started_or_does_not_prove_itself_is_taken_back() {
        let broken = Ended::NotStarted("it is gone".to_owned());
        assert_eq!(decide(&broken, &SETTLED).0, Next::GoBack(Fault::Broken));
        assert_eq!(decide(&Ended::TooLate(None), &NEW).0, Next::GoBack(Fault::Hung));
        let no_room = Ended::NoRoom("out of memory".to_owned());
        assert_eq!(decide(&no_room, &Facts { strikes: 2, ..NEW }), (start(1), 2));
        let ready = Ended::TooLate(Some(Health::Ready));
        assert_eq!(decide(&ready, &NEW).0, Next::GoBack(Fault::Unreached));
    }

    #[test]
    fn exiting_with_0_means_staying_down_only_for_one_that_was_up() {
        let ended = exit(AgentExit::Ended);
        let never_up = Facts { health: None, lasted: false, soon: 1, ..SETTLED };
        assert_eq!(decide(&ended, &never_up), (start(1), 1));
        let quick = Facts { health: Some(Health::Ready), ..never_up };
        assert_eq!(decide(&ended, &quick).0, Next::Stay);
    }
}
