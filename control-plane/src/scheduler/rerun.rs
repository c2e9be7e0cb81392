//! Decides which jobs of a workflow run again.

use std::collections::HashMap;

use russet_protocol::outcome::Outcome;

/// A job of a run that has ended.
#[derive(Clone, Debug)]
pub(crate) struct PastJob<'a> {
    pub(crate) name: &'a str,
    pub(crate) requires: &'a [String],
    pub(crate) outcome: Option<Outcome>,
}

/// Which jobs are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// All.
    All,
    /// Those that did not succeed, and what follows them.
    FromFailed,
    /// The job at this index, and what follows it.
    Job(usize),
}

/// Returns for each job whether it runs again; the others are kept as they ended. None of them:
/// there is nothing to run.
///
/// What follows a job that runs again runs again too, as on CircleCI: its result may be another one
/// now. A job that was not run is no failure by itself: it follows from one, or from none.
pub(crate) fn jobs_to_rerun(jobs: &[PastJob<'_>], which: Which) -> Vec<bool> {
    let is_asked = |index: usize, job: &PastJob<'_>| match which {
        Which::All => true,
        Which::FromFailed => !matches!(job.outcome, Some(Outcome::Success | Outcome::NotRun)),
        Which::Job(asked) => index == asked,
    };
    let mut again: Vec<bool> =
        jobs.iter().enumerate().map(|(index, job)| is_asked(index, job)).collect();
    let names: HashMap<&str, usize> =
        jobs.iter().enumerate().map(|(index, job)| (job.name, index)).collect();
    let mut dependents = vec![Vec::new(); jobs.len()];
    for (index, job) in jobs.iter().enumerate() {
        for at in job.requires.iter().filter_map(|name| names.get(name.as_str())) {
            dependents[*at].push(index);
        }
    }
    let mut open: Vec<usize> = (0..jobs.len()).filter(|index| again[*index]).collect();
    while let Some(index) = open.pop() {
        for dependent in std::mem::take(&mut dependents[index]) {
            if !std::mem::replace(&mut again[dependent], true) {
                open.push(dependent);
            }
        }
    }
    again
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{PastJob, Which, jobs_to_rerun};
    use russet_protocol::outcome::Outcome;

    fn job<'a>(name: &'a str, requires: &'a [String], outcome: Outcome) -> PastJob<'a> {
        PastJob { name, requires, outcome: Some(outcome) }
    }

    #[test]
    fn from_failed_keeps_what_succeeded_before_and_beside_the_failure() {
        let (on_a, on_b) = (["a".to_owned()], ["b".to_owned()]);
        let jobs = [
            job("a", &[], Outcome::Success),
            job("b", &on_a, Outcome::Failed),
            job("beside", &on_a, Outcome::Success),
            job("after", &on_b, Outcome::NotRun),
            // It wanted the failure, and got it.
            job("report", &on_b, Outcome::Success),
        ];
        let again = jobs_to_rerun(&jobs, Which::FromFailed);
        assert_eq!(again, [false, true, false, true, true]);
        assert_eq!(jobs_to_rerun(&jobs, Which::Job(2)), [false, false, true, false, false]);
        assert_eq!(jobs_to_rerun(&jobs, Which::All), [true; 5]);
        assert_eq!(jobs_to_rerun(&jobs[..1], Which::FromFailed), [false]);
    }

    const OUTCOMES: [Outcome; 7] = [
        Outcome::Success,
        Outcome::Failed,
        Outcome::Canceled,
        Outcome::TimedOut,
        Outcome::InfrastructureFail,
        Outcome::NotRun,
        Outcome::Unauthorized,
    ];

    proptest! {
        /// Of any workflow: every failure runs again, everything after a job that runs again does,
        /// and nothing else does. So all that a kept job requires is kept.
        #[test]
        fn what_runs_again_is_the_failures_and_all_that_follows_them_and_no_more(
            edges in proptest::collection::vec(proptest::collection::vec(any::<bool>(), 0..8), 1..8),
            outcomes in proptest::collection::vec(0..7usize, 8),
        ) {
            let names: Vec<String> = (0..edges.len()).map(|n| n.to_string()).collect();
            let requires: Vec<Vec<String>> = edges.iter().enumerate().map(|(index, row)| {
                row.iter().take(index).enumerate()
                    .filter(|(_, edge)| **edge).map(|(to, _)| to.to_string()).collect()
            }).collect();
            let jobs: Vec<PastJob<'_>> = (0..names.len())
                .map(|n| job(&names[n], &requires[n], OUTCOMES[outcomes[n]]))
                .collect();
            let again = jobs_to_rerun(&jobs, Which::FromFailed);
            for (index, job) in jobs.iter().enumerate() {
                let is_failure =
                    !matches!(job.outcome, Some(Outcome::Success | Outcome::NotRun));
                let follows = job.requires.iter().any(|name| again[name.parse::<usize>().unwrap()]);
                prop_assert_eq!(again[index], is_failure || follows);
            }
        }
    }
}
