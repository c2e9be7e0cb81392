//! Computes a workflow's next transitions from the states of its jobs.

use std::collections::{BTreeMap, HashMap, VecDeque};

use russet_protocol::names::UnknownName;
use russet_protocol::outcome::{Outcome, Phase};

/// Action of a job once it may start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A runner runs its steps.
    #[default]
    Build,
    /// It waits until somebody approves it.
    Approval,
    /// It succeeds.
    NoOp,
}

impl Kind {
    /// Returns true for a job that waits for a person.
    pub(crate) fn is_approval(self) -> bool {
        self == Self::Approval
    }

    /// The name in the database and on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Approval => "approval",
            Self::NoOp => "no-op",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        [Self::Build, Self::Approval, Self::NoOp]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownName(text.to_owned()))
    }
}

/// The ways of ending that a job wants of others: of those that are not named here, success.
pub(crate) type Statuses = BTreeMap<String, Vec<Outcome>>;

/// A job as the workflow sees it.
#[derive(Clone, Debug)]
pub(crate) struct JobState<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: Kind,
    pub(crate) requires: &'a [String],
    pub(crate) statuses: &'a Statuses,
    pub(crate) phase: Phase,
    pub(crate) outcome: Option<Outcome>,
}

/// Next transitions. Jobs are named by their index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Advance {
    /// Jobs that may start now.
    pub(crate) queue: Vec<usize>,
    /// Jobs that wait for an approval now.
    pub(crate) hold: Vec<usize>,
    /// Jobs that have succeeded without doing anything.
    pub(crate) succeed: Vec<usize>,
    /// Jobs that will never start, and the name of what each of them waits for in vain.
    pub(crate) not_run: Vec<(usize, String)>,
    /// Outcome of the workflow, once nothing of it is left to do.
    pub(crate) outcome: Option<Outcome>,
}

/// The edges between jobs that have not been gone along.
struct Edges {
    /// For each job, those that require it and are blocked.
    dependents: Vec<Vec<usize>>,
    /// For each job, how many that it requires have not ended.
    waits_for: Vec<usize>,
    /// Jobs of which it is decided what they do.
    is_settled: Vec<bool>,
}

impl Edges {
    fn new(jobs: &[JobState<'_>], names: &HashMap<&str, usize>, ended: &[Option<Outcome>]) -> Self {
        let mut edges = Self {
            dependents: vec![Vec::new(); jobs.len()],
            waits_for: vec![0; jobs.len()],
            is_settled: vec![false; jobs.len()],
        };
        for (index, job) in jobs.iter().enumerate().filter(|(_, job)| job.phase == Phase::Blocked) {
            let required = job.requires.iter().filter_map(|name| names.get(name.as_str()));
            for &at in required.filter(|at| ended[**at].is_none()) {
                edges.dependents[at].push(index);
                edges.waits_for[index] += 1;
            }
        }
        edges
    }
}

/// Next transition of a blocked job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next<'a> {
    Wait,
    Start,
    /// It waits for this one in vain.
    Never(&'a str),
}

/// Computes the next transitions from the states of all jobs of a workflow.
///
/// A job may start when everything that it requires has ended in a way that it wants. One that
/// requires what ended otherwise is not run, and so is what requires that one in turn, unless it
/// wants just that.
pub(crate) fn advance_workflow(jobs: &[JobState<'_>]) -> Advance {
    let mut ended: Vec<Option<Outcome>> =
        jobs.iter().map(|job| if job.phase == Phase::Ended { job.outcome } else { None }).collect();
    let mut result = Advance::default();
    let names: HashMap<&str, usize> =
        jobs.iter().enumerate().map(|(index, job)| (job.name, index)).collect();
    let is_blocked = |index: usize| jobs[index].phase == Phase::Blocked;
    let mut edges = Edges::new(jobs, &names, &ended);
    let mut open: VecDeque<(usize, Next<'_>)> = (0..jobs.len())
        .filter(|index| is_blocked(*index))
        .map(|index| (index, next(&jobs[index], &names, &ended)))
        .collect();
    // Each edge is gone along once, from a job that ends here to what requires it.
    while let Some((index, next)) = open.pop_front() {
        if std::mem::replace(&mut edges.is_settled[index], next != Next::Wait) || next == Next::Wait
        {
            continue;
        }
        let outcome = match (next, jobs[index].kind) {
            (Next::Never(vain), _) => {
                result.not_run.push((index, vain.to_owned()));
                Outcome::NotRun
            }
            (_, Kind::NoOp) => {
                result.succeed.push(index);
                Outcome::Success
            }
            (_, Kind::Approval) => {
                result.hold.push(index);
                continue;
            }
            (_, Kind::Build) => {
                result.queue.push(index);
                continue;
            }
        };
        ended[index] = Some(outcome);
        for dependent in std::mem::take(&mut edges.dependents[index]) {
            edges.waits_for[dependent] -= 1;
            if !accepts_outcome(&jobs[dependent], jobs[index].name, outcome) {
                open.push_back((dependent, Next::Never(jobs[index].name)));
            } else if edges.waits_for[dependent] == 0 {
                open.push_back((dependent, Next::Start));
            }
        }
    }
    // In the order of the configuration, whatever the rounds were.
    result.queue.sort_unstable();
    if ended.iter().all(Option::is_some) {
        let counted = ended.into_iter().zip(jobs).filter_map(|(outcome, job)| {
            // An approval that was denied is an answer, not a failure.
            let is_denied = job.kind == Kind::Approval && outcome == Some(Outcome::Unauthorized);
            if is_denied { Some(Outcome::Success) } else { outcome }
        });
        result.outcome = Some(worst_outcome(counted));
    }
    result
}

/// Returns the next transition of a blocked job. A job that it requires and that is not there can
/// never succeed; the compiler does not let it come to that.
fn next<'a>(
    job: &'a JobState<'_>,
    names: &HashMap<&str, usize>,
    ended: &[Option<Outcome>],
) -> Next<'a> {
    let mut all = true;
    for name in job.requires {
        let outcome = names.get(name.as_str()).map_or(Some(Outcome::NotRun), |at| ended[*at]);
        match outcome {
            None => all = false,
            Some(outcome) if accepts_outcome(job, name, outcome) => {}
            Some(_) => return Next::Never(name),
        }
    }
    if all { Next::Start } else { Next::Wait }
}

fn accepts_outcome(job: &JobState<'_>, name: &str, outcome: Outcome) -> bool {
    job.statuses.get(name).map_or(outcome.is_success(), |wanted| wanted.contains(&outcome))
}

/// Returns the outcome of a workflow whose jobs ended so, or of a job whose tasks did: the worst of
/// them. What failed by itself says more than what somebody stopped. What was not run only follows
/// from something else, and is as it should be where a job that reports failures had none to
/// report.
pub(crate) fn worst_outcome(outcomes: impl Iterator<Item = Outcome>) -> Outcome {
    let weight = |outcome: &Outcome| match outcome {
        Outcome::NotRun => 0,
        Outcome::Success => 1,
        Outcome::Canceled => 2,
        Outcome::InfrastructureFail => 3,
        Outcome::TimedOut => 4,
        Outcome::Unauthorized => 5,
        Outcome::Failed => 6,
    };
    outcomes.max_by_key(weight).unwrap_or(Outcome::Success)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    static NONE: Statuses = Statuses::new();

    fn job<'a>(name: &'a str, requires: &'a [String], outcome: Option<Outcome>) -> JobState<'a> {
        let phase = if outcome.is_some() { Phase::Ended } else { Phase::Blocked };
        JobState { name, kind: Kind::Build, requires, statuses: &NONE, phase, outcome }
    }

    #[test]
    fn a_job_that_wants_a_failure_runs_after_one_and_is_no_fault_of_the_workflow_without() {
        let requires = ["a".to_owned()];
        let wanted = Statuses::from([("a".to_owned(), vec![Outcome::Failed, Outcome::TimedOut])]);
        let report = JobState { statuses: &wanted, ..job("report", &requires, None) };
        let after = |outcome| advance_workflow(&[job("a", &[], Some(outcome)), report.clone()]);
        assert_eq!(after(Outcome::Failed).queue, [1]);
        assert_eq!(after(Outcome::TimedOut).queue, [1]);
        let fine = after(Outcome::Success);
        assert_eq!(fine.not_run, [(1, "a".to_owned())]);
        assert_eq!(fine.outcome, Some(Outcome::Success));
    }

    #[test]
    fn an_approval_holds_what_requires_it_and_a_job_without_work_lets_it_pass() {
        let (on_pass, on_hold) = (["pass".to_owned()], ["hold".to_owned()]);
        let jobs = [
            JobState { kind: Kind::NoOp, ..job("pass", &[], None) },
            JobState { kind: Kind::Approval, ..job("hold", &on_pass, None) },
            job("deploy", &on_hold, None),
        ];
        let result = advance_workflow(&jobs);
        assert_eq!((result.succeed, result.hold, result.queue), (vec![0], vec![1], vec![]));
        assert_eq!(result.outcome, None);
    }

    #[test]
    fn a_denied_approval_lets_those_run_that_want_it_and_fails_nothing() {
        let requires = ["hold".to_owned()];
        let wanted = Statuses::from([("hold".to_owned(), vec![Outcome::Unauthorized])]);
        let jobs = [
            JobState { kind: Kind::Approval, ..job("hold", &[], Some(Outcome::Unauthorized)) },
            job("deploy", &requires, None),
            JobState { statuses: &wanted, ..job("tell", &requires, None) },
        ];
        let result = advance_workflow(&jobs);
        assert_eq!((result.queue, result.not_run), (vec![2], vec![(1, "hold".to_owned())]));
        assert_eq!(advance_workflow(&jobs[..2]).outcome, Some(Outcome::Success));
    }

    #[test]
    fn a_job_starts_when_all_it_requires_succeeded() {
        let requires = ["a".to_owned(), "b".to_owned()];
        let half = [
            job("a", &[], Some(Outcome::Success)),
            JobState { phase: Phase::Running, ..job("b", &[], None) },
            job("c", &requires, None),
        ];
        assert_eq!(advance_workflow(&half), Advance::default());
        let whole = [
            job("a", &[], Some(Outcome::Success)),
            job("b", &[], Some(Outcome::Success)),
            job("c", &requires, None),
        ];
        assert_eq!(advance_workflow(&whole).queue, [2]);
    }

    #[test]
    fn what_requires_a_failure_is_not_run_all_the_way_down() {
        let (on_a, on_b) = (["a".to_owned()], ["b".to_owned()]);
        let jobs =
            [job("c", &on_b, None), job("b", &on_a, None), job("a", &[], Some(Outcome::Failed))];
        let result = advance_workflow(&jobs);
        assert_eq!(result.not_run, [(1, "a".to_owned()), (0, "b".to_owned())]);
        assert_eq!(result.outcome, Some(Outcome::Failed));
        assert!(result.queue.is_empty());
    }

    #[test]
    fn a_workflow_without_jobs_has_succeeded() {
        assert_eq!(advance_workflow(&[]).outcome, Some(Outcome::Success));
    }

    const OUTCOMES: [Outcome; 5] = [
        Outcome::Success,
        Outcome::Failed,
        Outcome::Canceled,
        Outcome::TimedOut,
        Outcome::InfrastructureFail,
    ];

    proptest! {
        /// Any workflow without cycles, run to its end in any order, ends; nothing starts before
        /// what it requires has succeeded, and nothing is started twice.
        #[test]
        fn every_workflow_ends_and_nothing_starts_early(
            edges in proptest::collection::vec(proptest::collection::vec(any::<bool>(), 0..8), 1..8),
            results in proptest::collection::vec(0..5usize, 8),
            picks in proptest::collection::vec(any::<usize>(), 64),
        ) {
            let names: Vec<String> = (0..edges.len()).map(|n| n.to_string()).collect();
            let requires: Vec<Vec<String>> = edges.iter().enumerate().map(|(index, row)| {
                row.iter().take(index).enumerate()
                    .filter(|(_, edge)| **edge).map(|(to, _)| to.to_string()).collect()
            }).collect();
            let mut states: Vec<(Phase, Option<Outcome>)> = vec![(Phase::Blocked, None); names.len()];
            let mut picks = picks.into_iter().cycle();
            for _round in 0..=2 * names.len() {
                let jobs: Vec<JobState<'_>> = states.iter().enumerate().map(|(n, state)| JobState {
                    phase: state.0, outcome: state.1, ..job(&names[n], &requires[n], None)
                }).collect();
                let next = advance_workflow(&jobs);
                for index in &next.queue {
                    prop_assert_eq!(states[*index].0, Phase::Blocked);
                    for name in &requires[*index] {
                        let of = states[name.parse::<usize>().unwrap()];
                        prop_assert_eq!(of.1, Some(Outcome::Success));
                    }
                    states[*index].0 = Phase::Running;
                }
                for (index, _) in &next.not_run {
                    prop_assert_eq!(states[*index].0, Phase::Blocked);
                    states[*index] = (Phase::Ended, Some(Outcome::NotRun));
                }
                let running: Vec<usize> =
                    (0..states.len()).filter(|n| states[*n].0 == Phase::Running).collect();
                if running.is_empty() {
                    prop_assert!(next.outcome.is_some(), "stuck: {:?}", states);
                    return Ok(());
                }
                prop_assert!(next.outcome.is_none());
                let index = running[picks.next().unwrap() % running.len()];
                states[index] = (Phase::Ended, Some(OUTCOMES[results[index]]));
            }
            prop_assert!(false, "does not end");
        }
    }
}
