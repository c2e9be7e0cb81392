//! `workflows:` of a configuration.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::cron;
use super::graph;
use super::invocation::Invocation;
use super::jobs::JobDefinition;
use crate::compiled::{Required, Status};
use crate::context::{Context, is_empty_text};
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::vocabulary;
use crate::yaml::{Entry, Kind, Mapping, Node, Value};

/// The jobs of a configuration by name.
type Known<'a> = BTreeMap<&'a str, &'a JobDefinition>;

/// A workflow as it is written.
#[derive(Debug)]
pub(crate) struct WorkflowDefinition {
    pub(crate) name: String,
    pub(crate) span: Span,
    /// Set if it runs on a schedule only.
    pub(crate) is_scheduled: bool,
    pub(crate) jobs: Vec<Invocation>,
    /// Its mistakes. Kept apart, since what is not supported yet does not matter in
    /// workflows that do not run.
    pub(crate) problems: Vec<Problem>,
}

impl Context<'_> {
    /// Reads workflows that are written out.
    pub(super) fn read_workflows(
        &mut self,
        entries: Option<&[Entry]>,
        jobs: &[JobDefinition],
    ) -> Vec<WorkflowDefinition> {
        let known: Known<'_> = jobs.iter().map(|job| (&*job.name, job)).collect();
        entries.unwrap_or_default().iter().map(|entry| self.read_workflow(entry, &known)).collect()
    }

    fn read_workflow(&mut self, entry: &Entry, known: &Known<'_>) -> WorkflowDefinition {
        let outer = std::mem::take(&mut self.problems);
        let name = entry.key.to_string();
        let what = format!("the workflow `{}`", quoted(&name));
        let (mut jobs, mut is_scheduled) = (Vec::new(), false);
        // A matrix that is wrong leaves jobs out, which was reported.
        let items = entry.value.entries().iter().find(|entry| &*entry.key == "jobs");
        let is_incomplete = items.is_some_and(|jobs| match &jobs.value.value {
            Value::List(items) => items.iter().any(|item| item.kind() == Kind::Unknown),
            _ => true,
        });
        if let Some(mapping) = self.expect_mapping(&entry.value, &what) {
            self.check_keys(mapping, &vocabulary::WORKFLOW);
            let reruns = self.auto_reruns(mapping);
            is_scheduled = self.check_triggers(mapping);
            jobs = self.workflow_jobs(mapping, &what, entry.key_span, known);
            // A workflow that is run again from what failed is its failed jobs run again.
            jobs.iter_mut().for_each(|job| job.max_auto_reruns = job.max_auto_reruns.max(reruns));
        }
        self.check_names(&jobs);
        self.check_requires(&jobs, is_incomplete);
        let problems = std::mem::replace(&mut self.problems, outer);
        WorkflowDefinition { name, span: entry.key_span, is_scheduled, jobs, problems }
    }

    /// Checks `triggers`. Whether there are any.
    fn check_triggers(&mut self, mapping: &Mapping) -> bool {
        let Some(node) = mapping.get("triggers").filter(|node| node.kind() != Kind::Nothing) else {
            return false;
        };
        let Some(items) = self.expect_list(node, "`triggers`") else { return false };
        for item in items {
            let Some(trigger) = self.expect_mapping(item, "a trigger") else { continue };
            let Some(schedule) = trigger.get("schedule") else {
                let given = trigger.entries.first().map_or("", |entry| &*entry.key);
                let hint = self.suggestions.did_you_mean(given, ["schedule"]);
                let problem = Problem::error(item.used_at(), "a trigger needs a `schedule`");
                self.report(problem.maybe_hint(hint));
                continue;
            };
            let Some(keys) = self.expect_mapping(schedule, "`schedule`") else { continue };
            self.check_keys(keys, &vocabulary::SCHEDULE);
            let cron = self.required_text(keys, "cron", &vocabulary::SCHEDULE, item.used_at());
            if let (Some(text), Some(node)) = (cron, keys.get("cron"))
                && let Err(why) = cron::check_cron(&text)
            {
                let message = format!("`{}` is not a time of a schedule: {why}", quoted(&text));
                self.report(Problem::error(node.used_at(), message).hint(cron::HINT));
            }
            self.read_filters(keys);
        }
        !items.is_empty()
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
        let Some(items) = self.expect_list(node, "`jobs` of a workflow") else { return Vec::new() };
        // Conditions may leave none; that a workflow runs nothing is said where it would run.
        if items.is_empty() && self.source.written(node.span).trim() == "[]" && !self.options.check
        {
            self.report(Problem::error(node.span, format!("{what} has an empty list of jobs")));
        }
        items.iter().filter_map(|item| self.read_invocation(item, known)).collect()
    }

    /// One job of a workflow: a name, or a name with keys.
    fn read_invocation(&mut self, node: &Node, known: &Known<'_>) -> Option<Invocation> {
        let expected = "a name or a mapping with one key";
        match &node.value {
            Value::Scalar { .. } if node.kind() != Kind::Nothing => {
                let job = self.expect_nonempty(node, "the name of a job")?;
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
            _ => self.expect_mapping(&entry.value, &format!("the job `{}`", quoted(&job))),
        };
        // A job that is not built from steps, such as an approval, need not be among the `jobs`.
        if keys.is_none_or(|keys| keys.get("type").is_none()) {
            self.check_job(&job, entry.key_span, known);
        }
        if let Some(keys) = keys {
            self.check_keys(keys, &vocabulary::WORKFLOW_JOB);
            invocation.max_auto_reruns = self.auto_reruns(keys);
            invocation.kind = self.job_kind(keys);
            if let Some(name) = self.optional_text(keys, "name") {
                invocation.name = name;
                invocation.span = keys.get("name").map_or(entry.key_span, Node::used_at);
            }
            self.read_requires(keys, &mut invocation);
            invocation.filters = self.read_filters(keys);
            invocation.contexts = self.read_texts(keys, "context");
            invocation.serial_group = self.serial_group(keys);
        }
        Some(invocation)
    }

    /// The name of a serial group, by the rules of CircleCI's configuration reference.
    fn serial_group(&mut self, keys: &Mapping) -> Option<String> {
        const LONGEST: usize = 512;
        let node = keys.get("serial-group").filter(|node| !is_empty_text(node))?;
        let text = self.optional_text(keys, "serial-group")?;
        let is_allowed = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
        if !text.is_empty() && text.chars().count() <= LONGEST && text.chars().all(is_allowed) {
            return Some(text);
        }
        let message = format!("`{}` cannot be the name of a serial group", quoted(&text));
        let hint = format!("it has 1 to {LONGEST} letters, digits, `.`, `-`, `_` and `/`");
        self.report(Problem::error(node.used_at(), message).hint(hint));
        None
    }

    fn read_requires(&mut self, keys: &Mapping, invocation: &mut Invocation) {
        let is_given = |node: &&Node| node.kind() != Kind::Nothing && !is_empty_text(node);
        let Some(node) = keys.get("requires").filter(is_given) else { return };
        let Some(items) = self.expect_list(node, "`requires`") else { return };
        for item in items.iter().filter(|item| !is_empty_text(item)) {
            if let Value::Mapping(mapping) = &item.value {
                for entry in &mapping.entries {
                    let statuses = self.read_statuses(&entry.value);
                    invocation.requires.push((entry.key.to_string(), entry.key_span));
                    if statuses != [Status::Success] {
                        let name = entry.key.to_string();
                        invocation.statuses.push(Required { name, statuses });
                    }
                }
            } else if let Some(name) = self.expect_nonempty(item, "a job in `requires`") {
                invocation.requires.push((name, item.used_at()));
            }
        }
    }

    /// The statuses of a job that another requires: one, or a list of them.
    fn read_statuses(&mut self, node: &Node) -> Vec<Status> {
        const KNOWN: [&str; 6] =
            ["success", "failed", "canceled", "unauthorized", "not_run", "terminal"];
        let items = match &node.value {
            Value::List(items) => items.to_vec(),
            _ => vec![node.clone()],
        };
        let mut statuses = Vec::new();
        for item in &items {
            let Some(text) = self.expect_nonempty(item, "a status of a job") else { continue };
            match &*text {
                "success" => statuses.push(Status::Success),
                "failed" => statuses.push(Status::Failed),
                "canceled" => statuses.push(Status::Canceled),
                "unauthorized" => statuses.push(Status::Unauthorized),
                "not_run" => statuses.push(Status::NotRun),
                "terminal" => statuses.extend([
                    Status::Success,
                    Status::Failed,
                    Status::Canceled,
                    Status::Unauthorized,
                    Status::NotRun,
                ]),
                other => {
                    let hint = self
                        .suggestions
                        .did_you_mean(other, KNOWN)
                        .unwrap_or_else(|| format!("the statuses are `{}`", KNOWN.join("`, `")));
                    let message = format!("`{}` is not a status of a job", quoted(other));
                    self.report(Problem::error(item.used_at(), message).hint(hint));
                }
            }
        }
        statuses.sort_unstable();
        statuses.dedup();
        statuses
    }

    /// A job that a workflow runs is one of the `jobs`.
    fn check_job(&mut self, job: &str, span: Span, known: &Known<'_>) {
        if known.contains_key(job) {
            return;
        }
        if self.missing_orb(job) {
            return;
        }
        let near = self.suggestions.did_you_mean(job, known.keys().copied());
        let hint = near.unwrap_or_else(|| {
            "define it in `jobs`, or as one of the `job-groups`; only a job with `type: approval` \
             or `type: no-op` needs no definition"
                .to_owned()
        });
        let message = format!("there is no job `{}` in `jobs`", quoted(job));
        self.report(Problem::error(span, message).hint(hint));
    }

    /// Names are unique within a workflow.
    fn check_names(&mut self, jobs: &[Invocation]) {
        let mut seen: HashMap<&str, Span> = HashMap::new();
        for job in jobs {
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

    /// Returns what a job requires is in the workflow, and no job waits for itself.
    fn check_requires(&mut self, jobs: &[Invocation], is_incomplete: bool) {
        let names: BTreeSet<&str> = jobs.iter().map(|job| &*job.name).collect();
        let renamed: HashMap<&str, &str> = jobs.iter().map(|job| (&*job.job, &*job.name)).collect();
        for (required, span) in jobs.iter().flat_map(|job| &job.requires) {
            if !names.contains(&**required) && !is_incomplete {
                let hint = renamed
                    .get(&**required)
                    .map(|name| format!("it is called `{}` here", quoted(name)))
                    .or_else(|| self.suggestions.did_you_mean(required, names.iter().copied()));
                let message = format!("there is no job `{}` in this workflow", quoted(required));
                self.report(Problem::error(*span, message).maybe_hint(hint));
            }
        }
        for cycle in graph::find_cycles(jobs) {
            self.report(cycle);
        }
    }
}
