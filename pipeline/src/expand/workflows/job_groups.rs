//! `job-groups`: named lists of jobs that a workflow runs as one.
//!
//! The jobs of a group that require none of it take over what the workflow says that the group
//! requires. Whoever requires the group waits for all of its jobs.

use std::rc::Rc;

use crate::expand::Expander;
use crate::problem::Problem;
use crate::source::quoted;
use crate::vocabulary;
use crate::yaml::{Entry, Kind, Mapping, Node, Value};

impl Expander<'_, '_> {
    /// Reads the `job-groups` of the top level.
    pub(in crate::expand) fn read_job_groups(&mut self, root: &Mapping) {
        let Some(node) = root.get("job-groups").filter(|node| node.kind() != Kind::Nothing) else {
            return;
        };
        if !self.context.is_2_1 {
            return;
        }
        let Some(mapping) = self.context.expect_mapping(node, "`job-groups`") else { return };
        for entry in &mapping.entries {
            let what = format!("the job group `{}`", quoted(&entry.key));
            let Some(group) = self.context.expect_mapping(&entry.value, &what) else { continue };
            self.context.check_keys(group, &vocabulary::JOB_GROUP);
            match group.get("jobs") {
                Some(jobs) => {
                    if let Value::List(items) = &jobs.value {
                        self.job_groups.insert(Rc::clone(&entry.key), Rc::clone(items));
                    } else {
                        self.context.wrong_type(jobs, &format!("`jobs` of {what}"), "a list");
                    }
                }
                None if group.is_incomplete => {}
                None => {
                    let message = format!("{what} has no `jobs`");
                    self.report(Problem::error(entry.key_span, message));
                }
            }
        }
    }

    /// Returns the name and the jobs of the group that an item of a workflow's `jobs` names, with
    /// what the item says of the group. `None` if it names no group.
    pub(super) fn grouped_jobs(&mut self, item: &Node) -> Option<(Rc<str>, Vec<Node>)> {
        let (name, keys): (&str, &[Entry]) = match &item.value {
            Value::Mapping(mapping) => match mapping.entries.as_slice() {
                [entry] => (&entry.key, entry.value.entries()),
                _ => return None,
            },
            _ => (item.scalar()?, &[]),
        };
        let (name, members) = self.job_groups.get_key_value(name)?;
        let (name, members) = (Rc::clone(name), Rc::clone(members));
        for entry in keys {
            if vocabulary::GROUP_IN_WORKFLOW.word(&entry.key).is_none() {
                let message = format!("a job group takes no `{}` here", quoted(&entry.key));
                let known: Vec<&str> = vocabulary::GROUP_IN_WORKFLOW.names().collect();
                let hint = format!("it takes `{}`; the rest is for its jobs", known.join("`, `"));
                self.report(Problem::error(entry.key_span, message).hint(hint));
            }
        }
        if let Some(serial) = keys.iter().find(|entry| &*entry.key == "serial-group") {
            let message = "jobs of other pipelines may run between the jobs of this group";
            let hint = "each of its jobs takes its turn in the serial group by itself; make it one \
                        job to keep others out";
            self.report(Problem::warning(serial.key_span, message).hint(hint));
        }
        let made = members.iter().map(|member| with_keys_of_group(member, keys)).collect();
        Some((name, made))
    }
}

/// Returns a job of a group with what the workflow says of the group.
fn with_keys_of_group(member: &Node, group: &[Entry]) -> Node {
    let (key, key_span, own) = match &member.value {
        Value::Mapping(mapping) => match mapping.entries.as_slice() {
            [entry] => (Rc::clone(&entry.key), entry.key_span, entry.value.entries()),
            _ => return member.clone(),
        },
        _ => match member.scalar() {
            Some(name) => (Rc::from(name), member.span, &[][..]),
            None => return member.clone(),
        },
    };
    let is_known = |entry: &&Entry| {
        vocabulary::GROUP_IN_WORKFLOW.word(&entry.key).is_some()
            && !own.iter().any(|other| other.key == entry.key)
    };
    let entries: Vec<Entry> =
        own.iter().cloned().chain(group.iter().filter(is_known).cloned()).collect();
    if entries.is_empty() {
        return member.clone();
    }
    let value = Node::made_mapping(entries, member.span, false);
    Node::made_mapping(vec![Entry { key, key_span, value }], member.span, false)
}
