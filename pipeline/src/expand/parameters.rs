//! Parameters of commands, executors, jobs and pipelines: their declarations, and the check of a
//! value against its type.

use std::collections::HashMap;
use std::rc::Rc;

use super::Expander;
use super::value_text::truth_text;
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::vocabulary;
use crate::yaml::{Entry, Kind as NodeKind, Mapping, Node, Value};

/// The type of a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Boolean,
    Integer,
    Enum(Vec<Rc<str>>),
    Executor,
    Steps,
    EnvVarName,
    /// The declaration is wrong, which was reported.
    Unknown,
}

/// A declared parameter.
#[derive(Clone, Debug)]
pub(super) struct Parameter {
    pub(super) name: Rc<str>,
    pub(super) key_span: Span,
    pub(super) kind: Kind,
    pub(super) default: Option<Node>,
}

/// The value of a parameter in one use of what declares it.
#[derive(Clone, Debug)]
pub(crate) struct Argument {
    /// The value, written out.
    pub(super) node: Node,
    pub(super) kind: Kind,
    /// The package in which the name of an executor is looked up.
    pub(super) package: usize,
}

impl Argument {
    /// Returns true for a list of steps, which are put in as they are.
    pub(super) fn is_steps(&self) -> bool {
        self.kind == Kind::Steps
    }
}

/// Arguments by name.
pub(super) type Arguments = HashMap<Rc<str>, Argument>;

const TYPES: [&str; 7] =
    ["string", "boolean", "integer", "enum", "executor", "steps", "env_var_name"];

/// Parameters of one command, executor, job, matrix or pipeline. They are looked for one after the
/// other, for each use and each combination of a matrix.
pub(super) const MOST_PARAMETERS: usize = 128;

impl Expander<'_, '_> {
    /// Reads `parameters`.
    pub(super) fn read_parameters(&mut self, node: &Node, is_pipeline: bool) -> Vec<Parameter> {
        if node.kind() == NodeKind::Nothing {
            return Vec::new();
        }
        let Some(mapping) = self.context.expect_mapping(node, "`parameters`") else {
            return Vec::new();
        };
        if let Some(entry) = mapping.entries.get(MOST_PARAMETERS) {
            let message = format!("there are at most {MOST_PARAMETERS} parameters in one place");
            self.report(Problem::error(entry.key_span, message));
        }
        let entries = mapping.entries.iter().take(MOST_PARAMETERS);
        entries.map(|entry| self.read_parameter(entry, is_pipeline)).collect()
    }

    fn read_parameter(&mut self, entry: &Entry, is_pipeline: bool) -> Parameter {
        let mut parameter = Parameter {
            name: Rc::clone(&entry.key),
            key_span: entry.key_span,
            kind: Kind::Unknown,
            default: None,
        };
        let what = format!("the parameter `{}`", quoted(&entry.key));
        let Some(mapping) = self.context.expect_mapping(&entry.value, &what) else {
            return parameter;
        };
        self.context.check_keys(mapping, &vocabulary::PARAMETER);
        parameter.kind = self.read_type(mapping, entry.key_span, is_pipeline);
        // A default without a value is none: the parameter is required then.
        let default = mapping.get("default");
        if let Some(default) = default.filter(|node| node.kind() != NodeKind::Nothing) {
            let is_plain = !matches!(parameter.kind, Kind::Steps | Kind::Executor);
            let at = entry.key_span;
            parameter.default = if is_plain && default.scalar().is_none_or(|t| !t.contains("<<")) {
                let what = format!("the default of {what}");
                check_value(self, default, &parameter.kind, &what, at)
                    .or_else(|| Some(Node::unknown(default.span)))
            } else {
                Some(default.clone())
            };
        }
        parameter
    }

    fn read_type(&mut self, mapping: &Mapping, at: Span, is_pipeline: bool) -> Kind {
        let Some(node) = mapping.get("type") else {
            if !mapping.is_incomplete {
                let hint = format!("the types are `{}`", TYPES.join("`, `"));
                self.report(Problem::error(at, "a parameter needs a `type`").hint(hint));
            }
            return Kind::Unknown;
        };
        let Some(text) = self.context.expect_nonempty(node, "`type`") else { return Kind::Unknown };
        let kind = match &*text {
            "string" => Kind::Text,
            "boolean" => Kind::Boolean,
            "integer" => Kind::Integer,
            "enum" => self.read_choices(mapping, at),
            "executor" => Kind::Executor,
            "steps" => Kind::Steps,
            "env_var_name" => Kind::EnvVarName,
            other => {
                let hint = self
                    .suggest_near(other, TYPES)
                    .unwrap_or_else(|| format!("the types are `{}`", TYPES.join("`, `")));
                let message = format!("`{}` is not a type of parameters", quoted(other));
                self.report(Problem::error(node.span, message).hint(hint));
                Kind::Unknown
            }
        };
        if is_pipeline && matches!(kind, Kind::Executor | Kind::Steps | Kind::EnvVarName) {
            let message = format!("a pipeline parameter cannot be of the type `{text}`");
            let hint = "the types are `string`, `boolean`, `integer` and `enum`";
            self.report(Problem::error(node.span, message).hint(hint));
            return Kind::Unknown;
        }
        kind
    }

    /// The values of an `enum`.
    fn read_choices(&mut self, mapping: &Mapping, at: Span) -> Kind {
        let Some(node) = mapping.get("enum") else {
            let message = "a parameter of the type `enum` needs an `enum`: the list of its values";
            self.report(Problem::error(at, message));
            return Kind::Unknown;
        };
        let Some(items) = self.context.expect_list(node, "`enum`") else { return Kind::Unknown };
        if items.is_empty() {
            self.report(Problem::error(node.used_at(), "`enum` has no values"));
            return Kind::Unknown;
        }
        let values =
            items.iter().filter_map(|item| self.context.expect_text(item, "a value of `enum`"));
        Kind::Enum(values.map(Rc::from).collect())
    }
}

/// The value as the type of a parameter has it. What does not fit is reported.
pub(super) fn check_value(
    expander: &mut Expander<'_, '_>,
    node: &Node,
    kind: &Kind,
    what: &str,
    declared: Span,
) -> Option<Node> {
    let found = node.kind();
    let is_scalar = matches!(node.value, Value::Scalar { .. });
    let expected = match kind {
        _ if found == NodeKind::Unknown => return Some(node.clone()),
        Kind::Unknown => return Some(Node::unknown(node.span)),
        Kind::Text if matches!(found, NodeKind::Text | NodeKind::Nothing) && is_scalar => {
            let text = if found == NodeKind::Nothing { "" } else { node.scalar().unwrap_or("") };
            let made = Node::made_text(text, node.span);
            return Some(Node { alias: node.alias, ..made });
        }
        Kind::Text if is_scalar => "a text, in quotes".to_owned(),
        Kind::Text => "a text".to_owned(),
        Kind::Boolean if matches!(found, NodeKind::Boolean(_)) => {
            let text = truth_text(found == NodeKind::Boolean(true));
            return Some(Node { alias: node.alias, ..Node::made_plain(text, node.span) });
        }
        Kind::Boolean => "`true` or `false`".to_owned(),
        Kind::Integer if node.scalar().is_some_and(is_integer) && found == NodeKind::Number => {
            return Some(node.clone());
        }
        Kind::Integer => "a whole number".to_owned(),
        Kind::Enum(values) => {
            let text = node.scalar().unwrap_or("");
            if is_scalar && values.iter().any(|value| **value == *text) {
                let made = Node::made_text(text, node.span);
                return Some(Node { alias: node.alias, ..made });
            }
            let list: Vec<String> =
                values.iter().take(20).map(|v| format!("`{}`", quoted(v))).collect();
            format!("one of {}", list.join(", "))
        }
        Kind::Executor if is_scalar && found != NodeKind::Nothing => return Some(node.clone()),
        Kind::Executor if matches!(node.value, Value::Mapping(_)) => return Some(node.clone()),
        Kind::Executor => "the name of an executor, or a mapping with its `name`".to_owned(),
        Kind::Steps if matches!(node.value, Value::List(_)) => return Some(node.clone()),
        Kind::Steps => "a list of steps".to_owned(),
        Kind::EnvVarName if node.scalar().is_some_and(is_variable) => return Some(node.clone()),
        Kind::EnvVarName => "the name of a variable: letters, digits and `_`".to_owned(),
    };
    let found = match node.scalar() {
        Some(text) if found != NodeKind::Nothing => {
            format!("{} (`{}`)", found.describe(), quoted(text))
        }
        _ => found.describe().to_owned(),
    };
    let message = format!("{what} must be {expected}, but found {found}");
    let mut problem = Problem::error(node.used_at(), message);
    if declared != node.used_at() {
        problem = problem.related(declared, "it is declared here");
    }
    expander.report(problem);
    None
}

fn is_integer(text: &str) -> bool {
    text.parse::<i64>().is_ok()
}

fn is_variable(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && text.starts_with(|c: char| !c.is_ascii_digit())
}
