//! States of workflows and jobs as the host of a repository has them at a commit: name, state and words. Pure.
//!
//! Statuses of a public repository are read by anybody, so the words are ours: no message of a job, no name
//! of a runner.

use std::time::Duration;

use russet_protocol::outcome::{Outcome, Phase};
use russet_protocol::projects::{CommitState, ReportedStatuses};
use russet_text::format_duration;

/// Longest words of a status, in characters (GitHub's documentation of commit statuses).
const MAX_DESCRIPTION: usize = 140;

/// Longest name of a status, in characters: less than what GitHub's and GitLab's databases take.
const MAX_CONTEXT: usize = 200;

/// Beginning of the names of all statuses, as CircleCI's begin with `ci/circleci: `.
const PREFIX: &str = "ci/russet: ";

/// Thing that has a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject<'a> {
    Workflow(&'a str),
    /// Workflow and job: two workflows may have jobs of one name.
    Job(&'a str, &'a str),
}

impl Subject<'_> {
    /// Returns true if states of it are to be reported.
    pub(crate) fn is_wanted(self, setting: ReportedStatuses) -> bool {
        match setting {
            ReportedStatuses::Off => false,
            ReportedStatuses::Workflows => matches!(self, Self::Workflow(_)),
            ReportedStatuses::Jobs => matches!(self, Self::Job(..)),
            ReportedStatuses::Both => true,
        }
    }

    /// Returns the name at the host, which rules for branches rely on.
    pub(crate) fn context(self) -> String {
        let name = match self {
            Self::Workflow(workflow) => format!("{PREFIX}{workflow}"),
            Self::Job(workflow, job) => format!("{PREFIX}{workflow} / {job}"),
        };
        let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if name.chars().count() <= MAX_CONTEXT {
            return name;
        }
        let hash = blake3::hash(name.as_bytes()).to_hex();
        let start: String = name.chars().take(MAX_CONTEXT - 17).collect();
        format!("{start}~{}", hash.get(..16).unwrap_or_default())
    }
}

/// Facts of a workflow or job.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) phase: Option<Phase>,
    pub(crate) outcome: Option<Outcome>,
    /// Time that it took, in milliseconds; none: it never began.
    pub(crate) took_ms: Option<u64>,
    /// Number of parts (tests of a job, jobs of a workflow) that failed, and of all.
    pub(crate) parts: Option<(u64, u64)>,
}

/// Returns the state that the host is to have, with its words.
pub(crate) fn state_of(subject: Subject<'_>, of: Progress) -> (CommitState, String) {
    let Some(outcome) = of.outcome else {
        let words = match of.phase {
            Some(Phase::Running) => "Running",
            _ => "Queued",
        };
        return (CommitState::Pending, words.to_owned());
    };
    let took = of.took_ms.map(|ms| format_duration(Duration::from_millis(ms)));
    let after = |words: &str| match &took {
        Some(took) => format!("{words} after {took}"),
        None => words.to_owned(),
    };
    let parts = of.parts.filter(|(_, all)| *all > 0);
    let noun = if matches!(subject, Subject::Job(..)) { "test" } else { "job" };
    let plural = |count: u64| if count == 1 { noun.to_owned() } else { format!("{noun}s") };
    let (state, words) = match outcome {
        Outcome::Success => {
            let took = took.as_ref().map(|took| format!(" in {took}")).unwrap_or_default();
            let of = parts.map(|(_, all)| format!(": {all} {}", plural(all))).unwrap_or_default();
            (CommitState::Success, format!("Succeeded{took}{of}"))
        }
        Outcome::Failed => {
            let of = parts.filter(|(failed, _)| *failed > 0);
            let of = of.map(|(failed, all)| format!(": {failed} of {all} {} failed", plural(all)));
            (CommitState::Failure, format!("{}{}", after("Failed"), of.unwrap_or_default()))
        }
        Outcome::TimedOut => (CommitState::Failure, after("Ran for too long: ended")),
        Outcome::InfrastructureFail => {
            (CommitState::Error, after("The machine or its connection failed"))
        }
        Outcome::Canceled => (CommitState::Error, after("Canceled")),
        Outcome::Unauthorized => (CommitState::Error, "Not allowed to run".to_owned()),
        Outcome::NotRun => (CommitState::Error, "Not run".to_owned()),
    };
    (state, words.chars().take(MAX_DESCRIPTION).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOB: Subject<'_> = Subject::Job("build", "test");

    fn ended(outcome: Outcome, parts: Option<(u64, u64)>) -> Progress {
        Progress { phase: Some(Phase::Ended), outcome: Some(outcome), took_ms: Some(65_100), parts }
    }

    #[test]
    fn names_are_stable_distinct_and_of_a_length_that_hosts_take() {
        assert_eq!(JOB.context(), "ci/russet: build / test");
        assert_eq!(Subject::Workflow("build").context(), "ci/russet: build");
        assert_eq!(Subject::Workflow("a\nb").context(), "ci/russet: a b");
        let long = |end: &str| Subject::Workflow(&format!("{}{end}", "é".repeat(300))).context();
        assert_ne!(long("1"), long("2"));
        assert_eq!(long("1").chars().count(), MAX_CONTEXT);
    }

    #[test]
    fn words_say_how_it_ended_and_what_failed() {
        let words = |of: Progress| state_of(JOB, of);
        let pending = |words: &str| (CommitState::Pending, words.to_owned());
        assert_eq!(words(Progress::default()), pending("Queued"));
        let running = Progress { phase: Some(Phase::Running), ..Progress::default() };
        assert_eq!(words(running), pending("Running"));
        let (state, text) = words(ended(Outcome::Failed, Some((3, 120))));
        assert_eq!(
            (state, &*text),
            (CommitState::Failure, "Failed after 1 min 05 s: 3 of 120 tests failed")
        );
        assert_eq!(words(ended(Outcome::Failed, Some((0, 9)))).1, "Failed after 1 min 05 s");
        assert_eq!(
            words(ended(Outcome::Success, Some((0, 1)))).1,
            "Succeeded in 1 min 05 s: 1 test"
        );
        assert_eq!(words(ended(Outcome::Success, None)).1, "Succeeded in 1 min 05 s");
        let workflow = state_of(Subject::Workflow("w"), ended(Outcome::Failed, Some((1, 5))));
        assert_eq!(workflow.1, "Failed after 1 min 05 s: 1 of 5 jobs failed");
        for outcome in [Outcome::Canceled, Outcome::InfrastructureFail, Outcome::Unauthorized] {
            assert_eq!(words(ended(outcome, None)).0, CommitState::Error);
        }
        assert_eq!(words(ended(Outcome::TimedOut, None)).0, CommitState::Failure);
    }

    #[test]
    fn a_setting_leaves_out_what_it_does_not_name() {
        let wanted = |setting| (Subject::Workflow("w").is_wanted(setting), JOB.is_wanted(setting));
        assert_eq!(wanted(ReportedStatuses::Off), (false, false));
        assert_eq!(wanted(ReportedStatuses::Workflows), (true, false));
        assert_eq!(wanted(ReportedStatuses::Jobs), (false, true));
        assert_eq!(wanted(ReportedStatuses::Both), (true, true));
    }
}
