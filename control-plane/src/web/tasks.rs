//! Steps of a job, grouped by the task that ran them. Pure.
//!
//! The tasks of a parallel job number their steps alike, so a step is known by its task and its
//! number, never by its number alone.

use russet_protocol::admin::StepState;

use super::view::{self, State};
use crate::store::job_tasks::TaskState;

/// A task and its steps.
#[derive(Clone, Debug)]
pub(super) struct TaskView {
    /// Its number within the job: unique, and the `task` of its steps.
    pub(super) ordinal: u32,
    /// Its heading; empty for the only task of a job.
    pub(super) name: String,
    pub(super) state: State,
    pub(super) message: Option<String>,
    pub(super) runner: Option<String>,
    pub(super) steps: Vec<StepState>,
}

/// Groups the steps of a job by its tasks.
pub(super) fn by_task(
    parallelism: u32,
    tasks: Vec<TaskState>,
    steps: &[StepState],
) -> Vec<TaskView> {
    let is_only = tasks.len() == 1;
    let view = |task: TaskState| TaskView {
        ordinal: task.ordinal,
        name: if is_only { String::new() } else { task_name(&task, parallelism) },
        state: view::shown_state(task.phase, task.outcome),
        message: task.message,
        runner: task.runner,
        steps: steps.iter().filter(|step| step.task == task.ordinal).cloned().collect(),
    };
    tasks.into_iter().map(view).collect()
}

/// Returns the heading of a task: its `CIRCLE_NODE_INDEX`, and which run of the job it belongs to.
fn task_name(task: &TaskState, parallelism: u32) -> String {
    let index = task.ordinal.checked_rem(parallelism).unwrap_or_default();
    match (parallelism, task.run) {
        (_, 0) => format!("Task {index}"),
        (..=1, run) => format!("Rerun {run}"),
        (_, run) => format!("Task {index}, rerun {run}"),
    }
}

#[cfg(test)]
mod tests {
    use super::by_task;
    use crate::store::job_tasks::TaskState;
    use russet_protocol::admin::StepState;
    use russet_protocol::outcome::{Outcome, Phase};

    fn task(ordinal: u32, run: u32) -> TaskState {
        let (phase, outcome) = (Phase::Ended, Some(Outcome::Success));
        TaskState { ordinal, run, phase, outcome, message: None, runner: None }
    }

    fn step(task: u32, number: u32) -> StepState {
        StepState {
            number,
            task,
            name: format!("{task}.{number}"),
            background: false,
            outcome: None,
            exit_code: None,
            message: None,
            started_ms: 0,
            ended_ms: None,
            output_bytes: 0,
        }
    }

    #[test]
    fn each_task_has_its_own_steps_and_a_name_of_its_own() {
        let steps = [step(0, 1), step(1, 1), step(0, 2), step(2, 1)];
        let views = by_task(2, vec![task(0, 0), task(1, 0), task(2, 1)], &steps);
        let shown: Vec<_> = views
            .iter()
            .map(|view| {
                let steps: Vec<_> = view.steps.iter().map(|step| &*step.name).collect();
                (&*view.name, steps)
            })
            .collect();
        let second = ("Task 1", vec!["1.1"]);
        assert_eq!(
            shown,
            [("Task 0", vec!["0.1", "0.2"]), second, ("Task 0, rerun 1", vec!["2.1"])]
        );
        assert_eq!(by_task(1, vec![task(0, 0)], &steps)[0].name, "");
        assert_eq!(by_task(1, vec![task(0, 0), task(1, 1)], &steps)[1].name, "Rerun 1");
    }
}
