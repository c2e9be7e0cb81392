//! The top level of a configuration.

use super::jobs::JobDefinition;
use super::read::Context;
use super::vocabulary::{self, Support};
use super::workflows::WorkflowDefinition;
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::suggest;
use crate::yaml::{Entry, Mapping, Node, Value};

/// A configuration that was read.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) jobs: Vec<JobDefinition>,
    pub(crate) workflows: Vec<WorkflowDefinition>,
    /// Where `jobs` and `workflows` stand, for what is said about them as a whole.
    pub(crate) jobs_at: Span,
    pub(crate) workflows_at: Option<Span>,
}

/// Reads a tree. `None` where there is nothing to go on with.
pub(crate) fn read(context: &mut Context<'_>, root: &Node) -> Option<Config> {
    let mapping = context.mapping(root, "a configuration")?;
    context.version(mapping);
    context.root_keys(mapping);
    if let Some(Value::Mapping(commands)) = mapping.get("commands").map(|node| &node.value) {
        context.commands = commands.entries.iter().map(|entry| entry.key.to_string()).collect();
    }
    let executors = context.executors(mapping.get("executors"));
    let start = Span::new(root.span.start, root.span.start);
    let Some(jobs_entry) = mapping.entry("jobs") else {
        // With orbs or `setup` a configuration may do without; those have their own error.
        if ["orbs", "setup"].iter().all(|key| mapping.get(key).is_none()) {
            let keys = mapping.entries.iter();
            let close = keys
                .filter_map(|entry| suggest::nearest(&entry.key, ["jobs"]).map(|_| entry.key_span));
            let problem = Problem::error(start, "the configuration has no `jobs`");
            // A key that is nearly `jobs` has its own error.
            if close.count() == 0 {
                context.report(
                    problem.hint("write `jobs:`, and below it a job with the name `build`"),
                );
            }
        }
        return None;
    };
    let jobs = context.jobs(&jobs_entry.value, &executors);
    let workflows_entry = mapping.entry("workflows");
    let workflows = context.workflows(workflows_entry.map(|entry| &entry.value), &jobs);
    Some(Config {
        jobs,
        workflows,
        jobs_at: jobs_entry.key_span,
        workflows_at: workflows_entry.map(|entry| entry.key_span),
    })
}

impl Context<'_> {
    /// Reads `version`, on which the meaning of `<<` in texts depends.
    fn version(&mut self, root: &Mapping) {
        let Some(node) = root.get("version") else {
            let at = root.entries.first().map_or(Span::new(0, 0), |entry| entry.key_span);
            self.report(
                Problem::error(at, "the configuration has no `version`")
                    .hint("write `version: 2.1` in its first line"),
            );
            self.is_2_1 = true;
            return;
        };
        let Some(text) = self.text(node, "`version`") else { return };
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
                if word.support == Support::NotYet {
                    let feature = format!("`{}`", word.name);
                    self.report(Problem::unsupported(*key_span, feature));
                } else if word.name == "executors" && !self.is_2_1 {
                    let message = "`executors` needs version 2.1";
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

    /// Whether an anchor is given in or on a value.
    fn is_anchor_holder(&self, key: Span, value: &Node) -> bool {
        // What an alias stands for is somewhere else, and looking through it for each of its
        // aliases could take long.
        if value.alias.is_some() {
            return false;
        }
        // An anchor on the value stands between it and its key.
        let written = self.source.text.get(key.end..value.span.end).unwrap_or("");
        written.contains('&')
    }
}
