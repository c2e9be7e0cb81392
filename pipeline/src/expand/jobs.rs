//! Jobs with their arguments, executors and steps written out.

use std::rc::Rc;

use super::executors::fill_gaps;
use super::package::Definition;
use super::parameters::{Argument, Arguments};
use super::{Expander, Scope};
use crate::yaml::{Entry, Node};

/// Steps that a workflow puts before and after those of a job.
#[derive(Debug, Default)]
pub(super) struct Extra {
    pub(super) before: Vec<Node>,
    pub(super) after: Vec<Node>,
}

impl Expander<'_, '_> {
    /// A job with everything written out.
    pub(super) fn write_job(
        &mut self,
        job: &Rc<Definition>,
        arguments: &Arguments,
        extra: Extra,
    ) -> Node {
        let package = job.package;
        let inside = Scope::inside(package, arguments);
        let is_2_1 = self.packages.get(package).is_none_or(|package| package.is_2_1);
        let mut entries = Vec::new();
        let mut executor = Vec::new();
        let mut steps = None;
        for entry in &job.body.entries {
            let value = match &*entry.key {
                "parameters" if is_2_1 => continue,
                "steps" => {
                    steps = Some(entry);
                    continue;
                }
                "executor" if is_2_1 => {
                    // What is not found stays, so that nobody says that it is not there at all.
                    match self.write_executor(&entry.value, inside) {
                        Some(found) => {
                            executor = found;
                            continue;
                        }
                        None => self.fill_templates(&entry.value, inside),
                    }
                }
                key => self.fill_templates(&entry.value, inside.within(key)),
            };
            if !self.count_work(value.size, job.key_span) {
                break;
            }
            let (key, key_span) = (Rc::clone(&entry.key), entry.key_span);
            entries.push(Entry { key, key_span, value });
        }
        let mut entries = fill_gaps(entries, executor);
        let has_extra = !(extra.before.is_empty() && extra.after.is_empty());
        if let Some(entry) = steps {
            entries.push(Entry {
                value: self.job_steps(&entry.value, inside, extra),
                ..entry.clone()
            });
        } else if has_extra {
            let all = extra.before.into_iter().chain(extra.after).collect();
            let value = Node::made_list(all, job.span);
            entries.push(Entry { key: Rc::from("steps"), key_span: job.key_span, value });
        }
        Node::made_mapping(entries, job.span, job.body.is_incomplete)
    }

    fn job_steps(&mut self, node: &Node, scope: Scope<'_>, extra: Extra) -> Node {
        let is_steps = self.argument_of(node, scope).is_some_and(Argument::is_steps);
        if !is_steps && !matches!(node.value, crate::yaml::Value::List(_)) {
            // What reads the job says what is wrong with it.
            return self.fill_templates(node, scope);
        }
        let mut steps = extra.before;
        self.write_steps(node, scope, &mut steps);
        steps.extend(extra.after);
        // That it has no steps is a mistake only where none are written.
        let is_empty = steps.is_empty()
            && matches!(&node.value, crate::yaml::Value::List(items) if !items.is_empty());
        if is_empty && self.is_over {
            steps.push(Node::unknown(node.span));
        }
        Node { alias: node.alias, ..Node::made_list(steps, node.span) }
    }
}
