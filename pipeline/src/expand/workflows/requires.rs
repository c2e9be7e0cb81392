//! Items of a workflow's `jobs`, and what their `requires` stand for.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use super::Invocation;
use super::names::Jobs;
use crate::expand::Expander;
use crate::left_out::left_out;
use crate::problem::Problem;
use crate::source::quoted;
use crate::yaml::{Entry, Kind, Node, Value};

/// Meanings of the names in `requires`.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Names of the jobs of each matrix.
    pub(super) matrices: HashMap<String, Vec<usize>>,
    /// Jobs that do not run.
    pub(super) dropped: BTreeSet<String>,
    /// Names of the jobs, in their order.
    pub(super) names: Vec<Option<String>>,
    pub(super) known: HashSet<String>,
    /// Name of a job in the workflow, the first time that it runs it.
    pub(super) by_job: HashMap<Rc<str>, String>,
}

impl Groups {
    /// Takes out the jobs all of whose requirements are left out. Returns true if there are any.
    pub(super) fn leave_out(&mut self, found: &[Result<Invocation, Node>]) -> bool {
        let mut requires: Vec<(&str, Vec<&str>)> = Vec::new();
        for job in found.iter().flatten() {
            let entries = job.keys.iter().flatten();
            let node = entries.clone().find(|entry| &*entry.key == "requires");
            requires
                .push((&job.name, node.map(|entry| names_in(&entry.value)).unwrap_or_default()));
        }
        // A matrix is left out with all of its jobs, so it is like a job that requires them.
        let mut own: Vec<&str> = Vec::new();
        for (alias, all) in self.matrices.iter().filter(|(alias, _)| !self.known.contains(*alias)) {
            let all = all.iter().filter_map(|at| self.names.get(*at)?.as_deref()).collect();
            let all: Vec<&str> = all;
            if all.is_empty() {
                own.push(alias);
            }
            requires.push((alias, all));
        }
        own.extend(self.dropped.iter().filter(|name| !self.known.contains(*name)).map(|n| &**n));
        if own.is_empty() {
            return false;
        }
        let out: Vec<String> = left_out(&requires, own).into_iter().map(str::to_owned).collect();
        let before = self.known.len();
        for name in out {
            self.known.remove(&name);
            self.dropped.insert(name);
        }
        for name in &mut self.names {
            name.take_if(|name| self.dropped.contains(name) && !self.known.contains(name));
        }
        self.known.len() < before
    }
}

/// Returns the names in `requires`.
fn names_in(node: &Node) -> Vec<&str> {
    match &node.value {
        Value::List(items) => items
            .iter()
            .flat_map(|item| match &item.value {
                Value::Mapping(mapping) => {
                    mapping.entries.iter().map(|entry| &*entry.key).collect()
                }
                _ => item.scalar().into_iter().collect::<Vec<&str>>(),
            })
            .collect(),
        _ => node.scalar().filter(|text| !text.is_empty()).into_iter().collect(),
    }
}

impl Expander<'_, '_> {
    /// The item of a workflow's `jobs` for a job that is written out.
    pub(super) fn write_item(&mut self, job: Invocation, groups: &Groups, jobs: &mut Jobs) -> Node {
        let key = match job.node {
            Some((node, defined)) => jobs.add(&job.name, defined, node),
            None => Rc::clone(&job.job),
        };
        let mut entries = Vec::new();
        if *key != *job.name {
            let value = Node::made_text(&job.name, job.place);
            entries.push(Entry { key: Rc::from("name"), key_span: job.place, value });
        }
        for entry in job.keys.iter().flatten() {
            let mut entry = entry.clone();
            if &*entry.key == "requires" {
                entry.value = self.resolve_requires(&entry.value, &job.name, groups);
                if matches!(&entry.value.value, Value::List(items) if items.is_empty()) {
                    continue;
                }
            }
            entries.push(entry);
        }
        if entries.is_empty() {
            return Node::made_text(&key, job.place);
        }
        let value = Node::made_mapping(entries, job.keys_span, false);
        let entry = Entry { key, key_span: job.place, value };
        Node::made_mapping(vec![entry], job.place, false)
    }

    /// `requires` with the jobs of matrices in the place of their aliases, and without those that
    /// do not run.
    fn resolve_requires(&mut self, node: &Node, name: &str, groups: &Groups) -> Node {
        // One name may do without a list.
        let items = match &node.value {
            Value::List(items) => items.iter().flat_map(split_item).collect(),
            Value::Scalar { .. } if node.kind() == Kind::Text => vec![node.clone()],
            _ => return node.clone(),
        };
        let mut required = Vec::new();
        for item in &items {
            let wanted = match &item.value {
                Value::Mapping(mapping) => mapping.entries.first().map(|entry| &*entry.key),
                _ => item.scalar(),
            };
            let Some(wanted) = wanted else {
                required.push(item.clone());
                continue;
            };
            let is_job = groups.known.contains(wanted);
            match groups.matrices.get(wanted) {
                Some(all) if !is_job => {
                    for other in all.iter().filter_map(|at| groups.names.get(*at)?.as_ref()) {
                        if other != name && self.count_work(item.size, item.used_at()) {
                            required.push(renamed_item(item, other));
                        }
                    }
                }
                _ if !is_job && groups.dropped.contains(wanted) => {}
                _ if !is_job && groups.by_job.contains_key(wanted) => {
                    let name = groups.by_job.get(wanted).map(String::as_str).unwrap_or_default();
                    let message = format!("there is no job `{}` in this workflow", quoted(wanted));
                    let hint = format!("it is called `{}` here", quoted(name));
                    self.report(Problem::error(item.used_at(), message).hint(hint));
                }
                _ => required.push(item.clone()),
            }
        }
        Node { alias: node.alias, ..Node::made_list(required, node.span) }
    }
}

/// The items that an item of `requires` with several jobs stands for.
fn split_item(item: &Node) -> Vec<Node> {
    match &item.value {
        Value::Mapping(mapping) if mapping.entries.len() > 1 => {
            let entries = mapping.entries.iter().cloned();
            entries.map(|entry| Node::made_mapping(vec![entry], item.span, false)).collect()
        }
        _ => vec![item.clone()],
    }
}

/// An item of `requires` for another job.
fn renamed_item(item: &Node, name: &str) -> Node {
    match &item.value {
        Value::Mapping(mapping) => {
            let entries = mapping.entries.iter();
            let entries = entries.map(|entry| Entry { key: Rc::from(name), ..entry.clone() });
            Node::made_mapping(entries.collect(), item.span, mapping.is_incomplete)
        }
        _ => Node { alias: item.alias, ..Node::made_text(name, item.span) },
    }
}
