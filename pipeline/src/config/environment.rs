//! `environment:` of jobs, executors and `run` steps.

use std::collections::HashMap;

use crate::context::Context;
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::yaml::{Kind, Mapping, Node, Value};

/// Variables, each name once; a later one of the same name takes the place of the earlier.
pub(super) type Variables = Vec<(String, String)>;

impl Context<'_> {
    /// Reads the `environment` of a mapping, if it has one.
    pub(super) fn read_environment(&mut self, mapping: &Mapping) -> Variables {
        let mut variables = Variables::new();
        let Some(node) = mapping.get("environment") else { return variables };
        match &node.value {
            Value::Mapping(mapping) => self.variables_of(mapping, &mut variables),
            Value::List(items) => {
                for item in items.iter() {
                    self.listed_variable(item, &mut variables);
                }
            }
            // `environment:` with nothing behind it, as left by commenting out its variables.
            Value::Scalar { .. } if node.kind() == Kind::Nothing => {}
            // One variable, or one in each line.
            Value::Scalar { text, .. } if node.kind() == Kind::Text => {
                for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
                    let item = Node { alias: node.alias, ..Node::made_text(line, node.span) };
                    self.listed_variable(&item, &mut variables);
                }
            }
            Value::Scalar { .. } | Value::Unknown => {
                self.wrong_type(node, "`environment`", "a mapping or a list");
            }
        }
        unique_variables(variables)
    }

    fn variables_of(&mut self, mapping: &Mapping, variables: &mut Variables) {
        for entry in &mapping.entries {
            if let Some(value) = self.variable_value(&entry.key, &entry.value) {
                self.add(variables, &entry.key, value, entry.key_span);
            }
        }
    }

    /// One variable of a list: `NAME=value`, or a mapping.
    fn listed_variable(&mut self, item: &Node, variables: &mut Variables) {
        match &item.value {
            Value::Mapping(mapping) => self.variables_of(mapping, variables),
            Value::Scalar { text, .. } => match text.split_once('=') {
                Some((name, value)) => {
                    if let Some(value) = self.plain_text(value, item.span) {
                        self.add(variables, name, value, item.span);
                    }
                }
                None => self.wrong_type(item, "a variable in a list", "`NAME=value`"),
            },
            Value::List(_) | Value::Unknown => {
                self.wrong_type(item, "a variable in a list", "`NAME=value`");
            }
        }
    }

    fn variable_value(&mut self, name: &str, node: &Node) -> Option<String> {
        match &node.value {
            // CircleCI passes an empty value on as an empty variable.
            Value::Scalar { .. } if node.kind() == Kind::Nothing => Some(String::new()),
            _ => self.expect_text(node, &format!("the variable `{}`", quoted(name))),
        }
    }

    fn add(&mut self, variables: &mut Variables, name: &str, value: String, span: Span) {
        let Some(name) = self.plain_text(name, span) else { return };
        if !is_name(&name) {
            let message = format!("`{}` cannot be the name of a variable", quoted(&name));
            self.report(
                Problem::error(span, message)
                    .hint("a name has letters, digits and `_`, and starts with no digit"),
            );
            return;
        }
        variables.push((name, value));
    }
}

/// Each name once, with its last value, where it stood first.
pub(super) fn unique_variables(variables: Variables) -> Variables {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut unique = Variables::new();
    for (name, value) in variables {
        match places.get(&name).and_then(|at| unique.get_mut(*at)) {
            Some((_, old)) => *old = value,
            None => {
                places.insert(name.clone(), unique.len());
                unique.push((name, value));
            }
        }
    }
    unique
}

/// Returns whether a shell could use a variable of this name.
fn is_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.starts_with(|c: char| !c.is_ascii_digit())
}
