//! `jobs:` of a configuration.

use russet_protocol::resource_class::ResourceClass;
use russet_protocol::task::{Action, Step};

use super::environment::Variables;
use super::executors::{Executor, ExecutorKind};
use super::filters::Filter;
use super::not_run;
use crate::compiled::JobKind;
use crate::context::{Context, is_empty_text};
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::vocabulary;
use crate::yaml::{Entry, Kind, Mapping};

/// A job as it is defined, before a workflow runs it.
#[derive(Debug)]
pub(crate) struct JobDefinition {
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) resource_class: Option<ResourceClass>,
    pub(crate) shell: Option<String>,
    pub(crate) working_directory: Option<String>,
    /// Version of Xcode that it needs.
    pub(crate) xcode: Option<String>,
    pub(crate) environment: Variables,
    pub(crate) steps: Vec<Step>,
    pub(crate) kind: JobKind,
    pub(crate) parallelism: u32,
    pub(crate) max_auto_reruns: u32,
    /// Branches that it runs for where there are no workflows.
    pub(crate) branches: Option<Filter>,
    /// Its mistakes. Kept apart, since what is not supported yet does not matter in jobs
    /// that do not run.
    pub(crate) problems: Vec<Problem>,
}

impl JobDefinition {
    /// Returns what stands for a job that is not among the `jobs`, since it is not built from
    /// steps.
    pub(crate) fn without_steps(name: &str, span: Span) -> Self {
        Self {
            name: name.to_owned(),
            span,
            resource_class: None,
            shell: None,
            working_directory: None,
            xcode: None,
            environment: Variables::default(),
            steps: Vec::new(),
            kind: JobKind::Other,
            parallelism: 1,
            max_auto_reruns: 0,
            branches: None,
            problems: Vec::new(),
        }
    }

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
        Action::SaveCache { key, paths, .. } => key.len() + text_size(paths),
        Action::RestoreCache { keys } => text_size(keys),
        Action::PersistToWorkspace { root, paths } => root.len() + text_size(paths),
        Action::AttachWorkspace { at } => at.len(),
        Action::Checkout { .. }
        | Action::AddSshKeys { .. }
        | Action::InstallSigningBundle { .. }
        | Action::SetupRemoteDocker
        | Action::StoreArtifacts { .. }
        | Action::StoreTestResults { .. } => 64,
    };
    text + step.name.len() + 256
}

fn text_size(texts: &[String]) -> usize {
    texts.iter().map(|text| text.len() + 24).sum()
}

impl Context<'_> {
    /// Reads jobs that are written out.
    pub(super) fn read_jobs(&mut self, entries: &[Entry]) -> Vec<JobDefinition> {
        entries.iter().map(|entry| self.read_job(entry)).collect()
    }

    fn read_job(&mut self, entry: &Entry) -> JobDefinition {
        let outer = std::mem::take(&mut self.problems);
        let mut job = JobDefinition {
            name: entry.key.to_string(),
            span: entry.key_span,
            resource_class: None,
            shell: None,
            working_directory: None,
            xcode: None,
            environment: Variables::new(),
            steps: Vec::new(),
            kind: JobKind::Build,
            parallelism: 1,
            max_auto_reruns: 0,
            branches: None,
            problems: Vec::new(),
        };
        let what = format!("the job `{}`", quoted(&entry.key));
        if let Some(mapping) = self.expect_mapping(&entry.value, &what) {
            self.job_body(mapping, &mut job);
        }
        job.problems = std::mem::replace(&mut self.problems, outer);
        job
    }

    fn job_body(&mut self, mapping: &Mapping, job: &mut JobDefinition) {
        self.check_keys(mapping, &vocabulary::JOB);
        job.kind = self.job_kind(mapping);
        job.parallelism = self.read_parallelism(mapping);
        self.code_signing = self.read_texts(mapping, "code_signing");
        job.branches =
            mapping.get("branches").and_then(|node| self.read_filter(node, "`branches`"));
        job.max_auto_reruns = self.auto_reruns(mapping);
        self.named_executor(mapping);
        let executor = self.read_executor(mapping);
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
        job.xcode = executor.xcode;
        job.environment = executor.environment;
        // A job of another type than `build` has none, and an error of its own.
        if job.kind == JobKind::Build || mapping.get("steps").is_some() {
            job.steps = self.read_steps(mapping, &job.name, job.span);
        }
        if let Some(kept) = self.cache_retention(mapping) {
            for step in &mut job.steps {
                if let Action::SaveCache { retention_ms, .. } = &mut step.action {
                    *retention_ms = Some(kept);
                }
            }
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
            None if mapping.get("executor").is_some() || job.kind != JobKind::Build => {}
            None if self.options.on_host || mapping.is_incomplete => {}
            None => {
                let message = format!("the job `{name}` does not say where it runs");
                let hint = "add `machine: true` and the `resource_class` of your runners";
                self.report(Problem::error(job.span, message).hint(hint));
            }
        }
    }

    fn read_parallelism(&mut self, mapping: &Mapping) -> u32 {
        const MOST: u32 = 1000;
        let node = mapping.get("parallelism").filter(|node| !is_empty_text(node));
        let Some(node) = node else { return 1 };
        let Some(text) = self.expect_text(node, "`parallelism`") else { return 1 };
        match text.parse::<u32>() {
            Ok(count) if (1..=MOST).contains(&count) => count,
            _ => {
                self.wrong_type(node, "`parallelism`", "a number from 1 to 1000");
                1
            }
        }
    }

    /// Returns what kind of job a `type` makes it.
    pub(super) fn job_kind(&mut self, mapping: &Mapping) -> JobKind {
        const TYPES: [&str; 6] = ["build", "approval", "no-op", "release", "lock", "unlock"];
        let node = mapping.get("type").filter(|node| !is_empty_text(node));
        let Some(node) = node else { return JobKind::Build };
        let Some(text) = self.expect_nonempty(node, "`type`") else { return JobKind::Other };
        let kind = match &*text {
            "build" => return JobKind::Build,
            "approval" => return JobKind::Approval,
            "no-op" => return JobKind::NoOp,
            "release" | "lock" | "unlock" => JobKind::Other,
            other => {
                let hint = self
                    .suggestions
                    .did_you_mean(other, TYPES)
                    .unwrap_or_else(|| format!("the types are `{}`", TYPES.join("`, `")));
                let message = format!("`{}` is not a type of jobs", quoted(other));
                self.report(Problem::error(node.span, message).hint(hint));
                return JobKind::Other;
            }
        };
        let problem = Problem::unsupported(node.span, not_run::job_type(&text));
        self.report(problem.hint(not_run::replacement_for(&text)));
        kind
    }

    /// Returns how often something is run again after it failed.
    pub(super) fn auto_reruns(&mut self, mapping: &Mapping) -> u32 {
        let node = mapping.get("max_auto_reruns").filter(|node| !is_empty_text(node));
        let Some(node) = node else { return 0 };
        // 0 is what the default of a parameter says for "not at all".
        if node.kind() == Kind::Number && node.scalar() == Some("0") {
            return 0;
        }
        let count = node.scalar().and_then(|text| text.parse::<u32>().ok());
        match count.filter(|count| (1..=10).contains(count)) {
            Some(count) => count,
            None => {
                self.wrong_type(node, "`max_auto_reruns`", "a number from 1 to 10");
                0
            }
        }
    }
}
