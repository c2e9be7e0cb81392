//! `steps:` of a job to the steps that a task agent runs.

use russet_protocol::task::{Action, CheckoutMethod, FIRST_STEP, PRE_TASK_STEP, Run, Step, When};

use super::duration;
use crate::context::{Context, is_empty_text};
use crate::problem::Problem;
use crate::source::{Span, article, quoted};
use crate::vocabulary::{self, Vocabulary};
use crate::yaml::{Entry, Kind, Mapping, Node, Value};

/// Steps of a job at most: the numbers behind are taken by the runner's own steps.
const MOST_STEPS: usize = (PRE_TASK_STEP - FIRST_STEP) as usize;

/// Characters of a command that make its step's heading.
const LONGEST_NAME: usize = 120;

impl Context<'_> {
    /// Reads the steps of a job. `at` is the job's key.
    pub(super) fn read_steps(&mut self, job: &Mapping, name: &str, at: Span) -> Vec<Step> {
        let Some(node) = job.get("steps") else {
            if job.is_incomplete {
                return Vec::new();
            }
            let message = format!("the job `{}` has no `steps`", quoted(name));
            self.report(Problem::error(at, message));
            return Vec::new();
        };
        let Some(items) = self.expect_list(node, "`steps`") else { return Vec::new() };
        if items.is_empty() {
            self.report_no_steps(node, name, at);
        }
        if let Some(item) = items.get(MOST_STEPS) {
            let message = format!("a job has at most {MOST_STEPS} steps");
            self.report(Problem::error(item.used_at(), message));
            return Vec::new();
        }
        let read: Vec<Step> = items.iter().filter_map(|item| self.step(item)).collect();
        let numbers = FIRST_STEP..;
        numbers.zip(read).map(|(number, step)| Step { number, ..step }).collect()
    }

    /// Reports a job without steps: a mistake where none are written, and a warning where
    /// conditions left none. What is written out is of version 2, and may have none.
    fn report_no_steps(&mut self, node: &Node, name: &str, at: Span) {
        let name = quoted(name);
        let is_written = self.source.written(node.span).trim() == "[]";
        if self.is_2_1 && is_written {
            let message = format!("the job `{name}` has an empty list of steps");
            self.report(Problem::error(node.span, message));
        } else {
            let message = format!("the job `{name}` has no steps left, and does nothing");
            let hint = "the conditions of all of its steps fail";
            self.report(Problem::warning(at, message).hint(hint));
        }
    }

    /// Looks through the steps of a command that nothing uses.
    pub(super) fn unused_steps(&mut self, entry: &Entry) {
        let outer = std::mem::take(&mut self.problems);
        if let Value::List(items) = &entry.value.value {
            items.iter().for_each(|item| {
                self.step(item);
            });
        }
        let found = std::mem::replace(&mut self.problems, outer);
        found.into_iter().filter(|p| p.feature.is_none()).for_each(|p| self.report(p));
    }

    /// Reads a step. What is wrong within an orb is told where the configuration uses it.
    fn step(&mut self, node: &Node) -> Option<Step> {
        let before = self.problems.len();
        let step = self.read_step(node);
        if let Some(place) = node.alias.filter(|place| self.source.is_main(*place)) {
            for problem in self.problems.get_mut(before..).unwrap_or_default() {
                if !self.source.is_main(problem.span) && problem.related.is_none() {
                    problem.related = Some((problem.span, "it comes from here".to_owned()));
                    problem.span = place;
                }
            }
        }
        step
    }

    fn read_step(&mut self, node: &Node) -> Option<Step> {
        match &node.value {
            Value::Scalar { text, .. } if node.kind() != Kind::Nothing => {
                let name = self.plain_text(text, node.span)?;
                self.bare_step(&name, node)
            }
            Value::Mapping(mapping) => match mapping.entries.as_slice() {
                [entry] if self.is_2_1 || &*entry.key != "type" => self.keyed_step(entry),
                entries if !self.is_2_1 && mapping.get("type").is_some() => {
                    self.typed_step(entries, mapping, node)
                }
                _ => {
                    self.step_of_many_keys(mapping, node.used_at());
                    None
                }
            },
            _ => {
                self.wrong_type(node, "a step", "a name or a mapping with one key");
                None
            }
        }
    }

    /// A step with its name under `type`, as early configurations of version 2 have it.
    fn typed_step(&mut self, entries: &[Entry], mapping: &Mapping, node: &Node) -> Option<Step> {
        let kind = mapping.entry("type")?;
        let text = self.expect_nonempty(&kind.value, "`type` of a step")?;
        let name = match &*text {
            "shell" => "run",
            "cache-restore" => "restore_cache",
            "cache-save" => "save_cache",
            "artifacts-store" => "store_artifacts",
            "test-results-store" => "store_test_results",
            "setup-docker-engine" => "setup_remote_docker",
            other => other,
        };
        let name = name.replace('-', "_");
        let rest = entries.iter().filter(|entry| &*entry.key != "type").cloned().collect();
        let value = Node::made_mapping(rest, node.span, mapping.is_incomplete);
        let key = std::rc::Rc::from(name);
        self.keyed_step(&Entry { key, key_span: kind.value.span, value })
    }

    /// A step that is only a name.
    fn bare_step(&mut self, name: &str, node: &Node) -> Option<Step> {
        let needs = match name {
            "checkout" => {
                let action = Action::Checkout { path: None, method: None };
                return Some(new_step("Checkout code".to_owned(), When::OnSuccess, action));
            }
            "add_ssh_keys" | "setup_remote_docker" | "install_signing_bundle" => {
                return self.named_step(name, &Node::made_plain("", node.span));
            }
            "run" | "deploy" => "command",
            "store_artifacts" | "store_test_results" => "path",
            "save_cache" | "restore_cache" => "key",
            "persist_to_workspace" => "root",
            "attach_workspace" => "at",
            _ => {
                self.other_step(name, node.span);
                return None;
            }
        };
        let message = format!("the step `{name}` needs {} `{needs}`", article(needs));
        let hint = format!("write `- {name}:` and below it, deeper, `{needs}: …`");
        self.report(Problem::error(node.span, message).hint(hint));
        None
    }

    /// A step with what it does.
    fn keyed_step(&mut self, entry: &Entry) -> Option<Step> {
        let Entry { key, key_span, value } = entry;
        match &**key {
            "run" | "deploy" => self.run_step(value, *key_span),
            "checkout" => self.checkout_step(value),
            "store_artifacts" => self.store_artifacts_step(value, *key_span),
            "store_test_results" => self.store_test_results_step(value, *key_span),
            name @ ("add_ssh_keys" | "setup_remote_docker" | "install_signing_bundle") => {
                self.named_step(name, value)
            }
            name @ ("save_cache"
            | "restore_cache"
            | "persist_to_workspace"
            | "attach_workspace") => self.storage_step(name, value, *key_span),
            name => {
                let name = self.plain_text(name, *key_span)?;
                self.other_step(&name, *key_span);
                None
            }
        }
    }

    /// The usual cause: keys of a step that stand as deep as the step itself.
    fn step_of_many_keys(&mut self, mapping: &Mapping, span: Span) {
        let Some(first) = mapping.entries.first() else {
            self.report(Problem::error(span, "this step is an empty mapping"));
            return;
        };
        let Some(second) = mapping.entries.get(1) else { return };
        let (step, other) = (quoted(&first.key), quoted(&second.key));
        let message = format!("a step has one key, but this one has `{step}` and `{other}`");
        self.report(
            Problem::error(second.key_span, message)
                .related(first.key_span, "the step starts here")
                .hint(format!("if `{other}` belongs to `{step}`, indent it deeper")),
        );
    }

    /// A step that is of an orb that is not there, or is none at all.
    fn other_step(&mut self, name: &str, span: Span) {
        let word = vocabulary::STEP.word(name);
        if self.missing_orb(name) {
            return;
        }
        if word.is_some() {
            let message = format!("the step `{name}` needs version 2.1");
            self.report(Problem::error(span, message).hint("write `version: 2.1`"));
            return;
        }
        let mut known: Vec<&str> = vocabulary::STEP.names().collect();
        known.extend(self.commands.iter().map(String::as_str));
        let hint = self.suggestions.did_you_mean(name, known).unwrap_or_else(|| {
            "a step is one of CircleCI's, such as `run` and `checkout`, or one of the `commands`"
                .to_owned()
        });
        let message = format!("there is no step `{}`", quoted(name));
        self.report(Problem::error(span, message).hint(hint));
    }

    fn run_step(&mut self, node: &Node, at: Span) -> Option<Step> {
        let Value::Mapping(mapping) = &node.value else {
            if node.kind() == Kind::Nothing {
                let hint = "write `- run: make test`, or its keys below it, deeper than `run`";
                self.report(Problem::error(at, "a `run` step needs a `command`").hint(hint));
                return None;
            }
            if node.kind() == Kind::List {
                self.wrong_type(node, "`run`", "a text or a mapping");
                return None;
            }
            let command = self.expect_nonempty(node, "the command of `run`")?;
            return Some(new_step(step_heading(&command), When::OnSuccess, run_action(command)));
        };
        self.check_keys(mapping, &vocabulary::RUN);
        let command = self.required_text(mapping, "command", &vocabulary::RUN, at);
        let name = self.optional_text(mapping, "name");
        let run = Run {
            command: command.clone().unwrap_or_default(),
            shell: self.optional_text(mapping, "shell"),
            environment: self.read_environment(mapping).into_iter().collect(),
            working_directory: self.optional_text(mapping, "working_directory"),
            background: self.read_flag(mapping, "background"),
            no_output_timeout_ms: self.read_timeout(mapping, "no_output_timeout"),
            max_auto_reruns: self.auto_reruns(mapping),
            auto_rerun_delay_ms: self.rerun_delay(mapping),
        };
        let when = self.read_when(mapping, When::OnSuccess);
        let command = command?;
        Some(new_step(name.unwrap_or_else(|| step_heading(&command)), when, Action::Run(run)))
    }

    fn rerun_delay(&mut self, mapping: &Mapping) -> u64 {
        const MOST: u64 = 10 * 60 * 1000;
        let delay = self.read_timeout(mapping, "auto_rerun_delay").unwrap_or_default();
        if let Some(node) = mapping.get("auto_rerun_delay").filter(|_| delay > MOST) {
            self.report(Problem::error(node.span, "`auto_rerun_delay` is `10m` at most"));
        }
        delay
    }

    /// A step that can be a bare name as well.
    fn named_step(&mut self, name: &str, node: &Node) -> Option<Step> {
        let (vocabulary, heading) = match name {
            "add_ssh_keys" => (&vocabulary::ADD_SSH_KEYS, "Installing additional SSH keys"),
            "setup_remote_docker" => {
                (&vocabulary::SETUP_REMOTE_DOCKER, "Setup a remote Docker engine")
            }
            _ => (&vocabulary::INSTALL_SIGNING_BUNDLE, "Install signing bundle"),
        };
        let nothing = Mapping::default();
        let mapping = match node.kind() {
            Kind::Nothing => &nothing,
            _ => self.expect_mapping(node, vocabulary.title)?,
        };
        self.check_keys(mapping, vocabulary);
        let heading = self.optional_text(mapping, "name").unwrap_or_else(|| heading.to_owned());
        let when = self.read_when(mapping, When::OnSuccess);
        let action = match name {
            "add_ssh_keys" => {
                Action::AddSshKeys { fingerprints: self.read_texts(mapping, "fingerprints") }
            }
            "setup_remote_docker" => Action::SetupRemoteDocker,
            _ => Action::InstallSigningBundle { bundles: self.code_signing.clone() },
        };
        Some(new_step(heading, when, action))
    }

    fn checkout_step(&mut self, node: &Node) -> Option<Step> {
        // `checkout:` with nothing behind it is the same as without the colon.
        if node.kind() == Kind::Nothing {
            return self.bare_step("checkout", node);
        }
        let mapping = self.expect_mapping(node, "`checkout`")?;
        self.check_keys(mapping, &vocabulary::CHECKOUT);
        let path = self.optional_text(mapping, "path");
        let method = self.checkout_method(mapping);
        let name = self.optional_text(mapping, "name");
        let when = self.read_when(mapping, When::OnSuccess);
        let name = name.unwrap_or_else(|| "Checkout code".to_owned());
        Some(new_step(name, when, Action::Checkout { path, method }))
    }

    fn checkout_method(&mut self, mapping: &Mapping) -> Option<CheckoutMethod> {
        let node = mapping.get("method").filter(|node| !is_empty_text(node))?;
        let text = self.expect_nonempty(node, "`method`")?;
        match &*text {
            "blobless" => Some(CheckoutMethod::Blobless),
            "full" => Some(CheckoutMethod::Full),
            other => {
                let hint = self
                    .suggestions
                    .did_you_mean(other, ["blobless", "full"])
                    .unwrap_or_else(|| "write `blobless` or `full`".to_owned());
                let message = format!("`{}` is not a method of checkout", quoted(other));
                self.report(Problem::error(node.span, message).hint(hint));
                None
            }
        }
    }

    fn store_artifacts_step(&mut self, node: &Node, at: Span) -> Option<Step> {
        let (mapping, path) = self.read_stored(node, &vocabulary::STORE_ARTIFACTS, at)?;
        let destination = self.optional_text(mapping, "destination");
        if let (Some(text), Some(node)) = (&destination, mapping.get("destination"))
            && text.split('/').any(|part| part == "..")
        {
            // The server refuses these as well; here the mistake has a place.
            let message = "`destination` must be a path without `..`";
            self.report(Problem::error(node.span, message));
        }
        // It is a prefix below the artifacts of the job, also where it starts with a `/`.
        let destination = destination
            .map(|text| text.trim_start_matches('/').to_owned())
            .filter(|text| !text.is_empty());
        let name = self.optional_text(mapping, "name");
        let when = self.read_when(mapping, When::Always);
        let name = name.unwrap_or_else(|| "Uploading artifacts".to_owned());
        Some(new_step(name, when, Action::StoreArtifacts { path: path?, destination }))
    }

    fn store_test_results_step(&mut self, node: &Node, at: Span) -> Option<Step> {
        let (mapping, path) = self.read_stored(node, &vocabulary::STORE_TEST_RESULTS, at)?;
        let name = self.optional_text(mapping, "name");
        let when = self.read_when(mapping, When::Always);
        let name = name.unwrap_or_else(|| "Uploading test results".to_owned());
        Some(new_step(name, when, Action::StoreTestResults { path: path? }))
    }

    /// Returns what the two storing steps share: a mapping with a path.
    fn read_stored<'n>(
        &mut self,
        node: &'n Node,
        vocabulary: &Vocabulary,
        at: Span,
    ) -> Option<(&'n Mapping, Option<String>)> {
        if node.kind() == Kind::Nothing {
            let message = format!("{} needs a `path`", vocabulary.place);
            let hint = "write `path: …` below it, deeper";
            self.report(Problem::error(at, message).hint(hint));
            return None;
        }
        let mapping = self.expect_mapping(node, vocabulary.title)?;
        self.check_keys(mapping, vocabulary);
        Some((mapping, self.required_text(mapping, "path", vocabulary, at)))
    }

    pub(super) fn read_when(&mut self, mapping: &Mapping, default: When) -> When {
        let node = mapping.get("when").filter(|node| !is_empty_text(node));
        let Some(node) = node else { return default };
        let Some(text) = self.expect_text(node, "`when`") else { return default };
        match &*text {
            "on_success" => When::OnSuccess,
            "on_fail" => When::OnFail,
            "always" => When::Always,
            other => {
                let known = ["on_success", "on_fail", "always"];
                let hint = self
                    .suggestions
                    .did_you_mean(other, known)
                    .unwrap_or_else(|| "write `on_success`, `on_fail` or `always`".to_owned());
                let message = format!("`{}` is not a value of `when`", quoted(other));
                self.report(Problem::error(node.span, message).hint(hint));
                default
            }
        }
    }

    /// A duration in milliseconds.
    fn read_timeout(&mut self, mapping: &Mapping, key: &str) -> Option<u64> {
        let node = mapping.get(key).filter(|node| !is_empty_text(node))?;
        let text = self.expect_nonempty(node, &format!("`{key}`"))?;
        match duration::parse(&text) {
            Ok(duration) => u64::try_from(duration.as_millis()).ok(),
            Err(why) => {
                let message = format!("`{}` is not a duration: {why}", quoted(&text));
                self.report(Problem::error(node.span, message));
                None
            }
        }
    }
}

/// A step that has no number yet.
fn new_step(name: String, when: When, action: Action) -> Step {
    Step { number: FIRST_STEP, name, when, action }
}

/// A `run` with nothing but its command.
fn run_action(command: String) -> Action {
    Action::Run(Run {
        command,
        shell: None,
        environment: std::collections::BTreeMap::new(),
        working_directory: None,
        background: false,
        no_output_timeout_ms: None,
        max_auto_reruns: 0,
        auto_rerun_delay_ms: 0,
    })
}

/// The heading of a `run` step without a name: the first line of its command that has something
/// on it.
fn step_heading(command: &str) -> String {
    let lines = || command.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines().next().unwrap_or_default();
    let mut name: String = first.chars().take(LONGEST_NAME).collect();
    if name.len() < first.len() || lines().nth(1).is_some() {
        name.push('…');
    }
    name
}
