//! `matrix` of a job of a workflow: one job for each combination of values.

use std::rc::Rc;

use super::parameters::MOST_PARAMETERS;
use super::{Expander, Scope};
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::vocabulary;
use crate::yaml::{Entry, Kind, Mapping, Node, Value};

/// Jobs that one matrix may stand for, as for CircleCI.
const MOST_JOBS: usize = 128;

/// Parameters that one message lists.
const MOST_NAMED: usize = 10;

/// One combination: parameters with their values, in the order of their names.
pub(super) type Row = Vec<(Rc<str>, Node)>;

/// A matrix that was read.
#[derive(Debug)]
pub(super) struct Matrix {
    pub(super) rows: Vec<Row>,
    /// The name that stands for all of its jobs in `requires`.
    pub(super) alias: Option<String>,
}

impl Expander<'_, '_> {
    /// Reads a matrix. `None` where it is wrong, which was reported.
    pub(super) fn read_matrix(&mut self, entry: &Entry) -> Option<Matrix> {
        let scope = Scope::outside(0);
        let mapping = self.context.expect_mapping(&entry.value, "`matrix`")?;
        self.context.check_keys(mapping, &vocabulary::MATRIX);
        let Some(parameters) = mapping.get("parameters") else {
            if !mapping.is_incomplete {
                let message = "`matrix` needs `parameters`: lists of values by name";
                self.report(Problem::error(entry.key_span, message));
            }
            return None;
        };
        let parameters = self.context.expect_mapping(parameters, "`parameters` of a matrix")?;
        if let Some(entry) = parameters.entries.get(MOST_PARAMETERS) {
            let message = format!("a matrix has at most {MOST_PARAMETERS} parameters");
            self.report(Problem::error(entry.key_span, message));
            return None;
        }
        let alias = mapping.get("alias").map(|node| self.fill_templates(node, scope));
        let alias = alias.and_then(|node| self.context.expect_nonempty(&node, "`alias`"));
        let mut lists: Vec<(Rc<str>, Vec<Node>)> = Vec::new();
        for entry in &parameters.entries {
            let what = format!("the matrix parameter `{}`", quoted(&entry.key));
            // A list may also be the value of a parameter, or all of it one value.
            let value = self.fill_templates(&entry.value, scope);
            let items = match &value.value {
                Value::Scalar { .. } if value.kind() != Kind::Nothing => vec![value.clone()],
                _ => self.context.expect_list(&value, &what)?.to_vec(),
            };
            if items.is_empty() {
                self.report(Problem::error(value.used_at(), format!("{what} has no values")));
                return None;
            }
            lists.push((Rc::clone(&entry.key), items));
        }
        lists.sort_by(|a, b| a.0.cmp(&b.0));
        let count =
            lists.iter().fold(1_usize, |count, (_, items)| count.saturating_mul(items.len()));
        if lists.is_empty() {
            self.report(Problem::error(entry.key_span, "the matrix has no parameters"));
            return None;
        }
        if count > MOST_JOBS {
            let message =
                format!("a matrix stands for at most {MOST_JOBS} jobs, but this for {count}");
            self.report(Problem::error(entry.key_span, message));
            return None;
        }
        let mut rows = all_rows(&lists);
        if let Some(exclude) = mapping.get("exclude") {
            self.exclude_rows(exclude, &lists, &mut rows);
        }
        Some(Matrix { rows, alias })
    }

    /// Takes out the combinations that `exclude` lists.
    fn exclude_rows(&mut self, node: &Node, lists: &[(Rc<str>, Vec<Node>)], rows: &mut Vec<Row>) {
        let scope = Scope::outside(0);
        let Some(items) = self.context.expect_list(node, "`exclude`") else { return };
        for item in items {
            let filled = self.fill_templates(item, scope);
            let Some(mapping) = self.context.expect_mapping(&filled, "an item of `exclude`") else {
                continue;
            };
            if self.is_whole_row(mapping, lists, item) {
                let values: Option<Vec<&Node>> =
                    lists.iter().map(|(name, _)| mapping.get(name)).collect();
                rows.retain(|row| values.as_ref().is_none_or(|values| !is_excluded(row, values)));
            }
        }
    }

    /// An excluded combination names all parameters of the matrix, and no others.
    fn is_whole_row(
        &mut self,
        mapping: &Mapping,
        lists: &[(Rc<str>, Vec<Node>)],
        item: &Node,
    ) -> bool {
        let mut is_whole = true;
        for entry in &mapping.entries {
            if !lists.iter().any(|(name, _)| *name == entry.key) {
                is_whole = false;
                let hint = self.suggest_near(&entry.key, lists.iter().map(|(name, _)| &**name));
                let message = format!("the matrix has no parameter `{}`", quoted(&entry.key));
                self.report(Problem::error(entry.key_span, message).maybe_hint(hint));
            }
        }
        let names = lists.iter().map(|(name, _)| name);
        let lacking: Vec<String> = names
            .filter(|name| mapping.get(name).is_none())
            .take(MOST_NAMED)
            .map(|name| format!("`{}`", quoted(name)))
            .collect();
        if !lacking.is_empty() && !mapping.is_incomplete {
            is_whole = false;
            let parameters = if lacking.len() == 1 { "parameter" } else { "parameters" };
            let lacking = lacking.join(", ");
            let message = format!("an item of `exclude` lacks the {parameters} {lacking}");
            self.report(Problem::error(item.used_at(), message));
        }
        is_whole
    }
}

/// All combinations, the last parameter changing fastest.
fn all_rows(lists: &[(Rc<str>, Vec<Node>)]) -> Vec<Row> {
    let mut rows: Vec<Row> = vec![Vec::new()];
    for (name, items) in lists {
        let longer = rows.iter().flat_map(|row| {
            items.iter().map(move |item| {
                let mut row = row.clone();
                row.push((Rc::clone(name), item.clone()));
                row
            })
        });
        rows = longer.collect();
    }
    rows
}

/// Returns where the matrix of a job of a workflow gives a parameter its values.
pub(super) fn parameter_place(keys: &Mapping, parameter: &str) -> Option<Span> {
    let matrix = keys.entry("matrix")?;
    let Value::Mapping(mapping) = &matrix.value.value else { return Some(matrix.key_span) };
    let parameters = match mapping.get("parameters").map(|node| &node.value) {
        Some(Value::Mapping(parameters)) => parameters,
        _ => return Some(matrix.key_span),
    };
    Some(parameters.entry(parameter).map_or(matrix.key_span, |entry| entry.key_span))
}

/// Returns whether a combination has these values, in the order of its parameters.
fn is_excluded(row: &Row, values: &[&Node]) -> bool {
    row.iter().zip(values).all(|((_, value), other)| other.is_same(value))
}

/// The name of a job of a matrix: that of the job, and its values.
pub(super) fn job_name(job: &str, row: &Row) -> String {
    let mut name = job.to_owned();
    for (_, value) in row {
        name.push('-');
        match &value.value {
            Value::Mapping(mapping) => {
                name.push_str(mapping.get("name").and_then(Node::scalar).unwrap_or_default());
            }
            _ => name.push_str(value.scalar().unwrap_or_default()),
        }
    }
    name
}
