//! `jobs:` of a configuration.

use std::collections::BTreeSet;

use russet_protocol::resource_class::ResourceClass;
use russet_protocol::task::{Action, Step};

use super::environment::Variables;
use super::executors::{Executor, ExecutorKind, Executors};
use super::read::Context;
use super::vocabulary;
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::yaml::{Entry, Kind, Mapping, Node, Value};

/// A job as it is defined, before a workflow runs it.
#[derive(Clone, Debug)]
pub(crate) struct JobDefinition {
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) resource_class: Option<ResourceClass>,
    pub(crate) shell: Option<String>,
    pub(crate) working_directory: Option<String>,
    pub(crate) environment: Variables,
    pub(crate) steps: Vec<Step>,
    /// Names of its parameters.
    pub(crate) parameters: BTreeSet<String>,
    /// What is wrong with it. Kept apart, since what is not supported yet does not matter in jobs
    /// that do not run.
    pub(crate) problems: Vec<Problem>,
}

impl JobDefinition {
    /// Bytes that one more copy of the job takes, roughly.
    pub(crate) fn size(&self) -> usize {
        let variables: usize = self.environment.iter().map(|(k, v)| k.len() + v.len() + 64).sum();
        self.steps.iter().map(step_size).sum::<usize>() + variables + 256
    }
}

fn step_size(step: &Step) -> usize {
    let text = match &step.action {
        Action::Run(run) => {
            let variables = run.environment.iter();
            run.command.len() + variables.map(|(k, v)| k.len() + v.len() + 64).sum::<usize>()
        }
        Action::Checkout { .. }
        | Action::StoreArtifacts { .. }
        | Action::StoreTestResults { .. } => 64,
    };
    text + step.name.len() + 256
}

impl Context<'_> {
    /// Reads the `jobs` of a configuration.
    pub(super) fn jobs(&mut self, node: &Node, executors: &Executors) -> Vec<JobDefinition> {
        let Some(mapping) = self.mapping(node, "`jobs`") else { return Vec::new() };
        mapping.entries.iter().map(|entry| self.job(entry, executors)).collect()
    }

    fn job(&mut self, entry: &Entry, executors: &Executors) -> JobDefinition {
        let outer = std::mem::take(&mut self.problems);
        let mut job = JobDefinition {
            name: entry.key.to_string(),
            span: entry.key_span,
            resource_class: None,
            shell: None,
            working_directory: None,
            environment: Variables::new(),
            steps: Vec::new(),
            parameters: BTreeSet::new(),
            problems: Vec::new(),
        };
        let what = format!("the job `{}`", quoted(&entry.key));
        if let Some(mapping) = self.mapping(&entry.value, &what) {
            self.job_body(mapping, executors, &mut job);
        }
        job.problems = std::mem::replace(&mut self.problems, outer);
        job
    }

    fn job_body(&mut self, mapping: &Mapping, executors: &Executors, job: &mut JobDefinition) {
        self.keys(mapping, &vocabulary::JOB);
        self.parallelism(mapping);
        if let Some(Value::Mapping(parameters)) = mapping.get("parameters").map(|node| &node.value)
        {
            job.parameters = parameters.entries.iter().map(|entry| entry.key.to_string()).collect();
        }
        let named = self.named_executor(mapping, executors);
        let executor = self.executor(mapping).or(named);
        self.check_executor(&executor, mapping, job);

        let options = self.options;
        let is_machine =
            matches!(executor.kind, Some((ExecutorKind::Machine | ExecutorKind::Macos, _)));
        // Where the caller chooses the class, or the job was written for containers, the size of
        // a machine of CircleCI's own says nothing.
        let hosted = options.resource_class.is_some() || !is_machine;
        let class = self.resource_class(executor.resource_class.as_ref(), hosted);
        job.resource_class = options.resource_class.clone().or(class);
        job.shell = executor.shell;
        job.working_directory = executor.working_directory;
        job.environment = executor.environment;
        // A job of another type than `build` has none, and an error of its own.
        if mapping.get("type").is_none() || mapping.get("steps").is_some() {
            job.steps = self.steps(mapping, &job.name, job.span);
        }
    }

    /// A job has an executor, and it is one that a machine without containers can be.
    fn check_executor(&mut self, executor: &Executor, mapping: &Mapping, job: &JobDefinition) {
        let name = quoted(&job.name);
        match executor.kind {
            Some((ExecutorKind::Docker, span)) if self.options.on_host => {
                let message = format!(
                    "the steps of `{name}` run on the machine itself, without its images and \
                     services"
                );
                self.report(Problem::warning(span, message));
            }
            Some((ExecutorKind::Docker, span)) => {
                let message = "`docker` jobs are not supported: no containers are run here";
                let hint = "`--on-host` runs their steps on the machine itself, without the \
                            images; or write `machine: true`";
                self.report(Problem::error(span, message).hint(hint).grouped());
            }
            Some((ExecutorKind::Machine | ExecutorKind::Macos, _)) => {}
            // An executor that is not known, or the key of a job that is not a plain one, has an
            // error of its own.
            None if ["executor", "type"].iter().any(|key| mapping.get(key).is_some()) => {}
            None if self.options.on_host || mapping.is_incomplete => {}
            None => {
                let message = format!("the job `{name}` does not say where it runs");
                let hint = "add `machine: true` and the `resource_class` of your runners";
                self.report(Problem::error(job.span, message).hint(hint));
            }
        }
    }

    fn parallelism(&mut self, mapping: &Mapping) {
        let Some(node) = mapping.get("parallelism") else { return };
        let Some(text) = self.text(node, "`parallelism`") else { return };
        match text.parse::<u32>() {
            Ok(1) => {}
            Ok(count) if count > 1 && node.kind() != Kind::Text => {
                self.report(Problem::unsupported(node.span, "`parallelism` of more than 1"));
            }
            _ => self.wrong_type(node, "`parallelism`", "a number from 1 up"),
        }
    }
}
