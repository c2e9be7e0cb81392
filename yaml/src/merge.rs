//! A mapping out of its entries: duplicate keys are found and `<<` is resolved.
//!
//! CircleCI's rules, which are ours: a key that is written twice in one mapping is an error; `<<`
//! may be written more than once; what a mapping says itself wins over what it merges, and of
//! several merged mappings the first that has a key wins.

use std::collections::HashMap;
use std::rc::Rc;

use super::node::{Entry, Mapping, NODE_SIZE, Node, Value};
use crate::fault::{self, Fault};
use crate::source::{Span, quoted};

/// An entry as it is written.
#[derive(Debug)]
pub(super) struct RawEntry {
    pub(super) entry: Entry,
    /// Set if the key is a plain `<<`.
    pub(super) is_merge: bool,
}

/// Makes a mapping. `work` counts the entries that were looked at, in the unit of sizes, since
/// merging a large mapping often costs time without making anything large.
pub(super) fn resolve_merges(
    raw: Vec<RawEntry>,
    faults: &mut Vec<Fault>,
    work: &mut usize,
    max_work: usize,
) -> Mapping {
    let mut index: HashMap<Rc<str>, usize> = HashMap::new();
    let mut entries: Vec<Entry> = Vec::new();
    let mut merges = Vec::new();
    let mut is_incomplete = false;
    for RawEntry { entry, is_merge } in raw {
        if is_merge {
            merges.push(entry);
        } else if let Some(first) = index.get(&entry.key).and_then(|at| entries.get(*at)) {
            fault::add_fault(
                faults,
                Fault::new(
                    entry.key_span,
                    format!("the key `{}` is already in this mapping", quoted(&entry.key)),
                )
                .related(first.key_span, "it is here for the first time"),
            );
        } else {
            index.insert(Rc::clone(&entry.key), entries.len());
            entries.push(entry);
        }
    }
    for merge in merges {
        let (sources, all_known) = merge_sources(&merge.value, merge.key_span, faults);
        is_incomplete |= !all_known;
        for source in sources {
            for entry in &source.entries {
                *work = work.saturating_add(NODE_SIZE);
                if *work > max_work {
                    return Mapping { entries, is_incomplete };
                }
                if !index.contains_key(&entry.key) {
                    index.insert(Rc::clone(&entry.key), entries.len());
                    entries.push(entry.clone());
                }
            }
        }
    }
    Mapping { entries, is_incomplete }
}

/// The mappings that a `<<` names: one, or a list of them. And whether these are all.
fn merge_sources(node: &Node, key: Span, faults: &mut Vec<Fault>) -> (Vec<Rc<Mapping>>, bool) {
    let items = match &node.value {
        Value::Mapping(mapping) => return (vec![Rc::clone(mapping)], !mapping.is_incomplete),
        Value::List(items) => items,
        Value::Scalar { .. } => {
            fault::add_fault(faults, wrong_source(node, key));
            return (Vec::new(), false);
        }
        Value::Unknown => return (Vec::new(), false),
    };
    let (mut mappings, mut all_known) = (Vec::new(), true);
    for item in items.iter() {
        match &item.value {
            Value::Mapping(mapping) => {
                all_known &= !mapping.is_incomplete;
                mappings.push(Rc::clone(mapping));
            }
            Value::Unknown => all_known = false,
            _ => {
                all_known = false;
                fault::add_fault(faults, wrong_source(item, item.used_at()));
            }
        }
    }
    (mappings, all_known)
}

/// The error for a `<<` whose value cannot be merged.
fn wrong_source(node: &Node, place: Span) -> Fault {
    let found = node.kind().describe();
    let fault = Fault::new(
        place,
        format!("`<<` merges a mapping or a list of mappings, but found {found}"),
    );
    match node.alias {
        Some(_) => fault.related(node.span, "the alias stands for this"),
        None => fault.hint("write `<<: *anchor`, with `&anchor` on the mapping to merge"),
    }
}
