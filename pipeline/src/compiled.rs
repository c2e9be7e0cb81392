//! The result of compiling a configuration.

use russet_protocol::resource_class::ResourceClass;
use russet_protocol::task::Step;

use crate::Diagnostic;

/// A compiled configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    /// The workflows that are to run, in the order of the text. Never empty, unless the
    /// configuration was only checked or is a continuation.
    pub workflows: Vec<Workflow>,
    /// Set if it is `setup: true`: one of its jobs makes the configuration that the pipeline goes
    /// on with.
    pub is_setup: bool,
    /// Set if the workflow or job of the options is none of this configuration, which is
    /// `setup: true`, and so has to be one of what it goes on with. All of the setup is run then.
    pub is_selected_later: bool,
    /// Warnings, in the order of the text.
    pub warnings: Vec<Diagnostic>,
}

/// A set of jobs and their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Workflow {
    /// Name, unique within the configuration.
    pub name: String,
    /// The jobs, in the order of the text. Never empty, unless the configuration was only checked.
    pub jobs: Vec<Job>,
}

/// A job as one workflow runs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Name, unique within the workflow.
    pub name: String,
    /// The kind of the job.
    pub kind: JobKind,
    /// Names of the jobs of the same workflow that must end first: with success, if
    /// `requires_status` does not say otherwise.
    pub requires: Vec<String>,
    /// Of those, the ones that may or must end in other ways.
    pub requires_status: Vec<Required>,
    /// Names of the contexts whose variables it gets, in the order in which they win.
    pub contexts: Vec<String>,
    /// The group of whose jobs one runs at a time, in all projects.
    pub serial_group: Option<String>,
    /// Number of tasks that share it, at least 1.
    pub parallelism: u32,
    /// Number of times that it is run again after it failed.
    pub max_auto_reruns: u32,
    /// The queue it waits in. `None` where the configuration leaves that open.
    pub resource_class: Option<ResourceClass>,
    /// Shell of its steps, where the job sets one.
    pub shell: Option<String>,
    /// Working directory of its steps, where the job sets one.
    pub working_directory: Option<String>,
    /// Version of Xcode that it needs; `None`: any will do.
    pub xcode: Option<String>,
    /// Environment of its steps, each name once, in the order of the text.
    pub environment: Vec<(String, String)>,
    /// The steps, numbered from [`russet_protocol::task::FIRST_STEP`]. Empty only for a job that
    /// is not built from steps, or in a configuration that was only checked.
    pub steps: Vec<Step>,
}

/// The kind of a job. [`JobKind::Other`] is refused, unless the configuration is only checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JobKind {
    /// Runs steps.
    #[default]
    Build,
    /// Waits until somebody approves it.
    Approval,
    /// Succeeds at once.
    NoOp,
    /// Another kind of CircleCI's own, such as `release`.
    Other,
}

/// A job that must have ended in one of some ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Required {
    /// Its name in the workflow.
    pub name: String,
    /// The ways.
    pub statuses: Vec<Status>,
}

/// The end of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// It succeeded.
    Success,
    /// It failed.
    Failed,
    /// It was cancelled.
    Canceled,
    /// It was not allowed to run.
    Unauthorized,
    /// It did not run, since what it requires did not end as it should.
    NotRun,
}
