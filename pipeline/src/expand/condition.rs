//! Conditions of `when` and `unless`: values, logic statements, and expressions as texts.
//!
//! False is what CircleCI calls so: `false`, nothing, an empty text, zero, and a statement
//! without arguments.

use std::collections::HashMap;

use super::expression::{self, ErrorKind, ExpressionError, Tree};
use super::tag::whole_name;
use super::{Expander, Scope};
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::yaml::{Entry, Kind, Mapping, Node, Value};

const STATEMENTS: [&str; 5] = ["and", "or", "not", "equal", "matches"];

/// Returns whether a value counts as true. `None` where it is not known.
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
    /// Returns whether a condition holds. `None` where that is not known, or was reported to be
    /// wrong.
    pub(super) fn holds(&mut self, node: &Node, scope: Scope<'_>) -> Option<bool> {
        self.nest_deeper(node.used_at(), |this| match &node.value {
            Value::Mapping(mapping) => this.evaluate_statement(mapping, node, scope),
            Value::Scalar { text, .. } if node.kind() == Kind::Text => {
                if text.contains("<<") || !expression::looks_like_expression(text) {
                    this.warn_of_a_text(text, node.used_at());
                    return is_truthy(&this.fill_templates(node, scope));
                }
                this.evaluate_expression(text, node.used_at(), scope)?.0.truth()
            }
            _ => is_truthy(node),
        })?
    }

    /// Warns of a condition that compares nothing, though it looks like it: with an expression in a
    /// part of it, it is a text, and any text holds.
    fn warn_of_a_text(&mut self, text: &str, place: Span) {
        let operators = ["==", "!=", " and ", " or ", "not "];
        let is_part = text.contains("<<") && whole_name(text).is_none();
        if is_part && operators.iter().any(|operator| text.contains(operator)) {
            let message = "this condition is a text, and always holds";
            let hint = "write all of it without `<<` and `>>`, such as `pipeline.number == 1`";
            self.report(Problem::warning(place, message).hint(hint));
        }
    }

    /// A logic statement: a mapping with one key.
    fn evaluate_statement(
        &mut self,
        mapping: &Mapping,
        node: &Node,
        scope: Scope<'_>,
    ) -> Option<bool> {
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
            "equal" => self.are_equal(entry, scope),
            "matches" => self.matches_pattern(entry, scope),
            other => {
                let hint = self.suggest_near(other, STATEMENTS).unwrap_or_else(|| {
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
        let items = self.context.expect_list(&entry.value, &what)?;
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

    fn are_equal(&mut self, entry: &Entry, scope: Scope<'_>) -> Option<bool> {
        let items = self.context.expect_list(&entry.value, "`equal`")?;
        // An executor parameter is compared with the definition of an executor as it is written,
        // which aliases bring here, and otherwise by its name.
        let definitions: Vec<Option<Node>> =
            items.iter().map(|item| self.executor_definition(item, scope)).collect();
        let are_compared = definitions.iter().any(Option::is_some)
            && items.iter().any(|item| item.kind() == Kind::Mapping);
        let items: Vec<Node> = items
            .iter()
            .zip(definitions)
            .map(|(item, definition)| match definition {
                Some(definition) if are_compared => definition,
                None if are_compared && item.kind() == Kind::Mapping => item.clone(),
                _ => self.fill_templates(item, scope),
            })
            .collect();
        if items.iter().any(|item| item.kind() == Kind::Unknown) {
            return None;
        }
        let Some((first, rest)) = items.split_first() else { return Some(false) };
        Some(rest.iter().all(|item| item.is_same(first)))
    }

    fn matches_pattern(&mut self, entry: &Entry, scope: Scope<'_>) -> Option<bool> {
        let mapping = self.context.expect_mapping(&entry.value, "`matches`")?;
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
        let pattern = self.fill_templates(mapping.get("pattern")?, scope);
        let value = self.fill_templates(mapping.get("value")?, scope);
        if [&pattern, &value].iter().any(|node| node.kind() == Kind::Unknown) {
            return None;
        }
        let text = self.context.expect_text(&pattern, "`pattern`")?;
        let value = value.scalar().filter(|_| value.kind() != Kind::Nothing).unwrap_or("");
        self.is_match(&text, value, pattern.used_at())
    }

    /// Returns whether a pattern matches the whole of a value, as Java's `matches` does. A wrong
    /// pattern is reported.
    fn is_match(&mut self, text: &str, value: &str, place: Span) -> Option<bool> {
        let pattern = match self.context.patterns.get(text, true) {
            Ok(pattern) => pattern,
            Err(error) => {
                self.report(Problem::error(place, error.to_string()));
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

    /// Returns the value of an expression that stands in a text at `place`, and whether it is a
    /// boolean by its form. `None` if it is not known, or if a mistake was reported.
    pub(super) fn evaluate_expression(
        &mut self,
        text: &str,
        place: Span,
        scope: Scope<'_>,
    ) -> Option<(expression::Value, bool)> {
        let tree = match expression::parse(text) {
            Ok(tree) => tree,
            Err(error) => {
                self.report_expression(&error, text, place, "this is not an expression: ");
                return None;
            }
        };
        let are_good = self.check_patterns(&tree, place);
        let mut names = Vec::new();
        tree.collect_names(&mut names);
        let mut values = HashMap::new();
        for (name, at) in names {
            let value = self.name_value(name, self.part_of(place, text, at, name.len()), scope);
            values.insert(name, value);
        }
        let value_of = |name: &str, _: usize| {
            Ok(values.get(name).cloned().unwrap_or(expression::Value::Unknown))
        };
        let result = expression::evaluate(&tree, &value_of, &mut |pattern, value| {
            let pattern = self.context.patterns.get(pattern, true)?;
            pattern.is_match(value).ok_or(ErrorKind::TooSlow)
        });
        match result {
            Ok(expression::Value::Unknown) => None,
            Ok(value) => are_good.then(|| (value, tree.is_boolean())),
            Err(error) => {
                if are_good {
                    self.report_expression(&error, text, place, "");
                }
                None
            }
        }
    }

    /// Reports the patterns of an expression that are wrong. Returns false if any is.
    fn check_patterns(&mut self, tree: &Tree<'_>, place: Span) -> bool {
        let mut patterns = Vec::new();
        tree.collect_patterns(&mut patterns);
        let mut are_good = true;
        for pattern in patterns {
            let mistake = if expression::is_beyond_re2(&pattern) {
                Some("this pattern uses what expressions do not have".to_owned())
            } else {
                self.context.patterns.get(&pattern, true).err().map(|error| error.to_string())
            };
            if let Some(message) = mistake {
                are_good = false;
                let hint = ErrorKind::Pattern(String::new()).hint();
                self.report(Problem::error(place, message).hint(hint));
            }
        }
        are_good
    }

    /// Returns the value of a name in an expression. A name without one is reported.
    fn name_value(&mut self, name: &str, place: Span, scope: Scope<'_>) -> expression::Value {
        let Some(node) = self.look_up_name(name, place, scope) else {
            return expression::Value::Unknown;
        };
        let text = node.scalar().unwrap_or_default();
        match node.kind() {
            Kind::Unknown => expression::Value::Unknown,
            Kind::Nothing => expression::Value::Undefined,
            Kind::Boolean(value) => expression::Value::Boolean(value),
            Kind::Number => match text.parse() {
                Ok(number) => expression::Value::Number(number),
                Err(_) => expression::Value::Text(text.into()),
            },
            Kind::Text => expression::Value::Text(text.into()),
            kind @ (Kind::List | Kind::Mapping) => {
                let found = kind.describe();
                let message = format!("`{}` is {found}, which has no value here", quoted(name));
                let hint = "expressions compare texts, whole numbers and booleans";
                self.report(Problem::error(place, message).hint(hint));
                expression::Value::Unknown
            }
        }
    }

    fn report_expression(&mut self, error: &ExpressionError, text: &str, place: Span, start: &str) {
        let at = self.part_of(place, text, error.at, 1);
        let message = format!("{start}{error}");
        self.report(Problem::error(at, message).hint(error.kind.hint()));
    }

    /// Returns the place of a part of an expression, or all of `place` if the expression is
    /// written otherwise than it reads, such as over several lines.
    fn part_of(&self, place: Span, text: &str, at: usize, length: usize) -> Span {
        let written = self.context.source.written(place);
        match written.find(text) {
            Some(start) if at < text.len() => {
                let start = place.start + start + at;
                Span::new(start, start + length)
            }
            _ => place,
        }
    }
}
