//! Judging the end of a task agent from its exit status, its record and its last words.

use std::process::ExitStatus;

use russet_protocol::ids::AllocationId;
use russet_protocol::outcome::Outcome;
use russet_protocol::runner::UnclaimCause;
use russet_protocol::supervise::{Failure, ResultRecord, exit};

use super::spawn;
use crate::state::TaskResult;
use crate::state::slot::Exit;

/// Characters of a record's message that are passed on.
const MAX_MESSAGE_CHARS: usize = 2_000;

/// Characters of a reason that is shown as long as its class is held.
const MAX_REASON_CHARS: usize = 400;

/// Traces of a task agent that has ended.
#[derive(Clone, Copy, Debug)]
pub(in crate::launch) struct Traces<'a> {
    /// `None` for one that an earlier launch agent started: its exit went to somebody else.
    pub(in crate::launch) status: Option<ExitStatus>,
    pub(in crate::launch) record: Option<&'a ResultRecord>,
    /// Set unless it is known that no step of the task has begun.
    pub(in crate::launch) has_begun: bool,
    /// The end of its own output.
    pub(in crate::launch) said: &'a str,
    /// Message for one without an exit status.
    pub(in crate::launch) gone: &'a str,
}

/// Judges.
pub(in crate::launch) fn judge_exit(traces: Traces<'_>, allocation: &AllocationId) -> Exit {
    let Traces { status, said, gone, .. } = traces;
    let code = status.and_then(|status| status.code());
    let record = traces.record.filter(|record| record.allocation == *allocation);
    match code {
        Some(exit::REPORTED) => return Exit::Reported,
        Some(exit::STALE) => return Exit::Stale,
        // A command prefix may exit with one of these for reasons of its own. A task that left a
        // record did run, and must not run again.
        Some(exit::BAD_ASSIGNMENT | exit::NOT_DROPPED | exit::NOT_STARTED) if record.is_none() => {
            return Exit::NothingRan(describe_end(status, said, gone));
        }
        _ => {}
    }
    match record {
        Some(record) if record.reported => Exit::Reported,
        Some(record) => Exit::Unreported(Failure {
            outcome: record.outcome,
            message: plain_message(record.message.as_deref().unwrap_or_default()),
        }),
        None if traces.has_begun => Exit::Died(describe_end(status, said, gone)),
        // The status tells of the task agent's own fault, which may be the next one's as well.
        None => {
            let cause = match status {
                Some(_) => UnclaimCause::NotStarted,
                None => UnclaimCause::Interrupted,
            };
            Exit::DiedEarly(cause, describe_end(status, said, gone))
        }
    }
}

/// A text that a job may have forged, as it fits into a log of root's: short, and on one line.
fn plain_message(text: &str) -> String {
    russet_text::one_line_within(text, MAX_MESSAGE_CHARS)
}

fn describe_end(status: Option<ExitStatus>, said: &str, gone: &str) -> String {
    let what = match status {
        Some(status) => format!("the task agent {}", spawn::describe_status(status)),
        None => gone.to_owned(),
    };
    if said.is_empty() { what } else { format!("{what}: {said}") }
}

/// The outcome to show for a task that ended, as far as this agent knows it.
pub(in crate::launch) fn shown_outcome(
    exit: &Exit,
    record: Option<&ResultRecord>,
) -> Option<Outcome> {
    match exit {
        Exit::Reported => record.map(|record| record.outcome),
        Exit::Unreported(failure) => Some(failure.outcome),
        Exit::Died(_) => Some(Outcome::InfrastructureFail),
        Exit::Stale | Exit::NothingRan(_) | Exit::DiedEarly(..) => None,
    }
}

/// Judges what the end of a task says about this machine. `has_stepped`: a step of the job is known
/// to have begun, or may have.
pub(in crate::launch) fn judge_result(
    exit: &Exit,
    outcome: Option<Outcome>,
    message: Option<&str>,
    has_stepped: bool,
) -> TaskResult {
    let failed = |reason: &str, has_begun| {
        let reason = russet_text::one_line_within(reason, MAX_REASON_CHARS);
        TaskResult::Failed { reason, has_begun }
    };
    let unsaid = "it ended as a failure of the infrastructure";
    match exit {
        Exit::NothingRan(reason) | Exit::DiedEarly(UnclaimCause::NotStarted, reason) => {
            // A job that deletes its spool makes it look so.
            failed(reason, has_stepped)
        }
        Exit::Died(reason) => failed(reason, true),
        Exit::Reported | Exit::Unreported(_) => match outcome {
            Some(Outcome::InfrastructureFail) => failed(message.unwrap_or(unsaid), has_stepped),
            Some(Outcome::Success | Outcome::Failed | Outcome::TimedOut) => TaskResult::Worked,
            _ => TaskResult::Neutral,
        },
        Exit::Stale | Exit::DiedEarly(..) => TaskResult::Neutral,
    }
}

#[cfg(test)]
mod tests {
    use super::{Traces, judge_exit, judge_result};
    use crate::state::slot::Exit;
    use russet_protocol::outcome::Outcome;
    use russet_protocol::runner::UnclaimCause;
    use russet_protocol::supervise::ResultRecord;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    fn code(code: i32) -> Option<ExitStatus> {
        Some(ExitStatus::from_raw(code << 8))
    }

    /// Traces of a task agent that had begun a step.
    fn traces(status: Option<ExitStatus>, record: Option<&ResultRecord>) -> Traces<'_> {
        Traces { status, record, has_begun: true, said: "", gone: "gone" }
    }

    fn record(allocation: &str, reported: bool) -> ResultRecord {
        ResultRecord {
            version: 1,
            allocation: allocation.into(),
            outcome: Outcome::Failed,
            message: None,
            reported,
            left: Vec::new(),
        }
    }

    #[test]
    fn exit_codes_say_what_happened() {
        let judged = |status| judge_exit(traces(status, None), &"a".into());
        assert_eq!(judged(code(0)), Exit::Reported);
        assert_eq!(judged(code(73)), Exit::Stale);
        assert!(matches!(judged(code(70)), Exit::NothingRan(_)));
        assert!(matches!(judged(code(71)), Exit::NothingRan(_)));
        let killed = Some(ExitStatus::from_raw(9));
        let expected = Exit::Died("the task agent was killed by signal 9 (SIGKILL)".to_owned());
        assert_eq!(judged(killed), expected);
        assert_eq!(judged(None), Exit::Died("gone".to_owned()));
    }

    #[test]
    fn an_end_says_something_of_the_machine_where_the_machine_had_a_part_in_it() {
        let result = |exit, outcome, message| judge_result(&exit, outcome, message, false);
        let failed = |reason: &str, has_begun| super::TaskResult::Failed {
            reason: reason.to_owned(),
            has_begun,
        };
        let broken = Some(Outcome::InfrastructureFail);
        assert_eq!(result(Exit::Reported, broken, Some("no\nroom")), failed("no room", false));
        assert_eq!(result(Exit::NothingRan("x".to_owned()), None, None), failed("x", false));
        assert_eq!(result(Exit::Died("x".to_owned()), broken, None), failed("x", true));
        let died = Exit::DiedEarly(UnclaimCause::NotStarted, "x".to_owned());
        assert_eq!(judge_result(&died, None, None, true), failed("x", true));
        let neutral = super::TaskResult::Neutral;
        assert_eq!(result(Exit::Reported, Some(Outcome::Canceled), None), neutral);
        let lost = Exit::DiedEarly(UnclaimCause::Interrupted, "gone".to_owned());
        assert_eq!(result(lost, None, None), neutral);
        for outcome in [Outcome::Success, Outcome::Failed, Outcome::TimedOut] {
            let worked = result(Exit::Reported, Some(outcome), None);
            assert_eq!(worked, super::TaskResult::Worked);
        }
    }

    #[test]
    fn one_that_died_before_a_step_began_says_whose_fault_it_was() {
        let [reported, unreported] = [true, false].map(|reported| record("a", reported));
        let judged = |status, record| {
            let early = Traces { has_begun: false, ..traces(status, record) };
            judge_exit(early, &"a".into())
        };
        // Its exit code was for a launch agent that is gone: it may have read no assignment.
        let lost = Exit::DiedEarly(UnclaimCause::Interrupted, "gone".to_owned());
        assert_eq!(judged(None, None), lost);
        let killed = Some(ExitStatus::from_raw(9));
        assert!(matches!(judged(killed, None), Exit::DiedEarly(UnclaimCause::NotStarted, _)));
        assert!(matches!(judged(code(70), None), Exit::NothingRan(_)));
        assert_eq!(judged(None, Some(&reported)), Exit::Reported);
        assert!(matches!(judged(None, Some(&unreported)), Exit::Unreported(_)));
    }

    #[test]
    fn the_record_speaks_for_an_agent_that_can_not() {
        let judged = |status, record: ResultRecord| {
            let traces = Traces { said: "last words", ..traces(status, Some(&record)) };
            judge_exit(traces, &"a".into())
        };
        assert_eq!(judged(None, record("a", true)), Exit::Reported);
        assert!(matches!(judged(code(75), record("a", false)), Exit::Unreported(failure)
            if failure.outcome == Outcome::Failed));
        // What ran does not run again, whatever a command prefix exits with.
        assert!(matches!(judged(code(70), record("a", false)), Exit::Unreported(_)));
        let mut forged = record("a", false);
        forged.message = Some("x\n\u{1b}[2J".repeat(1_000_000));
        assert!(matches!(judged(None, forged), Exit::Unreported(failure)
            if failure.message.chars().count() <= 2_000 && !failure.message.contains(char::is_control)));
        // The record of another claim says nothing about this one.
        assert_eq!(
            judged(code(1), record("b", true)),
            Exit::Died("the task agent exited with status 1: last words".to_owned())
        );
    }
}
