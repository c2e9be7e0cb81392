//! The place of a job: `machine`, `macos`, `docker` or one of the `executors`, and what an executor
//! shares with a job: class, shell, working directory, environment.

use russet_protocol::resource_class::ResourceClass;
use russet_protocol::xcode::MAX_NAME_CHARS;

use super::environment::{Variables, unique_variables};
use crate::context::{Context, is_empty_text};
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::vocabulary;
use crate::yaml::{Entry, Kind, Mapping, Node, Value};

/// Keys of a job or of one of the `executors` about where it runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Executor {
    /// The key that says what kind it is, where there is one.
    pub(super) kind: Option<(ExecutorKind, Span)>,
    pub(super) resource_class: Option<(String, Span)>,
    pub(super) shell: Option<String>,
    /// Version of Xcode, of `macos`.
    pub(super) xcode: Option<String>,
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
            xcode: self.xcode.or(other.xcode),
            working_directory: self.working_directory.or(other.working_directory),
            environment: unique_variables(environment),
        }
    }
}

impl Context<'_> {
    /// Looks through one of the `executors` that no job uses.
    pub(super) fn unused_executor(&mut self, entry: &Entry) {
        let outer = std::mem::take(&mut self.problems);
        if let Value::Mapping(mapping) = &entry.value.value {
            self.read_executor(mapping);
        }
        let found = std::mem::replace(&mut self.problems, outer);
        found.into_iter().filter(|p| p.feature.is_none()).for_each(|p| self.report(p));
    }

    /// Reads what a job or one of the `executors` says itself.
    pub(super) fn read_executor(&mut self, mapping: &Mapping) -> Executor {
        let own = Executor {
            kind: self.executor_kind(mapping),
            resource_class: self.class_text(mapping),
            shell: self.optional_text(mapping, "shell"),
            xcode: None,
            working_directory: self.optional_text(mapping, "working_directory"),
            environment: self.read_environment(mapping),
        };
        let inner = [("machine", &vocabulary::MACHINE), ("macos", &vocabulary::MACOS)];
        let mut executor = own;
        for (key, vocabulary) in inner {
            let Some(Value::Mapping(mapping)) = mapping.get(key).map(|node| &node.value) else {
                continue;
            };
            self.check_keys(mapping, vocabulary);
            executor = executor.or(Executor {
                resource_class: self.class_text(mapping),
                shell: self.optional_text(mapping, "shell"),
                xcode: self.xcode_text(mapping),
                ..Executor::default()
            });
        }
        executor
    }

    /// Reads the Xcode of `macos`.
    fn xcode_text(&mut self, mapping: &Mapping) -> Option<String> {
        let node = mapping.get("xcode").filter(|node| !is_empty_text(node))?;
        let text = self.expect_nonempty(node, "`xcode`")?;
        if text.chars().count() > MAX_NAME_CHARS || text.chars().any(char::is_control) {
            let message = format!("`{}` is not a version of Xcode", quoted(&text));
            self.report(Problem::error(node.span, message).hint("write `xcode: \"16.2\"`"));
            return None;
        }
        Some(text)
    }

    fn class_text(&mut self, mapping: &Mapping) -> Option<(String, Span)> {
        let node = mapping.get("resource_class").filter(|node| !is_empty_text(node))?;
        if !matches!(node.kind(), Kind::Text | Kind::Unknown) {
            self.wrong_type(node, "`resource_class`", "a name, `namespace/name`");
            return None;
        }
        Some((self.expect_nonempty(node, "`resource_class`")?, node.span))
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
            (ExecutorKind::Machine, _, Kind::Boolean(true)) | (_, Value::Unknown, _) => {}
            (ExecutorKind::Docker, Value::List(images), _) => self.check_images(images),
            (ExecutorKind::Machine, Value::Mapping(mapping), _) => {
                if let Some(enabled) = mapping.get("enabled")
                    && !self.read_flag(mapping, "enabled")
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

    /// Reports that a job names an executor of an orb that is not there. All else was looked at
    /// when the job was written out.
    pub(super) fn named_executor(&mut self, job: &Mapping) {
        let Some(node) = job.get("executor") else { return };
        let name = match &node.value {
            Value::Mapping(mapping) => mapping.get("name").and_then(Node::scalar),
            _ => node.scalar(),
        };
        if let Some(name) = name.map(str::to_owned) {
            self.missing_orb(&name);
        }
    }

    /// Reports the orb of a name that is not there. False where that is not so.
    pub(super) fn missing_orb(&mut self, name: &str) -> bool {
        let problem = name.split_once('/').and_then(|(orb, _)| self.missing.get(orb)).cloned();
        let is_missing = problem.is_some();
        problem.into_iter().for_each(|problem| self.report(problem));
        is_missing
    }

    /// The images of `docker`. They are not used, but what is wrong with them is said.
    fn check_images(&mut self, images: &[Node]) {
        for image in images {
            let Some(mapping) = self.expect_mapping(image, "an image of `docker`") else {
                continue;
            };
            self.check_keys(mapping, &vocabulary::DOCKER);
            self.required_text(mapping, "image", &vocabulary::DOCKER, image.used_at());
        }
    }

    /// The class that a job waits in. `hosted` says whether names of CircleCI's own machines,
    /// such as `large`, are let through as no choice at all.
    pub(super) fn resource_class(
        &mut self,
        text: Option<&(String, Span)>,
        hosted: bool,
    ) -> Option<ResourceClass> {
        let (text, span) = text?;
        if let Some(class) = self.options.class_aliases.get(text) {
            return Some(class.clone());
        }
        let error = match text.parse() {
            Ok(class) => return Some(class),
            Err(error) => error,
        };
        if is_machine_name(text) && hosted {
            return None;
        }
        let hint = "write the class of your runners, `namespace/name`, such as `acme/mac-mini`";
        self.report(if is_hosted(text) {
            let name = quoted(text);
            let message = format!("`{name}` is a machine of CircleCI's own, not a resource class");
            let hint =
                format!("{hint}, or let it stand for that: `--class-alias {name}=acme/mac-mini`");
            Problem::error(*span, message).hint(hint).grouped()
        } else {
            Problem::error(*span, quoted_error(&error)).hint(hint)
        });
        None
    }
}

/// Says whether a text can be the name of a machine that is not one of the owner's.
fn is_machine_name(text: &str) -> bool {
    let is_value = matches!(text, "true" | "false") || text.parse::<f64>().is_ok();
    !is_value && text.chars().all(|c| c.is_ascii_alphanumeric() || "._+-".contains(c))
}

/// Says whether a text is the name of a machine of CircleCI's own: one of its sizes, which may
/// stand between other words, as in `macos.m1.medium.gen1`.
fn is_hosted(text: &str) -> bool {
    let is_size = |word: &str| {
        let word = word.trim_end_matches('+');
        let large = word.trim_start_matches(|c: char| c.is_ascii_digit());
        matches!(word, "small" | "medium" | "large" | "metal") || large == "xlarge"
    };
    is_machine_name(text) && text.split('.').any(is_size)
}

/// The text of an error that quotes what a configuration says, in printable form.
fn quoted_error(error: &russet_protocol::resource_class::InvalidResourceClass) -> String {
    russet_text::one_line(&error.to_string())
}

#[cfg(test)]
mod tests {
    use super::is_hosted;

    #[test]
    fn machines_of_circleci_are_told_from_other_words() {
        for name in [
            "small",
            "medium+",
            "large",
            "2xlarge+",
            "arm.medium",
            "gpu.nvidia.small.multi",
            "m4pro.medium",
            "macos.m1.medium.gen1",
            "macos.x86.medium.gen2",
            "windows.large",
            "macos.x86.metal.gen1",
        ] {
            assert!(is_hosted(name), "{name}");
        }
        for other in ["true", "false", "1", "1.5", "mine", "acme/large", "largest", "", "-"] {
            assert!(!is_hosted(other), "{other}");
        }
    }
}
