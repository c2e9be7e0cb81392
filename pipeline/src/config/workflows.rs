//! `workflows:` of a configuration.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::graph;
use super::jobs::JobDefinition;
use super::read::Context;
use super::vocabulary;
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::yaml::{Entry, Kind, Mapping, Node, Value};

/// The jobs of a configuration by name.
type Known<'a> = BTreeMap<&'a str, &'a JobDefinition>;

/// A workflow as it is written.
#[derive(Clone, Debug)]
pub(crate) struct WorkflowDefinition {
    pub(crate) name: String,
    pub(crate) jobs: Vec<Invocation>,
    /// What is wrong with it. Kept apart, since what is not supported yet does not matter in
    /// workflows that do not run.
    pub(crate) problems: Vec<Problem>,
}

/// A job of a workflow.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    /// Name within the workflow.
    pub(crate) name: String,
    /// Name among the `jobs`.
    pub(crate) job: String,
    pub(crate) span: Span,
    pub(crate) requires: Vec<(String, Span)>,
    /// Whether it stands for several jobs, whose names are made from its own.
    pub(crate) is_matrix: bool,
}

impl Invocation {
    /// A job with nothing but its name.
    pub(crate) fn new(job: &str, span: Span) -> Self {
        let (name, job) = (job.to_owned(), job.to_owned());
        Self { name, job, span, requires: Vec::new(), is_matrix: false }
    }
}

impl Context<'_> {
    /// Reads the `workflows` of a configuration.
    pub(super) fn workflows(
        &mut self,
        node: Option<&Node>,
        jobs: &[JobDefinition],
    ) -> Vec<WorkflowDefinition> {
        let Some(node) = node else { return Vec::new() };
        let Some(mapping) = self.mapping(node, "`workflows`") else { return Vec::new() };
        let known: Known<'_> = jobs.iter().map(|job| (&*job.name, job)).collect();
        let entries = mapping.entries.iter();
        entries
            .filter(|entry| vocabulary::WORKFLOWS.word(&entry.key).is_none())
            .map(|entry| self.workflow(entry, &known))
            .collect()
    }

    fn workflow(&mut self, entry: &Entry, known: &Known<'_>) -> WorkflowDefinition {
        let outer = std::mem::take(&mut self.problems);
        let name = entry.key.to_string();
        let what = format!("the workflow `{}`", quoted(&name));
        let mut jobs = Vec::new();
        if let Some(mapping) = self.mapping(&entry.value, &what) {
            self.keys(mapping, &vocabulary::WORKFLOW);
            jobs = self.workflow_jobs(mapping, &what, entry.key_span, known);
        }
        self.check_names(&jobs);
        self.check_requires(&jobs);
        let problems = std::mem::replace(&mut self.problems, outer);
        WorkflowDefinition { name, jobs, problems }
    }

    fn workflow_jobs(
        &mut self,
        mapping: &Mapping,
        what: &str,
        at: Span,
        known: &Known<'_>,
    ) -> Vec<Invocation> {
        let Some(node) = mapping.get("jobs") else {
            if mapping.is_incomplete {
                return Vec::new();
            }
            self.report(Problem::error(at, format!("{what} has no `jobs`")));
            return Vec::new();
        };
        let Some(items) = self.list(node, "`jobs` of a workflow") else { return Vec::new() };
        if items.is_empty() {
            self.report(Problem::error(node.span, format!("{what} has an empty list of jobs")));
        }
        items.iter().filter_map(|item| self.invocation(item, known)).collect()
    }

    /// One job of a workflow: a name, or a name with keys.
    fn invocation(&mut self, node: &Node, known: &Known<'_>) -> Option<Invocation> {
        let expected = "a name or a mapping with one key";
        match &node.value {
            Value::Scalar { .. } if node.kind() != Kind::Nothing => {
                let job = self.nonempty(node, "the name of a job")?;
                self.check_job(&job, node.span, known);
                Some(Invocation::new(&job, node.span))
            }
            Value::Mapping(mapping) => match mapping.entries.as_slice() {
                [entry] => self.keyed_invocation(entry, known),
                [first, second, ..] => {
                    let (job, other) = (quoted(&first.key), quoted(&second.key));
                    self.report(
                        Problem::error(
                            second.key_span,
                            format!("a job of a workflow has one key, but this has `{job}` and `{other}`"),
                        )
                        .related(first.key_span, "the job starts here")
                        .hint(format!("if `{other}` belongs to `{job}`, indent it deeper")),
                    );
                    None
                }
                [] => {
                    self.wrong_type(node, "a job of a workflow", expected);
                    None
                }
            },
            _ => {
                self.wrong_type(node, "a job of a workflow", expected);
                None
            }
        }
    }

    fn keyed_invocation(&mut self, entry: &Entry, known: &Known<'_>) -> Option<Invocation> {
        let job = self.plain_text(&entry.key, entry.key_span)?;
        let mut invocation = Invocation::new(&job, entry.key_span);
        let keys = match &entry.value.value {
            // `- build:` with nothing behind it is the bare name.
            Value::Scalar { .. } if entry.value.kind() == Kind::Nothing => None,
            _ => self.mapping(&entry.value, &format!("the job `{}`", quoted(&job))),
        };
        // A job that is not built from steps, such as an approval, need not be among the `jobs`.
        if keys.is_none_or(|keys| keys.get("type").is_none()) {
            self.check_job(&job, entry.key_span, known);
        }
        if let Some(keys) = keys {
            self.invocation_keys(keys, &job, known);
            invocation.is_matrix = keys.get("matrix").is_some();
            if let Some(name) = self.optional_text(keys, "name") {
                invocation.name = name;
                invocation.span = keys.get("name").map_or(entry.key_span, Node::used_at);
            }
            invocation.requires = self.requires(keys);
        }
        Some(invocation)
    }

    /// Checks the keys of a job of a workflow: our words, and arguments where the job has
    /// parameters of these names, or is of an orb, whose parameters are not known.
    fn invocation_keys(&mut self, keys: &Mapping, job: &str, known: &Known<'_>) {
        let parameters = known.get(job).map(|job| &job.parameters);
        let is_argument = |key: &str| match parameters {
            Some(parameters) => parameters.contains(key),
            None => job.contains('/') && vocabulary::WORKFLOW_JOB.word(key).is_none(),
        };
        let (arguments, words): (Vec<&Entry>, Vec<&Entry>) =
            keys.entries.iter().partition(|entry| is_argument(&entry.key));
        for argument in arguments {
            let feature = "a job with arguments in a workflow";
            self.report(Problem::unsupported(argument.key_span, feature));
        }
        self.words(words, &vocabulary::WORKFLOW_JOB);
    }

    fn requires(&mut self, keys: &Mapping) -> Vec<(String, Span)> {
        let Some(node) = keys.get("requires") else { return Vec::new() };
        let Some(items) = self.list(node, "`requires`") else { return Vec::new() };
        let mut requires = Vec::new();
        for item in items {
            if let (Value::Mapping(_), span) = (&item.value, item.used_at()) {
                let feature = "`requires` with the statuses of a job";
                self.report(Problem::unsupported(span, feature));
            } else if let Some(name) = self.nonempty(item, "a job in `requires`") {
                requires.push((name, item.span));
            }
        }
        requires
    }

    /// A job that a workflow runs is one of the `jobs`.
    fn check_job(&mut self, job: &str, span: Span, known: &Known<'_>) {
        if known.contains_key(job) {
            return;
        }
        if job.contains('/') {
            let feature = format!("the job `{}` of an orb", quoted(job));
            self.report(Problem::unsupported(span, feature));
            return;
        }
        let hint = self.suggestions.did_you_mean(job, known.keys().copied());
        let message = format!("there is no job `{}` in `jobs`", quoted(job));
        self.report(Problem::error(span, message).maybe_hint(hint));
    }

    /// Names are unique within a workflow.
    fn check_names(&mut self, jobs: &[Invocation]) {
        let mut seen: HashMap<&str, Span> = HashMap::new();
        for job in jobs.iter().filter(|job| !job.is_matrix) {
            if let Some(first) = seen.get(&*job.name) {
                self.report(
                    Problem::error(
                        job.span,
                        format!("`{}` is already a job of this workflow", quoted(&job.name)),
                    )
                    .related(*first, "it is here for the first time")
                    .hint("give one of them another `name`"),
                );
            } else {
                seen.insert(&job.name, job.span);
            }
        }
    }

    /// What a job requires is in the workflow, and no job waits for itself.
    fn check_requires(&mut self, jobs: &[Invocation]) {
        let names: BTreeSet<&str> = jobs.iter().map(|job| &*job.name).collect();
        let renamed: HashMap<&str, &str> = jobs.iter().map(|job| (&*job.job, &*job.name)).collect();
        let names_are_known = !jobs.iter().any(|job| job.is_matrix);
        for (required, span) in jobs.iter().flat_map(|job| &job.requires) {
            if names_are_known && !names.contains(&**required) {
                let hint = renamed
                    .get(&**required)
                    .map(|name| format!("it is called `{}` here", quoted(name)))
                    .or_else(|| self.suggestions.did_you_mean(required, names.iter().copied()));
                let message = format!("there is no job `{}` in this workflow", quoted(required));
                self.report(Problem::error(*span, message).maybe_hint(hint));
            }
        }
        for cycle in graph::cycles(jobs) {
            self.report(cycle);
        }
    }
}
