//! States, times and sizes as the pages show them. Pure.

use russet_protocol::admin::{Job, Pipeline, StepState, Workflow};
use russet_protocol::outcome::{Outcome, Phase};

/// A state: a word, and a class of the style sheet, whose sign has a shape of its own so that
/// colour is not needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) word: &'static str,
    pub(super) class: &'static str,
}

/// The state of a job or workflow.
pub(super) fn state(phase: Phase, outcome: Option<Outcome>) -> State {
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
    state(job.phase, job.outcome)
}

/// The state of a workflow.
pub(super) fn of_workflow(workflow: &Workflow) -> State {
    state(workflow.phase, workflow.outcome)
}

/// The state of a step.
pub(super) fn of_step(step: &StepState) -> State {
    step.outcome.map_or(State { word: "running", class: "running" }, ended)
}

/// Whether nothing of a pipeline will change any more.
pub(super) fn is_over(pipeline: &Pipeline) -> bool {
    pipeline.workflows.iter().all(|workflow| workflow.phase == Phase::Ended)
}

/// Where a pipeline comes from: `main`, `v1.2 (tag)`.
pub(super) fn reference(pipeline: &Pipeline) -> String {
    match (&pipeline.branch, &pipeline.tag) {
        (_, Some(tag)) => format!("{tag} (tag)"),
        (Some(branch), None) => branch.clone(),
        (None, None) => String::new(),
    }
}

/// The first characters of a commit, as git shows them.
pub(super) fn short(revision: Option<&str>) -> String {
    revision.map(|text| text.chars().take(10).collect()).unwrap_or_default()
}

/// How long: `0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`.
pub(super) fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0..=9 => format!("{seconds}.{} s", ms % 1000 / 100),
        10..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// How long something took, or has taken so far; empty before it began.
pub(super) fn took(started: Option<u64>, ended: Option<u64>, now_ms: u64) -> String {
    started.map(|from| duration(ended.unwrap_or(now_ms).saturating_sub(from))).unwrap_or_default()
}

/// How long ago: `just now`, `5 min ago`, `3 d ago`.
pub(super) fn ago(at_ms: u64, now_ms: u64) -> String {
    let seconds = now_ms.saturating_sub(at_ms) / 1000;
    match seconds {
        0..=59 => "just now".to_owned(),
        60..=3599 => format!("{} min ago", seconds / 60),
        3600..=86_399 => format!("{} h ago", seconds / 3600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// A moment in UTC, for a title and for machines.
pub(super) fn moment(ms: u64) -> String {
    crate::text::rfc3339(i64::try_from(ms).unwrap_or(i64::MAX))
}

/// A size: `512 B`, `1.5 kB`.
pub(super) fn size(bytes: u64) -> String {
    let (mut tenths, mut unit) = (bytes.saturating_mul(10), "B");
    for next in ["kB", "MB", "GB", "TB"] {
        if tenths < 10_000 {
            break;
        }
        (tenths, unit) = (tenths / 1000, next);
    }
    match (unit, tenths) {
        ("B", _) => format!("{bytes} B"),
        (_, ..100) => format!("{}.{} {unit}", tenths / 10, tenths % 10),
        _ => format!("{} {unit}", tenths / 10),
    }
}

/// A path of an artifact in an address.
pub(super) fn encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
    path.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{ago, duration, encoded, size};

    #[test]
    fn durations_are_as_long_as_people_need_them() {
        let shown = [0, 440, 9_999, 12_700, 185_000, 7_800_000].map(duration);
        assert_eq!(shown, ["0.0 s", "0.4 s", "9.9 s", "12 s", "3 min 05 s", "2 h 10 min"]);
    }

    #[test]
    fn sizes_have_three_digits_at_most() {
        let shown = [0, 999, 1000, 1550, 15_500, 20_000_000, u64::MAX].map(size);
        assert_eq!(shown[..6], ["0 B", "999 B", "1.0 kB", "1.5 kB", "15 kB", "20 MB"]);
        assert!(shown[6].ends_with(" TB"));
    }

    #[test]
    fn a_clock_that_went_back_is_no_error() {
        assert_eq!(ago(2_000, 1_000), "just now");
        assert_eq!(ago(0, 7_200_000), "2 h ago");
    }

    #[test]
    fn a_path_stays_one_in_an_address() {
        assert_eq!(encoded("a b/ü?#%.txt"), "a%20b/%C3%BC%3F%23%25.txt");
    }
}
