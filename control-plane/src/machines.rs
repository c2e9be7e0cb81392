//! State of a runner, decided from facts with their times: **the one place that decides it**, for
//! lists, pages, command lines and reasons why jobs wait. Pure.

use russet_protocol::local::{HealthCheck, Hold, State};
use russet_protocol::machine::{
    MachineReport, MachineSlot, MachineState, PauseKind, RunnerTask, ServerPause,
};
use russet_text::one_line_within;

/// Time that an agent has to come back after it ended for an update, in milliseconds.
const UPDATE_MS: i64 = 5 * 60 * 1000;

/// Reason of a machine that still holds what was lifted here.
const YET_TO_HEAR: &str = "it was resumed here, and hears of it with its next call";

/// The most slots, holds, findings and lifted pauses that are kept of a machine.
const MAX_SLOTS: usize = 64;
const MAX_HOLDS: usize = 16;
const MAX_FINDINGS: usize = 16;
pub(crate) const MAX_LIFTED: usize = 16;

/// The most characters of a name, and of a reason.
const MAX_NAME_CHARS: usize = 128;
const MAX_REASON_CHARS: usize = 400;

/// Facts about a runner.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// Now. All times are milliseconds since 1970.
    pub(crate) now_ms: i64,
    /// Last time at which any server heard of it.
    pub(crate) last_ms: i64,
    /// Time of its goodbye, if it did not come back.
    pub(crate) left_ms: Option<i64>,
    /// Time since which some server has been there without a break.
    pub(crate) served_since_ms: i64,
    /// Silence after which a runner is lost.
    pub(crate) silence_ms: i64,
    /// Pause that a person at the server wants.
    pub(crate) pause: Option<&'a ServerPause>,
    /// Its own report; none: its agent says nothing of its state.
    pub(crate) report: Option<&'a MachineReport>,
    /// Reasons for which it takes no tasks of the class, as agents of any age say them.
    pub(crate) holds: &'a [String],
    /// Tasks that it holds.
    pub(crate) tasks: &'a [RunnerTask],
}

/// State of a runner and its reason, where that is not obvious.
pub(crate) type Verdict = (MachineState, Option<String>);

/// Decides the state of a runner.
pub(crate) fn decide_state(facts: &Facts<'_>) -> Verdict {
    away(facts).or_else(|| paused_here(facts)).unwrap_or_else(|| by_its_own_words(facts))
}

/// The state of a runner that is not here.
fn away(facts: &Facts<'_>) -> Option<Verdict> {
    let was_updating = facts.report.is_some_and(|report| report.state == State::Updating);
    if let Some(left) = facts.left_ms {
        let silent_ms = facts.now_ms.saturating_sub(left);
        return Some(match was_updating {
            true if silent_ms < UPDATE_MS => (MachineState::Updating, None),
            true => {
                let reason = "it ended for an update and did not come back";
                (MachineState::Lost, Some(reason.to_owned()))
            }
            false => (MachineState::Offline, None),
        });
    }
    if facts.now_ms.saturating_sub(facts.last_ms) < facts.silence_ms {
        return None;
    }
    // An agent that claims alone is silent while it works; its task's lease says that it is there.
    if facts.report.is_none() && !facts.tasks.is_empty() {
        return None;
    }
    // While no server was there, nobody could tell anything.
    if facts.now_ms.saturating_sub(facts.served_since_ms) < facts.silence_ms {
        return Some((MachineState::Unknown, Some("the server has just started".to_owned())));
    }
    Some((MachineState::Lost, None))
}

/// The state of a runner that people at the server paused.
fn paused_here(facts: &Facts<'_>) -> Option<Verdict> {
    let pause = facts.pause?;
    let state = match pause.kind {
        PauseKind::Drain if facts.tasks.is_empty() => MachineState::Drained,
        PauseKind::Drain => MachineState::Draining,
        PauseKind::Pause | PauseKind::Unknown => MachineState::Paused,
    };
    Some((state, Some(pause.words())))
}

/// The state of a runner that is here and that nobody at the server holds back.
fn by_its_own_words(facts: &Facts<'_>) -> Verdict {
    let is_busy = !facts.tasks.is_empty();
    let at_work = if is_busy { MachineState::Busy } else { MachineState::Idle };
    let Some(report) = facts.report else {
        return match facts.holds {
            [] => (at_work, None),
            holds => (MachineState::Unhealthy, Some(holds.join("; "))),
        };
    };
    let own: Vec<&Hold> = report.holds.iter().filter(|hold| hold.source != "server").collect();
    let is_lifted = own.len() < report.holds.len();
    let reason = || match own.is_empty() {
        true if is_lifted => Some(YET_TO_HEAR.to_owned()),
        true => report.reason.clone(),
        false => Some(describe_holds(&own)),
    };
    let by_person = |hold: &Hold| hold.source == "pause" || hold.source == "drain";
    match report.state {
        State::Starting if !is_busy => (MachineState::Starting, None),
        State::Updating => (MachineState::Updating, reason()),
        State::Draining => (MachineState::Draining, reason()),
        State::Paused => (MachineState::Paused, reason()),
        State::Unhealthy => (MachineState::Unhealthy, reason()),
        // A server that lifted its pause is ahead of the machine, which hears of it at once.
        _ => match own.first() {
            Some(hold) if by_person(hold) => (MachineState::Paused, reason()),
            Some(_) => (MachineState::Unhealthy, reason()),
            None => (at_work, None),
        },
    }
}

fn describe_holds(holds: &[&Hold]) -> String {
    let words: Vec<String> =
        holds.iter().map(|hold| format!("{}: {}", hold.source, hold.reason)).collect();
    words.join("; ")
}

/// Returns the number of tasks that a runner takes at a time, as far as that is known.
pub(crate) fn count_slots(report: Option<&MachineReport>) -> usize {
    report.map_or(1, |report| report.slots.len().max(1))
}

/// Returns a report with nothing in it that is longer than what is kept, or that could drive a
/// terminal. Threat: whoever has a class token may say anything, and everybody reads it.
pub(crate) fn bounded_report(report: &MachineReport) -> MachineReport {
    let name = |text: &String| one_line_within(text, MAX_NAME_CHARS);
    let reason = |text: &String| one_line_within(text, MAX_REASON_CHARS);
    let slot = |slot: &MachineSlot| MachineSlot { job: slot.job.as_ref().map(name), ..*slot };
    let hold = |hold: &Hold| Hold {
        source: name(&hold.source),
        class: hold.class.as_ref().map(name),
        reason: reason(&hold.reason),
        ..*hold
    };
    let finding = |check: &HealthCheck| HealthCheck {
        name: name(&check.name),
        level: check.level,
        found: reason(&check.found),
        hint: check.hint.as_ref().map(reason),
    };
    MachineReport {
        state: report.state,
        reason: report.reason.as_ref().map(reason),
        is_leaving: report.is_leaving,
        slots: report.slots.iter().take(MAX_SLOTS).map(slot).collect(),
        holds: report.holds.iter().take(MAX_HOLDS).map(hold).collect(),
        findings: report.findings.iter().take(MAX_FINDINGS).map(finding).collect(),
        os: report.os.as_ref().map(name),
        chip: report.chip.as_ref().map(name),
        disk_free: report.disk_free,
        boot_id: report.boot_id.as_ref().map(name),
        clock_behind_s: report.clock_behind_s,
        // They were done when they came.
        lifted: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use russet_protocol::local::{Hold, State};
    use russet_protocol::machine::{
        MachineReport, MachineState, PauseKind, RunnerTask, ServerPause,
    };

    use super::{Facts, bounded_report, decide_state};

    const SILENCE: i64 = 50_000;
    const HOUR: i64 = 3_600_000;

    fn facts<'a>(report: &'a MachineReport, tasks: &'a [RunnerTask]) -> Facts<'a> {
        Facts {
            now_ms: 10 * HOUR,
            last_ms: 10 * HOUR - 1000,
            left_ms: None,
            served_since_ms: 0,
            silence_ms: SILENCE,
            pause: None,
            report: Some(report),
            holds: &[],
            tasks,
        }
    }

    fn state(facts: &Facts<'_>) -> MachineState {
        decide_state(facts).0
    }

    fn pause(kind: PauseKind) -> ServerPause {
        ServerPause { kind, by: "anna".to_owned(), ..ServerPause::default() }
    }

    #[test]
    fn a_machine_that_was_busy_for_an_hour_is_busy_and_one_that_is_silent_is_lost() {
        let report = MachineReport { state: State::Running, ..MachineReport::default() };
        let old = [RunnerTask { since_ms: Some(9 * 3_600_000), ..RunnerTask::default() }];
        assert_eq!(state(&facts(&report, &old)), MachineState::Busy);
        assert_eq!(state(&facts(&report, &[])), MachineState::Idle);
        let silent = Facts { last_ms: 10 * HOUR - SILENCE, ..facts(&report, &old) };
        assert_eq!(state(&silent), MachineState::Lost);
        // An agent that only claims says nothing while it works.
        assert_eq!(state(&Facts { report: None, ..silent }), MachineState::Busy);
        assert_eq!(state(&Facts { report: None, tasks: &[], ..silent }), MachineState::Lost);
    }

    #[test]
    fn after_a_start_of_the_server_silence_means_nothing_yet() {
        let report = MachineReport::default();
        let early = Facts {
            last_ms: HOUR,
            served_since_ms: 10 * HOUR - SILENCE + 1,
            ..facts(&report, &[])
        };
        assert_eq!(state(&early), MachineState::Unknown);
        let later = Facts { now_ms: early.now_ms + 1, ..early };
        assert_eq!(state(&later), MachineState::Lost);
    }

    #[test]
    fn a_goodbye_is_told_from_a_loss_and_an_update_from_both() {
        let idle = MachineReport { state: State::Idle, ..MachineReport::default() };
        let left = Facts { left_ms: Some(9 * HOUR), ..facts(&idle, &[]) };
        assert_eq!(state(&left), MachineState::Offline);
        let updating = MachineReport { state: State::Updating, ..idle.clone() };
        let gone = Facts { left_ms: Some(10 * HOUR - 60_000), ..facts(&updating, &[]) };
        assert_eq!(state(&gone), MachineState::Updating);
        assert_eq!(state(&Facts { left_ms: Some(9 * HOUR), ..gone }), MachineState::Lost);
    }

    #[test]
    fn a_drain_is_done_when_nothing_runs() {
        let report = MachineReport { state: State::Running, ..MachineReport::default() };
        let (drain, task) = (pause(PauseKind::Drain), [RunnerTask::default()]);
        let draining = Facts { pause: Some(&drain), ..facts(&report, &task) };
        assert_eq!(
            decide_state(&draining),
            (MachineState::Draining, Some("drained by anna".to_owned()))
        );
        assert_eq!(state(&Facts { tasks: &[], ..draining }), MachineState::Drained);
        let paused = pause(PauseKind::Pause);
        assert_eq!(state(&Facts { pause: Some(&paused), ..draining }), MachineState::Paused);
    }

    #[test]
    fn holds_of_the_machine_are_its_own_words_and_one_of_the_server_alone_is_none() {
        let hold = |source: &str| Hold {
            source: source.to_owned(),
            reason: "why".to_owned(),
            ..Hold::default()
        };
        let of = |source: &str| {
            let report = MachineReport {
                state: State::Idle,
                holds: vec![hold("server"), hold(source)],
                ..MachineReport::default()
            };
            decide_state(&facts(&report, &[]))
        };
        assert_eq!(of("pause"), (MachineState::Paused, Some("pause: why".to_owned())));
        assert_eq!(of("xcode"), (MachineState::Unhealthy, Some("xcode: why".to_owned())));
        assert_eq!(of("server").0, MachineState::Idle);
        let told = MachineReport {
            state: State::Paused,
            reason: Some("paused by anna at the control plane".to_owned()),
            holds: vec![hold("server")],
            ..MachineReport::default()
        };
        let (state, reason) = decide_state(&facts(&told, &[]));
        assert_eq!(state, MachineState::Paused, "it takes none yet");
        assert!(reason.is_some_and(|reason| reason.starts_with("it was resumed here")));
    }

    #[test]
    fn hostile_texts_are_cut_and_cannot_drive_a_terminal() {
        let mut report =
            MachineReport { os: Some("\u{1b}[2Jmac\nOS".repeat(1000)), ..MachineReport::default() };
        report.holds = vec![Hold { reason: "x\u{7}".repeat(5000), ..Hold::default() }; 100];
        let bounded = bounded_report(&report);
        assert!(bounded.os.as_ref().is_some_and(|os| os.chars().count() <= 128));
        assert!(!bounded.os.unwrap().contains(['\u{1b}', '\n']));
        assert_eq!(bounded.holds.len(), 16);
        assert!(!bounded.holds[0].reason.contains('\u{7}'));
    }

    fn any_state() -> impl Strategy<Value = State> {
        prop_oneof![
            Just(State::Starting),
            Just(State::Idle),
            Just(State::Running),
            Just(State::Draining),
            Just(State::Paused),
            Just(State::Unhealthy),
            Just(State::Offline),
            Just(State::Updating),
            Just(State::Unknown),
        ]
    }

    proptest! {
        #[test]
        fn who_was_heard_of_is_never_lost_and_who_is_paused_takes_nothing(
            words in any_state(),
            silent in 0..2 * SILENCE,
            server_up in 0..2 * SILENCE,
            tasks in 0..3_usize,
            is_paused in any::<bool>(),
            has_left in any::<bool>(),
        ) {
            let report = MachineReport { state: words, ..MachineReport::default() };
            let tasks = vec![RunnerTask::default(); tasks];
            let pause = pause(PauseKind::Pause);
            let facts = Facts {
                last_ms: 10 * HOUR - silent,
                left_ms: has_left.then_some(10 * HOUR - silent),
                served_since_ms: 10 * HOUR - server_up,
                pause: is_paused.then_some(&pause),
                ..facts(&report, &tasks)
            };
            let state = decide_state(&facts).0;
            if silent < SILENCE && !has_left {
                prop_assert!(!state.is_away(), "{:?} {:?}", state, facts);
            }
            if silent >= SILENCE && server_up >= SILENCE && !has_left {
                prop_assert_eq!(state, MachineState::Lost);
            }
            prop_assert!(!(is_paused && state.takes_tasks()));
            if state == MachineState::Busy {
                prop_assert!(!tasks.is_empty());
            }
            if state == MachineState::Idle {
                prop_assert!(tasks.is_empty());
            }
            prop_assert_eq!(decide_state(&facts), decide_state(&facts), "it depends on facts alone");
        }
    }
}
