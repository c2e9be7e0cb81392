//! Where a job runs: `machine`, `macos`, `docker` or one of the `executors`, and what an executor
//! shares with a job: class, shell, working directory, environment.

use std::collections::HashMap;

use russet_protocol::resource_class::ResourceClass;

use super::environment::{Variables, unique};
use super::read::Context;
use super::vocabulary;
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::yaml::{Entry, Kind, Mapping, Node, Value};

/// What a job or one of the `executors` says about where it runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Executor {
    /// The key that says what kind it is, where there is one.
    pub(super) kind: Option<(ExecutorKind, Span)>,
    pub(super) resource_class: Option<(String, Span)>,
    pub(super) shell: Option<String>,
    pub(super) working_directory: Option<String>,
    pub(super) environment: Variables,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExecutorKind {
    Machine,
    Macos,
    Docker,
}

impl Executor {
    /// This executor with the gaps filled from another.
    pub(super) fn or(self, other: Self) -> Self {
        let mut environment = other.environment;
        environment.extend(self.environment);
        Self {
            kind: self.kind.or(other.kind),
            resource_class: self.resource_class.or(other.resource_class),
            shell: self.shell.or(other.shell),
            working_directory: self.working_directory.or(other.working_directory),
            environment: unique(environment),
        }
    }
}

/// The `executors` of a configuration by name.
pub(super) type Executors = HashMap<String, Executor>;

impl Context<'_> {
    /// Reads the `executors` of a configuration.
    pub(super) fn executors(&mut self, node: Option<&Node>) -> Executors {
        let mut executors = Executors::new();
        let Some(node) = node else { return executors };
        let Some(mapping) = self.mapping(node, "`executors`") else { return executors };
        for Entry { key, value, .. } in &mapping.entries {
            let what = format!("the executor `{}`", quoted(key));
            let Some(mapping) = self.mapping(value, &what) else { continue };
            self.keys(mapping, &vocabulary::EXECUTOR);
            let executor = self.executor(mapping);
            executors.insert(key.to_string(), executor);
        }
        executors
    }

    /// Reads what a job or one of the `executors` says itself.
    pub(super) fn executor(&mut self, mapping: &Mapping) -> Executor {
        let own = Executor {
            kind: self.executor_kind(mapping),
            resource_class: self.class_text(mapping),
            shell: self.optional_text(mapping, "shell"),
            working_directory: self.optional_text(mapping, "working_directory"),
            environment: self.environment(mapping),
        };
        let inner = [("machine", &vocabulary::MACHINE), ("macos", &vocabulary::MACOS)];
        let mut executor = own;
        for (key, vocabulary) in inner {
            let Some(Value::Mapping(mapping)) = mapping.get(key).map(|node| &node.value) else {
                continue;
            };
            self.keys(mapping, vocabulary);
            executor = executor.or(Executor {
                resource_class: self.class_text(mapping),
                shell: self.optional_text(mapping, "shell"),
                ..Executor::default()
            });
        }
        executor
    }

    fn class_text(&mut self, mapping: &Mapping) -> Option<(String, Span)> {
        let node = mapping.get("resource_class")?;
        Some((self.nonempty(node, "`resource_class`")?, node.span))
    }

    /// Which of `machine`, `macos` and `docker` is there.
    fn executor_kind(&mut self, mapping: &Mapping) -> Option<(ExecutorKind, Span)> {
        let mut found: Option<(ExecutorKind, Span)> = None;
        let kinds = [
            ("machine", ExecutorKind::Machine),
            ("macos", ExecutorKind::Macos),
            ("docker", ExecutorKind::Docker),
        ];
        for (key, kind) in kinds {
            let Some(entry) = mapping.entry(key) else { continue };
            self.check_executor_value(kind, &entry.value);
            if let Some((_, first)) = found {
                self.report(
                    Problem::error(entry.key_span, "a job runs in one executor, not two")
                        .related(first, "the other one is here"),
                );
            } else {
                found = Some((kind, entry.key_span));
            }
        }
        found
    }

    fn check_executor_value(&mut self, kind: ExecutorKind, node: &Node) {
        match (kind, &node.value, node.kind()) {
            (ExecutorKind::Machine, _, Kind::Boolean(true))
            | (ExecutorKind::Docker, Value::List(_), _) => {}
            (ExecutorKind::Machine, Value::Mapping(mapping), _) => {
                if let Some(enabled) = mapping.get("enabled")
                    && !self.flag(mapping, "enabled")
                {
                    self.report(Problem::error(enabled.span, "`enabled` can only be `true`"));
                }
            }
            (ExecutorKind::Macos, Value::Mapping(_), _) => {}
            (ExecutorKind::Machine, ..) => {
                self.wrong_type(node, "`machine`", "`true` or a mapping");
            }
            (ExecutorKind::Macos, ..) => self.wrong_type(node, "`macos`", "a mapping"),
            (ExecutorKind::Docker, ..) => {
                self.wrong_type(node, "`docker`", "a list of images");
            }
        }
    }

    /// The one of the `executors` that a job names.
    pub(super) fn named_executor(&mut self, job: &Mapping, known: &Executors) -> Executor {
        let Some(node) = job.get("executor") else { return Executor::default() };
        let name_node = match &node.value {
            Value::Mapping(mapping) => {
                self.executor_reference_keys(mapping);
                let Some(name) = mapping.get("name") else {
                    self.report(Problem::error(node.span, "`executor` needs a `name`"));
                    return Executor::default();
                };
                name
            }
            _ => node,
        };
        let Some(name) = self.nonempty(name_node, "the name of an executor") else {
            return Executor::default();
        };
        match known.get(&name) {
            Some(executor) => {
                let mut executor = executor.clone();
                // A job that may not run there is told at its own line.
                executor.kind = executor.kind.map(|(kind, _)| (kind, name_node.used_at()));
                executor
            }
            None => {
                self.unknown_executor(&name, name_node.span, known);
                Executor::default()
            }
        }
    }

    /// Keys besides `name` are arguments, which only executors with parameters take.
    fn executor_reference_keys(&mut self, mapping: &Mapping) {
        for entry in mapping.entries.iter().filter(|entry| &*entry.key != "name") {
            self.report(Problem::unsupported(entry.key_span, "an executor with parameters"));
        }
    }

    fn unknown_executor(&mut self, name: &str, span: Span, known: &Executors) {
        if name.contains('/') {
            self.report(Problem::unsupported(span, "an executor of an orb"));
            return;
        }
        let hint = self.suggestions.did_you_mean(name, known.keys().map(String::as_str));
        let message = format!("there is no executor `{}`", quoted(name));
        self.report(Problem::error(span, message).maybe_hint(hint));
    }

    /// The class that a job waits in. `hosted` says whether names of CircleCI's own machines,
    /// such as `large`, are let through as no choice at all.
    pub(super) fn resource_class(
        &mut self,
        text: Option<&(String, Span)>,
        hosted: bool,
    ) -> Option<ResourceClass> {
        let (text, span) = text?;
        let error = match text.parse() {
            Ok(class) => return Some(class),
            Err(error) => error,
        };
        let is_hosted = text.chars().all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c));
        if is_hosted && hosted {
            return None;
        }
        let hint = "write the class of your runners, `namespace/name`, such as `acme/mac-mini`";
        self.report(if is_hosted {
            let message =
                format!("`{}` is a machine of CircleCI's own, not a resource class", quoted(text));
            Problem::error(*span, message).hint(hint).grouped()
        } else {
            Problem::error(*span, quoted_error(&error)).hint(hint)
        });
        None
    }
}

/// The text of an error that quotes what a configuration says, in printable form.
fn quoted_error(error: &russet_protocol::resource_class::InvalidResourceClass) -> String {
    error.to_string().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
