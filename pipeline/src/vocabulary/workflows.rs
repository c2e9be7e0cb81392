//! Words of workflows, matrices, filters and schedules.

use super::{Vocabulary, new, yes};

pub(crate) const WORKFLOWS: Vocabulary = Vocabulary {
    title: "`workflows`",
    place: "`workflows`",
    words: &[yes("version", "Accepted and ignored, as in CircleCI's version 2.1.")],
};

pub(crate) const WORKFLOW: Vocabulary = Vocabulary {
    title: "A workflow",
    place: "a workflow",
    words: &[
        yes("jobs", "Names of jobs, bare or with the keys below. Required."),
        yes("description", "For people."),
        new("when", "A condition: the workflow runs if it holds."),
        new("unless", "A condition: the workflow runs if it does not hold."),
        yes("triggers", "A schedule. Such a workflow runs only where `--workflow` names it."),
        yes("max_auto_reruns", "How often each of its jobs is run again after it failed: 1 to 10."),
    ],
};

pub(crate) const WORKFLOW_JOB: Vocabulary = Vocabulary {
    title: "A job of a workflow",
    place: "a job of a workflow",
    words: &[
        yes(
            "requires",
            "Names of jobs of this workflow that must succeed first, or that must end in other \
             ways, as in `- build: [success, failed]`.",
        ),
        yes("name", "Name within the workflow. Default: the job's own."),
        yes("filters", "`branches` and `tags`, or an expression."),
        new("matrix", "One job for each combination of values."),
        new("pre-steps", "Steps before those of the job."),
        new("post-steps", "Steps after those of the job."),
        new("when", "A condition: the job runs if it holds."),
        new("unless", "A condition: the job runs if it does not hold."),
        yes("type", "As in a job: with `approval` or `no-op` it need not be among the `jobs`."),
        yes("context", "Contexts whose variables the job gets: a name, or a list of them."),
        yes("serial-group", "The group of whose jobs one runs at a time, in all projects."),
        yes(
            "override-with",
            "A job of an orb that is run in place of this one, where there is such a job.",
        ),
        yes("max_auto_reruns", "How often it is run again after it failed: 1 to 10."),
    ],
};

pub(crate) const GROUP_IN_WORKFLOW: Vocabulary = Vocabulary {
    title: "A job group of a workflow",
    place: "a job group of a workflow",
    words: &[
        yes("requires", "What those of its jobs wait for that require none of the group."),
        yes("serial-group", "For each of its jobs. Others may run between them, with a warning."),
        yes("filters", "For each of its jobs."),
        yes("when", "For each of its jobs."),
        yes("unless", "For each of its jobs."),
    ],
};

pub(crate) const MATRIX: Vocabulary = Vocabulary {
    title: "`matrix`",
    place: "`matrix`",
    words: &[
        yes("parameters", "Lists of values by parameter. Required. At most 128 combinations."),
        yes("exclude", "Combinations that are left out."),
        yes("alias", "Name of all of its jobs in `requires`. Default: the job's own."),
    ],
};

pub(crate) const FILTERS: Vocabulary = Vocabulary {
    title: "`filters`",
    place: "`filters`",
    words: &[
        yes("branches", "Which branches the job runs for. Default: all."),
        yes("tags", "Which tags the job runs for. Default: none."),
    ],
};

pub(crate) const FILTER: Vocabulary = Vocabulary {
    title: "`branches` and `tags`",
    place: "a filter",
    words: &[
        yes("only", "A name or `/pattern/`, or a list of them: the job runs for these."),
        yes("ignore", "The same: the job does not run for these."),
    ],
};

pub(crate) const SCHEDULE: Vocabulary = Vocabulary {
    title: "`schedule` of a workflow's `triggers`",
    place: "`schedule`",
    words: &[
        yes("cron", "When. Required."),
        yes("filters", "Branches that it runs for. Required."),
    ],
};
