//! Reaction to an end of the agent, whatever version it is: pure functions of the end.

use std::time::Duration;

use crate::ended::{End, Ended};
use crate::table::{Action, AgentExit, CRASH, Verdict};

/// Longest pause between two starts.
pub(crate) const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Time after which an end does not count as a quick one.
const QUICK_TIME: Duration = Duration::from_secs(10);

/// Returns what an end asks for, and what it means for a version in probation.
pub(crate) fn judge_end(end: &End) -> (Action, Verdict) {
    match end.ended {
        Ended::Untrusted(_) | Ended::Unexecutable(_) | Ended::TooLate => {
            (Action::Restart, Verdict::Bad)
        }
        Ended::NoRoom(_) => (Action::Restart, Verdict::Nothing),
        Ended::Signal(_) => CRASH,
        Ended::Exit(code) => match AgentExit::from_code(code) {
            // A version that ends and does not say why has not done what its owner wanted.
            Some(AgentExit::Ended) if !end.is_asked => CRASH,
            Some(exit) => (exit.action(), exit.verdict()),
            None => CRASH,
        },
    }
}

/// Returns the pause before the next start. `None`: there is none.
pub(crate) fn pause_before(action: Action, quick_ends: u32) -> Option<Duration> {
    match action {
        Action::Stay => None,
        Action::StartNow if quick_ends <= 1 => Some(Duration::ZERO),
        Action::StartNow | Action::Restart => Some(growing_pause(quick_ends)),
        Action::Retry(seconds) => Some(Duration::from_secs(seconds.into())),
    }
}

/// Counts the quick ends in a row, this one included.
///
/// One that had proved itself and asks to be started at once did what it was for, however quickly:
/// updates that follow one another are not slowed down. One that never proves itself is, whatever
/// it asks for.
pub(crate) fn quick_ends(end: &End, before: u32) -> u32 {
    let asks = judge_end(end).0 == Action::StartNow;
    if end.ran >= QUICK_TIME || (asks && end.is_proved()) {
        return 0;
    }
    before.saturating_add(1)
}

/// 1 s, 2 s, 4 s, … [`MAX_PAUSE`].
pub(crate) fn growing_pause(quick_ends: u32) -> Duration {
    let seconds = 1_u64.checked_shl(quick_ends.saturating_sub(1).min(32)).unwrap_or(u64::MAX);
    Duration::from_secs(seconds).min(MAX_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::{growing_pause, judge_end, pause_before, quick_ends};
    use crate::ended::{End, Ended};
    use crate::files::Health;
    use crate::table::{Action, AgentExit, CRASH};
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(10);

    fn exit(exit: AgentExit) -> End {
        End::new(Ended::Exit(i32::from(exit.code())))
    }

    /// Pause after an end that is the last of so many quick ones.
    fn pause(end: &End, quick: u32) -> Option<u64> {
        pause_before(judge_end(end).0, quick).map(|pause| pause.as_secs())
    }

    #[test]
    fn each_exit_has_its_pause_and_those_of_crashes_grow_to_a_minute() {
        assert_eq!(pause(&exit(AgentExit::BadConfig), 1), Some(60));
        assert_eq!(pause(&exit(AgentExit::StateInUse), 1), Some(10));
        assert_eq!(pause(&exit(AgentExit::Failed), 0), Some(1));
        let pauses = [1, 2, 3, 7, 40, u32::MAX].map(|quick| growing_pause(quick).as_secs());
        assert_eq!(pauses, [1, 2, 4, 60, 60, 60]);
        for asks in [AgentExit::Updated, AgentExit::Left] {
            assert_eq!(pause(&exit(asks), 1), Some(0));
            assert_eq!(pause(&exit(asks), 3), Some(4));
        }
    }

    #[test]
    fn only_an_agent_that_noted_it_was_asked_stays_down_after_exiting_with_0() {
        let asked = End { is_asked: true, ..exit(AgentExit::Ended) };
        assert_eq!(judge_end(&asked).0, Action::Stay);
        assert_eq!(pause(&asked, 1), None);
        for health in [None, Some(Health::Proved)] {
            let unasked = End { health, ran: LONG, ..exit(AgentExit::Ended) };
            assert_eq!(judge_end(&unasked), CRASH);
            assert_eq!(pause(&unasked, 0), Some(1));
        }
        assert_eq!(judge_end(&End { is_asked: true, ..End::new(Ended::Exit(1)) }), CRASH);
    }

    #[test]
    fn only_one_that_had_proved_itself_and_asks_to_be_started_ends_the_row_of_quick_ends() {
        let proved = |end: End| End { health: Some(Health::Proved), ..end };
        for asks in [AgentExit::Updated, AgentExit::Left] {
            assert_eq!(quick_ends(&proved(exit(asks)), 6), 0);
            for health in [None, Some(Health::Ready)] {
                assert_eq!(quick_ends(&End { health, ..exit(asks) }, 6), 7, "{health:?}");
            }
        }
        for end in [exit(AgentExit::Failed), exit(AgentExit::Ended), End::new(Ended::Signal(9))] {
            assert_eq!(quick_ends(&proved(end.clone()), 6), 7, "{end}");
            assert_eq!(quick_ends(&End { ran: LONG, ..end.clone() }, 6), 0, "{end}");
        }
        assert_eq!(quick_ends(&End::new(Ended::Signal(9)), u32::MAX), u32::MAX);
    }
}
