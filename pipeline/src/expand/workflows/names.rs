//! Names of the jobs that come out: each once, also where several are called the same.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use super::Invocation;
use crate::source::Span;
use crate::yaml::{Entry, Kind, Node, Value};

/// Jobs under the names that they have in what comes out.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    pub(super) entries: Vec<Entry>,
    /// Names by what the jobs were called and what they hold.
    known: HashMap<(String, u64), Rc<str>>,
    pub(super) names: BTreeSet<Rc<str>>,
}

impl Jobs {
    /// Adds a job under its name, or under a name like it where that is taken by another one.
    pub(super) fn add(&mut self, name: &str, place: Span, node: Node) -> Rc<str> {
        let mut hasher = DefaultHasher::new();
        hash_node(&node, &mut hasher);
        let known = (name.to_owned(), hasher.finish());
        if let Some(key) = self.known.get(&known) {
            return Rc::clone(key);
        }
        let mut key: Rc<str> = Rc::from(name);
        let mut count = 1;
        while self.names.contains(&key) {
            key = Rc::from(format!("{name}-{count}"));
            count += 1;
        }
        self.names.insert(Rc::clone(&key));
        self.known.insert(known, Rc::clone(&key));
        self.entries.push(Entry { key: Rc::clone(&key), key_span: place, value: node });
        key
    }
}

/// Numbers the jobs of a workflow that have the same name, unless each was given it by itself.
pub(super) fn number_names(found: &mut [Result<Invocation, Node>]) {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for job in found.iter().flatten().filter(|job| job.is_numbered) {
        *counts.entry(job.name.clone()).or_default() += 1;
    }
    let mut taken: BTreeSet<String> = found.iter().flatten().map(|job| job.name.clone()).collect();
    let mut next: HashMap<String, usize> = HashMap::new();
    for job in found.iter_mut().flatten().filter(|job| job.is_numbered) {
        if counts.get(&job.name).is_none_or(|count| *count < 2) {
            continue;
        }
        let number = next.entry(job.name.clone()).or_insert(1);
        let name = loop {
            let name = format!("{}-{number}", job.name);
            *number += 1;
            if taken.insert(name.clone()) {
                break name;
            }
        };
        job.name = name;
    }
}

/// Returns what a tree says, wherever it is written.
fn hash_node(node: &Node, into: &mut DefaultHasher) {
    match &node.value {
        Value::Scalar { text, .. } => (0_u8, text, node.kind() == Kind::Text).hash(into),
        Value::List(items) => {
            (1_u8, items.len()).hash(into);
            items.iter().for_each(|item| hash_node(item, into));
        }
        Value::Mapping(mapping) => {
            (2_u8, mapping.entries.len()).hash(into);
            for entry in &mapping.entries {
                entry.key.hash(into);
                hash_node(&entry.value, into);
            }
        }
        Value::Unknown => 3_u8.hash(into),
    }
}
