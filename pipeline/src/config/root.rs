//! The top level of a configuration.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::jobs::JobDefinition;
use super::workflows::WorkflowDefinition;
use crate::context::Context;
use crate::expand::{self, Otherwise};
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::suggest;
use crate::vocabulary;
use crate::yaml::{Entry, Kind, Mapping, Node, Value};

/// A configuration that was read.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) jobs: Vec<JobDefinition>,
    pub(crate) workflows: Vec<WorkflowDefinition>,
    /// Set if there are `workflows` at all.
    pub(crate) has_workflows: bool,
    /// Names of workflows whose conditions do not hold, and where those are.
    pub(crate) skipped: BTreeMap<Rc<str>, Span>,
    /// Places of `jobs` and `workflows`, for messages about them as a whole.
    pub(crate) jobs_at: Span,
    pub(crate) workflows_at: Option<Span>,
    /// All of it written out.
    pub(crate) written: Written,
}

/// A configuration with everything written out, to be printed.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) is_setup: bool,
    pub(crate) jobs: Vec<Entry>,
    pub(crate) workflows: Option<Vec<Entry>>,
}

/// Reads a tree. `None` where there is nothing to go on with.
pub(crate) fn read(context: &mut Context<'_>, root: &Node) -> Option<Config> {
    let mapping = context.expect_mapping(root, "a configuration")?;
    context.read_version(mapping);
    let setup = mapping.get("setup").map(Node::kind);
    context.is_setup = setup == Some(Kind::Boolean(true));
    context.root_keys(mapping);
    if let Some(Value::Mapping(commands)) = mapping.get("commands").map(|node| &node.value) {
        context.commands = commands.entries.iter().map(|entry| entry.key.to_string()).collect();
    }
    let expanded = expand::expand(context, mapping, root.span)?;
    let is_setup = context.read_setup(expanded.setup.as_ref());
    if context.options.check {
        let missing: Vec<Problem> = context.missing.values().cloned().collect();
        missing.into_iter().for_each(|problem| context.report(problem));
    }
    let start = Span::new(root.span.start, root.span.start);
    let jobs_entry = mapping.entry("jobs");
    if jobs_entry.is_none() && !context.may_lack_jobs(mapping, start) {
        return None;
    }
    let jobs = context.read_jobs(&expanded.jobs);
    for entry in &expanded.unused_executors {
        context.unused_executor(entry);
    }
    for entry in &expanded.unused_steps {
        context.unused_steps(entry);
    }
    let workflows_entry = mapping.entry("workflows");
    let workflows = context.read_workflows(expanded.workflows.as_deref(), &jobs);
    if let Some(otherwise) = &expanded.otherwise {
        context.check_otherwise(otherwise);
    }
    let has_workflows = expanded.workflows.is_some();
    let is_printed = |entry: &Entry| {
        expanded.used.contains(&entry.key) || (!has_workflows && &*entry.key == "build")
    };
    let written = Written {
        is_setup,
        jobs: expanded.jobs.iter().filter(|entry| is_printed(entry)).cloned().collect(),
        workflows: expanded.workflows,
    };
    Some(Config {
        jobs,
        workflows,
        has_workflows,
        skipped: expanded.skipped,
        jobs_at: jobs_entry.map_or(start, |entry| entry.key_span),
        workflows_at: workflows_entry.map(|entry| entry.key_span),
        written,
    })
}

impl Context<'_> {
    /// Returns whether a configuration may do without `jobs`, as one whose jobs are all of orbs
    /// may.
    fn may_lack_jobs(&mut self, root: &Mapping, start: Span) -> bool {
        if ["orbs", "setup", "workflows"].iter().any(|key| root.get(key).is_some()) {
            return true;
        }
        // A key that is nearly `jobs` has its own error.
        if !root.entries.iter().any(|entry| suggest::nearest(&entry.key, ["jobs"]).is_some()) {
            let problem = Problem::error(start, "the configuration has no `jobs`");
            self.report(problem.hint("write `jobs:`, and below it a job with the name `build`"));
        }
        false
    }

    /// Looks through what there would be under other conditions. That something is not supported or
    /// not there does not matter before they hold.
    fn check_otherwise(&mut self, otherwise: &Otherwise) {
        let jobs = self.read_jobs(&otherwise.jobs);
        let workflows = self.read_workflows(Some(&otherwise.workflows), &jobs);
        let of_jobs = jobs.into_iter().flat_map(|job| job.problems);
        let all = of_jobs.chain(workflows.into_iter().flat_map(|workflow| workflow.problems));
        all.filter(|problem| problem.feature.is_none()).for_each(|problem| self.report(problem));
    }

    /// Returns whether the pipeline goes on with a configuration that it makes itself.
    fn read_setup(&mut self, entry: Option<&Entry>) -> bool {
        let Some(entry) = entry else { return false };
        let is_setup = self.expect_boolean(&entry.value, "`setup`");
        if is_setup && self.options.is_continuation {
            let message = "a pipeline goes on once: what it goes on with is not `setup: true`";
            let hint = "remove the key, or write `setup: false`";
            self.report(Problem::error(entry.key_span, message).hint(hint));
        }
        is_setup
    }

    /// Reads `version`, on which the meaning of `<<` in texts depends.
    fn read_version(&mut self, root: &Mapping) {
        let Some(node) = root.get("version") else {
            let at = root.entries.first().map_or(Span::new(0, 0), |entry| entry.key_span);
            self.report(
                Problem::error(at, "the configuration has no `version`")
                    .hint("write `version: 2.1` in its first line"),
            );
            self.is_2_1 = true;
            return;
        };
        let Some(text) = self.expect_text(node, "`version`") else { return };
        match &*text {
            "2.1" => self.is_2_1 = true,
            "2" | "2.0" => self.is_2_1 = false,
            other => {
                self.is_2_1 = true;
                let message = format!("version `{}` is not supported", quoted(other));
                self.report(Problem::error(node.span, message).hint("write `version: 2.1`"));
            }
        }
    }

    /// Checks the keys of the top level. Real configurations keep anchors under keys of their own
    /// there, so a key that is not known is only wrong if it looks like one that is.
    fn root_keys(&mut self, root: &Mapping) {
        for Entry { key, key_span, value } in &root.entries {
            if let Some(word) = vocabulary::ROOT.word(key) {
                let is_new = ["executors", "commands", "parameters", "orbs", "job-groups"]
                    .contains(&word.name);
                if is_new && !self.is_2_1 {
                    let message = format!("`{}` needs version 2.1", word.name);
                    self.report(Problem::error(*key_span, message).hint("write `version: 2.1`"));
                }
            } else if let Some(hint) = self.suggestions.did_you_mean(key, vocabulary::ROOT.names())
            {
                let message = format!("unknown key `{}` at the top level", quoted(key));
                self.report(Problem::error(*key_span, message).hint(hint));
            } else if !self.is_anchor_holder(*key_span, value) {
                let message = format!("`{}` has no effect at the top level", quoted(key));
                self.report(Problem::warning(*key_span, message));
            }
        }
    }

    /// Returns whether an anchor is given in or on a value.
    fn is_anchor_holder(&self, key: Span, value: &Node) -> bool {
        // What an alias stands for is somewhere else, and looking through it for each of its
        // aliases could take long.
        if value.alias.is_some() {
            return false;
        }
        // An anchor on the value stands between it and its key.
        self.source.written(Span::new(key.end, value.span.end)).contains('&')
    }
}
