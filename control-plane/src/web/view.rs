//! States, times and sizes as the pages show them. Pure.

use std::time::Duration;

use russet_protocol::admin::{Job, Pipeline, RunnerItem, StepState, Workflow};
use russet_protocol::machine::MachineState;
use russet_protocol::outcome::{Outcome, Phase};
use russet_protocol::project_settings::canceled_by_text;
use russet_protocol::ssh::SshPhase;
pub(super) use russet_text::{encode_path, format_size};
use russet_text::{encode_segment, format_duration};

/// A state: a word, and a class of the style sheet, whose sign has a shape of its own so that
/// colour is not needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) word: &'static str,
    pub(super) class: &'static str,
}

/// The state of a job or workflow.
pub(super) fn shown_state(phase: Phase, outcome: Option<Outcome>) -> State {
    let (word, class) = match (phase, outcome) {
        (Phase::Blocked, _) => ("blocked", "waiting"),
        (Phase::OnHold, _) => ("on hold", "hold"),
        (Phase::Queued, _) => ("queued", "waiting"),
        (Phase::Running, _) => ("running", "running"),
        (Phase::Ended, Some(outcome)) => return ended(outcome),
        (Phase::Ended, None) => ("ended", "skipped"),
    };
    State { word, class }
}

fn ended(outcome: Outcome) -> State {
    let (word, class) = match outcome {
        Outcome::Success => ("success", "success"),
        Outcome::Failed => ("failed", "failed"),
        Outcome::Canceled => ("canceled", "skipped"),
        Outcome::TimedOut => ("timed out", "failed"),
        Outcome::InfrastructureFail => ("infrastructure failure", "broken"),
        Outcome::NotRun => ("not run", "skipped"),
        Outcome::Unauthorized => ("unauthorized", "broken"),
    };
    State { word, class }
}

/// The state of a job.
pub(super) fn of_job(job: &Job) -> State {
    shown_state(job.phase, job.outcome)
}

/// Words for how far the SSH of a task is.
pub(super) fn ssh_words(phase: SshPhase) -> &'static str {
    match phase {
        SshPhase::Starting => "cannot be reached yet",
        SshPhase::Running => "can be reached; its steps run",
        SshPhase::Waiting => "held; its steps have ended",
        SshPhase::Ended => "ended",
    }
}

/// Class of the style sheet for the same.
pub(super) fn ssh_class(phase: SshPhase) -> &'static str {
    match phase {
        SshPhase::Starting => "queued",
        SshPhase::Running => "running",
        SshPhase::Waiting => "hold",
        SshPhase::Ended => "skipped",
    }
}

/// The state of a workflow. One in which nothing runs and somebody has to approve a job is on hold, as
/// the filter of lists has it.
pub(super) fn of_workflow(workflow: &Workflow) -> State {
    let is_open = !matches!(workflow.phase, Phase::Running | Phase::Ended);
    let phase = match is_open && workflow.jobs.iter().any(|job| job.phase == Phase::OnHold) {
        true => Phase::OnHold,
        false => workflow.phase,
    };
    shown_state(phase, workflow.outcome)
}

/// The state of a step.
pub(super) fn of_step(step: &StepState) -> State {
    step.outcome.map_or(State { word: "running", class: "running" }, ended)
}

/// Returns true for a runner that takes no tasks and should, or fewer than it should.
pub(super) fn is_troubled(runner: &RunnerItem) -> bool {
    let is_broken = matches!(runner.state, MachineState::Unhealthy | MachineState::Lost);
    is_broken || runner.rival.is_some() || !runner.held_slots.is_empty()
}

/// The state of a runner.
pub(super) fn of_runner(runner: &RunnerItem) -> State {
    let class = match runner.state {
        MachineState::Idle => "success",
        MachineState::Busy => "running",
        MachineState::Draining | MachineState::Drained | MachineState::Paused => "hold",
        MachineState::Unhealthy | MachineState::Lost => "broken",
        MachineState::Offline => "skipped",
        MachineState::Starting | MachineState::Updating | MachineState::Unknown => "waiting",
    };
    State { word: runner.state.as_str(), class }
}

/// Returns true if nothing of a pipeline will change any more.
pub(super) fn is_over(pipeline: &Pipeline) -> bool {
    pipeline.workflows.iter().all(|workflow| workflow.phase == Phase::Ended)
}

/// Describes the revision of a pipeline: `main`, `v1.2 (tag)`.
pub(super) fn revision_name(pipeline: &Pipeline) -> String {
    match (&pipeline.branch, &pipeline.tag) {
        (_, Some(tag)) => format!("{tag} (tag)"),
        (Some(branch), None) => branch.clone(),
        (None, None) => String::new(),
    }
}

/// The first characters of a commit, as git shows them.
pub(super) fn short_revision(revision: Option<&str>) -> String {
    revision.map(|text| text.chars().take(10).collect()).unwrap_or_default()
}

/// Describes a duration, so far if it goes on; empty before it began.
pub(super) fn took(started: Option<u64>, ended: Option<u64>, now_ms: u64) -> String {
    let took = |from| Duration::from_millis(ended.unwrap_or(now_ms).saturating_sub(from));
    started.map(|from| format_duration(took(from))).unwrap_or_default()
}

/// Describes an age: `just now`, `5 min ago`, `3 d ago`.
pub(super) fn age_text(at_ms: u64, now_ms: u64) -> String {
    let seconds = now_ms.saturating_sub(at_ms) / 1000;
    match seconds {
        0..=59 => "just now".to_owned(),
        60..=3599 => format!("{} min ago", seconds / 60),
        3600..=86_399 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// Describes the age of a time that is written as RFC 3339; one that cannot be read is shown as it is.
pub(super) fn age_of(time: &str, now_ms: u64) -> String {
    let at_ms = time.parse::<jiff::Timestamp>().ok();
    let at_ms = at_ms.and_then(|at| u64::try_from(at.as_millisecond()).ok());
    at_ms.map_or_else(|| time.to_owned(), |at_ms| age_text(at_ms, now_ms))
}

/// Returns the address of the page of a machine.
pub(super) fn machine_url(name: &str) -> String {
    format!("/runners/{}", encode_segment(name))
}

/// Says who approved, denied or canceled a job: `approved by anna`.
pub(super) fn decision(job: &Job) -> Option<String> {
    let by = job.decided_by.as_ref()?;
    let done = match job.outcome {
        Some(Outcome::Success) if job.resource_class.is_none() => "approved",
        Some(Outcome::Unauthorized) => "denied",
        Some(Outcome::Canceled) => return Some(canceled_by_text(by)),
        _ => "decided",
    };
    Some(format!("{done} by {by}"))
}

/// Returns the name of the one who asked for a further run of a workflow.
pub(super) fn asked_by(workflow: &Workflow) -> Option<&str> {
    workflow.rerun.as_ref()?.by.as_deref()
}

/// A day in UTC.
pub(super) fn date_text(ms: u64) -> String {
    time_text(ms).chars().take(10).collect()
}

/// A moment in UTC, for a title and for machines.
pub(super) fn time_text(ms: u64) -> String {
    crate::text::rfc3339(i64::try_from(ms).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::{age_of, age_text};

    #[test]
    fn a_clock_that_went_back_is_no_error() {
        assert_eq!(age_text(2_000, 1_000), "just now");
        assert_eq!(age_text(0, 7_200_000), "2 h ago");
        assert_eq!(age_of("1970-01-01T00:00:00.000Z", 7_200_000), "2 h ago");
        assert_eq!(age_of("never", 0), "never");
    }
}
