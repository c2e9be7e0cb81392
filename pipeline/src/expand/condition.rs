//! Conditions of `when` and `unless`: values, logic statements, and expressions as texts.
//!
//! False is what CircleCI calls so: `false`, nothing, an empty text, zero, and a statement
//! without arguments.

use super::expression::{self, Operand};
use super::{Expander, Scope};
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::yaml::{Entry, Kind, Mapping, Node, Value};

const STATEMENTS: [&str; 5] = ["and", "or", "not", "equal", "matches"];

/// Whether a value counts as true. `None` where it is not known.
pub(super) fn is_truthy(node: &Node) -> Option<bool> {
    match &node.value {
        Value::Unknown => None,
        Value::List(items) => Some(!items.is_empty()),
        Value::Mapping(mapping) => Some(!mapping.entries.is_empty()),
        Value::Scalar { text, .. } => Some(match node.kind() {
            Kind::Nothing => false,
            Kind::Boolean(value) => value,
            Kind::Number => text.parse::<f64>().is_ok_and(|number| number != 0.0),
            _ => !text.is_empty(),
        }),
    }
}

impl Expander<'_, '_> {
    /// Whether a condition holds. `None` where that is not known, or was reported to be wrong.
    pub(super) fn holds(&mut self, node: &Node, scope: Scope<'_>) -> Option<bool> {
        self.deeper(node.used_at(), |this| match &node.value {
            Value::Mapping(mapping) => this.statement(mapping, node, scope),
            Value::Scalar { text, .. } if node.kind() == Kind::Text => {
                if text.contains("<<") || !expression::is_one(text) {
                    this.warn_of_a_text(text, node.used_at());
                    return is_truthy(&this.fill(node, scope));
                }
                this.expression(text, node.used_at(), scope)
            }
            _ => is_truthy(node),
        })?
    }

    /// Warns of a condition that compares nothing, though it looks like it: with an expression in a
    /// part of it, it is a text, and any text holds.
    fn warn_of_a_text(&mut self, text: &str, place: Span) {
        let operators = ["==", "!=", " and ", " or ", "not "];
        let is_part = text.contains("<<") && super::template::whole(text).is_none();
        if is_part && operators.iter().any(|operator| text.contains(operator)) {
            let message = "this condition is a text, and always holds";
            let hint = "write all of it without `<<` and `>>`, such as `pipeline.number == 1`";
            self.report(Problem::warning(place, message).hint(hint));
        }
    }

    /// A logic statement: a mapping with one key.
    fn statement(&mut self, mapping: &Mapping, node: &Node, scope: Scope<'_>) -> Option<bool> {
        let entry = match mapping.entries.as_slice() {
            [] if mapping.is_incomplete => return None,
            [] => return Some(false),
            [entry] => entry,
            [_, second, ..] => {
                let message = "a condition has one of `and`, `or`, `not`, `equal` and `matches`";
                let hint = "put several into a list below `and` or `or`";
                self.report(Problem::error(second.key_span, message).hint(hint));
                return None;
            }
        };
        match &*entry.key {
            "and" | "or" => self.and_or(entry, scope),
            "not" => self.holds(&entry.value, scope).map(|holds| !holds),
            "equal" => self.equal(entry, scope),
            "matches" => self.matches(entry, scope),
            other => {
                let hint = self.near(other, STATEMENTS).unwrap_or_else(|| {
                    "the statements are `and`, `or`, `not`, `equal` and `matches`".to_owned()
                });
                let message = format!("there is no logic statement `{}`", quoted(other));
                let problem = Problem::error(entry.key_span, message).hint(hint);
                self.report(match node.alias {
                    Some(alias) => problem.related(alias, "it is used here"),
                    None => problem,
                });
                None
            }
        }
    }

    fn and_or(&mut self, entry: &Entry, scope: Scope<'_>) -> Option<bool> {
        let what = format!("`{}`", entry.key);
        let items = self.context.list(&entry.value, &what)?;
        let is_and = &*entry.key == "and";
        if items.is_empty() {
            return Some(false);
        }
        // All are looked at, so that all mistakes are found.
        let known: Vec<Option<bool>> = items.iter().map(|item| self.holds(item, scope)).collect();
        if known.contains(&Some(!is_and)) {
            return Some(!is_and);
        }
        known.iter().all(Option::is_some).then_some(is_and)
    }

    fn equal(&mut self, entry: &Entry, scope: Scope<'_>) -> Option<bool> {
        let items = self.context.list(&entry.value, "`equal`")?;
        let items: Vec<Node> = items.iter().map(|item| self.fill(item, scope)).collect();
        if items.iter().any(|item| item.kind() == Kind::Unknown) {
            return None;
        }
        let Some((first, rest)) = items.split_first() else { return Some(false) };
        Some(rest.iter().all(|item| item.is_same(first)))
    }

    fn matches(&mut self, entry: &Entry, scope: Scope<'_>) -> Option<bool> {
        let mapping = self.context.mapping(&entry.value, "`matches`")?;
        for key in ["pattern", "value"] {
            if mapping.get(key).is_none() && !mapping.is_incomplete {
                let message = format!("`matches` needs a `{key}`");
                self.report(Problem::error(entry.key_span, message));
                return None;
            }
        }
        for other in mapping.entries.iter().filter(|e| !["pattern", "value"].contains(&&*e.key)) {
            let message = format!("unknown key `{}` in `matches`", quoted(&other.key));
            let hint = "the keys are `pattern` and `value`";
            self.report(Problem::error(other.key_span, message).hint(hint));
        }
        let pattern = self.fill(mapping.get("pattern")?, scope);
        let value = self.fill(mapping.get("value")?, scope);
        if [&pattern, &value].iter().any(|node| node.kind() == Kind::Unknown) {
            return None;
        }
        let text = self.context.text(&pattern, "`pattern`")?;
        let value = value.scalar().filter(|_| value.kind() != Kind::Nothing).unwrap_or("");
        self.is_match(&text, value, pattern.used_at(), false)
    }

    /// Whether a pattern matches. A wrong one is reported.
    fn is_match(&mut self, text: &str, value: &str, place: Span, whole: bool) -> Option<bool> {
        let pattern = match self.context.patterns.get(text, whole) {
            Ok(pattern) => pattern,
            Err(message) => {
                self.report(Problem::error(place, message));
                return None;
            }
        };
        let is_match = pattern.is_match(value);
        if is_match.is_none() {
            let message = "this regular expression takes too long for its value";
            self.report(Problem::error(place, message));
        }
        is_match
    }

    /// A condition as a text: `pipeline.git.branch == "main" and not pipeline.parameters.x`.
    pub(super) fn expression(&mut self, text: &str, place: Span, scope: Scope<'_>) -> Option<bool> {
        let tree = match expression::parse(text) {
            Ok(tree) => tree,
            Err(error) => {
                let message = format!("this is not a condition: {error}");
                let hint =
                    "such as `pipeline.git.branch == \"main\" and not pipeline.parameters.x`";
                self.report(Problem::error(place, message).hint(hint));
                return None;
            }
        };
        let mut names = Vec::new();
        expression::names(&tree, &mut names);
        let mut values = std::collections::HashMap::new();
        let mut is_known = true;
        for name in names {
            match self.look_up(name, place, scope) {
                Some(found) if found.kind() != Kind::Unknown => {
                    values.insert(name, found);
                }
                _ => is_known = false,
            }
        }
        if !is_known {
            return None;
        }
        let node = |operand: &Operand<'_>| match operand {
            Operand::Name(name) => values.get(name).cloned().unwrap_or(Node::unknown(place)),
            Operand::Text(text) => Node::made_text(text, place),
            Operand::Plain(text) => Node::made_plain(text, place),
        };
        let mut failed = false;
        let result = expression::evaluate(&tree, &node, &mut |pattern, value| {
            let is_match = self.is_match(pattern, value, place, false);
            failed |= is_match.is_none();
            is_match.unwrap_or(false)
        });
        (!failed).then_some(result)
    }
}
