//! What follows in a workflow from how its jobs are.

use std::collections::HashMap;

use russet_protocol::outcome::{Outcome, Phase};

/// A job as the workflow sees it.
#[derive(Clone, Debug)]
pub(crate) struct JobState<'a> {
    pub(crate) name: &'a str,
    pub(crate) requires: &'a [String],
    pub(crate) phase: Phase,
    pub(crate) outcome: Option<Outcome>,
}

/// What follows. Jobs are named by their index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Advance {
    /// Jobs that may start now.
    pub(crate) queue: Vec<usize>,
    /// Jobs that will never start, and the name of what each of them waits for in vain.
    pub(crate) not_run: Vec<(usize, String)>,
    /// How the workflow ended, once nothing of it is left to do.
    pub(crate) outcome: Option<Outcome>,
}

/// What follows from the states of all jobs of a workflow.
///
/// A job may start when everything that it requires has succeeded. One that requires what did not
/// succeed is not run, and so is what requires that one in turn.
pub(crate) fn advance(jobs: &[JobState<'_>]) -> Advance {
    let mut ended: Vec<Option<Outcome>> =
        jobs.iter().map(|job| if job.phase == Phase::Ended { job.outcome } else { None }).collect();
    let mut result = Advance::default();
    let names: HashMap<&str, usize> =
        jobs.iter().enumerate().map(|(index, job)| (job.name, index)).collect();
    // Each round goes one edge further; there are no more rounds than jobs.
    loop {
        let mut moved = false;
        for (index, job) in jobs.iter().enumerate() {
            if job.phase == Phase::Blocked
                && ended[index].is_none()
                && let Some(vain) = waits_in_vain_for(job, &names, &ended)
            {
                result.not_run.push((index, vain.to_owned()));
                ended[index] = Some(Outcome::NotRun);
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    for (index, job) in jobs.iter().enumerate() {
        if job.phase == Phase::Blocked
            && ended[index].is_none()
            && requirements(job, &names, &ended)
                .all(|(_, outcome)| outcome == Some(Outcome::Success))
        {
            result.queue.push(index);
        }
    }
    if ended.iter().all(Option::is_some) {
        result.outcome = Some(total(ended.into_iter().flatten()));
    }
    result
}

/// The jobs that a job requires, with how they ended. One that is not there can never succeed;
/// the compiler does not let it come to that.
fn requirements<'a>(
    job: &'a JobState<'_>,
    names: &'a HashMap<&str, usize>,
    ended: &'a [Option<Outcome>],
) -> impl Iterator<Item = (&'a str, Option<Outcome>)> {
    job.requires.iter().map(move |name| {
        let index = names.get(name.as_str());
        (name.as_str(), index.map_or(Some(Outcome::NotRun), |index| ended[*index]))
    })
}

fn waits_in_vain_for<'a>(
    job: &'a JobState<'_>,
    names: &'a HashMap<&str, usize>,
    ended: &'a [Option<Outcome>],
) -> Option<&'a str> {
    requirements(job, names, ended)
        .find(|(_, outcome)| outcome.is_some_and(|outcome| !outcome.is_success()))
        .map(|(name, _)| name)
}

/// How a workflow ended whose jobs ended so: the worst of them. What failed by itself says more
/// than what somebody stopped, and what was not run only follows from something else.
fn total(outcomes: impl Iterator<Item = Outcome>) -> Outcome {
    let weight = |outcome: &Outcome| match outcome {
        Outcome::Success => 0,
        Outcome::NotRun => 1,
        Outcome::Canceled => 2,
        Outcome::InfrastructureFail => 3,
        Outcome::TimedOut => 4,
        Outcome::Failed => 5,
    };
    outcomes.max_by_key(weight).unwrap_or(Outcome::Success)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn job<'a>(name: &'a str, requires: &'a [String], outcome: Option<Outcome>) -> JobState<'a> {
        let phase = if outcome.is_some() { Phase::Ended } else { Phase::Blocked };
        JobState { name, requires, phase, outcome }
    }

    #[test]
    fn a_job_starts_when_all_it_requires_succeeded() {
        let requires = ["a".to_owned(), "b".to_owned()];
        let half = [
            job("a", &[], Some(Outcome::Success)),
            JobState { phase: Phase::Running, ..job("b", &[], None) },
            job("c", &requires, None),
        ];
        assert_eq!(advance(&half), Advance::default());
        let whole = [
            job("a", &[], Some(Outcome::Success)),
            job("b", &[], Some(Outcome::Success)),
            job("c", &requires, None),
        ];
        assert_eq!(advance(&whole).queue, [2]);
    }

    #[test]
    fn what_requires_a_failure_is_not_run_all_the_way_down() {
        let (on_a, on_b) = (["a".to_owned()], ["b".to_owned()]);
        let jobs =
            [job("c", &on_b, None), job("b", &on_a, None), job("a", &[], Some(Outcome::Failed))];
        let result = advance(&jobs);
        assert_eq!(result.not_run, [(1, "a".to_owned()), (0, "b".to_owned())]);
        assert_eq!(result.outcome, Some(Outcome::Failed));
        assert!(result.queue.is_empty());
    }

    #[test]
    fn a_workflow_without_jobs_has_succeeded() {
        assert_eq!(advance(&[]).outcome, Some(Outcome::Success));
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
                    name: &names[n], requires: &requires[n], phase: state.0, outcome: state.1,
                }).collect();
                let next = advance(&jobs);
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
