//! What a configuration compiles to.

use russet_protocol::resource_class::ResourceClass;
use russet_protocol::task::Step;

use crate::Diagnostic;

/// A compiled configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    /// The workflows that are to run, in the order of the text. Never empty.
    pub workflows: Vec<Workflow>,
    /// What is worth knowing but does not stand in the way, in the order of the text.
    pub warnings: Vec<Diagnostic>,
}

/// A set of jobs and their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Workflow {
    /// Name, unique within the configuration.
    pub name: String,
    /// The jobs, in the order of the text. Never empty.
    pub jobs: Vec<Job>,
}

/// A job as one workflow runs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Name, unique within the workflow.
    pub name: String,
    /// Names of the jobs of the same workflow that must succeed first.
    pub requires: Vec<String>,
    /// The queue it waits in. `None` where the configuration leaves that open.
    pub resource_class: Option<ResourceClass>,
    /// Shell of its steps, where the job sets one.
    pub shell: Option<String>,
    /// Working directory of its steps, where the job sets one.
    pub working_directory: Option<String>,
    /// Environment of its steps, each name once, in the order of the text.
    pub environment: Vec<(String, String)>,
    /// The steps, numbered from [`russet_protocol::task::FIRST_STEP`]. Never empty.
    pub steps: Vec<Step>,
}
