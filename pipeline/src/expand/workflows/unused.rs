//! Mistakes in what no workflow uses.

use std::rc::Rc;

use super::names::Jobs;
use crate::expand::jobs::Extra;
use crate::expand::package::{Definition, Definitions, Package};
use crate::expand::{Expander, Scope};
use crate::yaml::{Entry, Node};

impl Expander<'_, '_> {
    /// Returns what nothing uses, with as much as can be known of it, to be looked through for
    /// mistakes.
    pub(super) fn write_unused(
        &mut self,
        main: usize,
        jobs: &mut Jobs,
    ) -> (Vec<Entry>, Vec<Entry>) {
        let (mut steps, mut executors) = (Vec::new(), Vec::new());
        let in_order = |package: &Package, of: fn(&Package) -> &Definitions| {
            let mut all: Vec<Rc<Definition>> = of(package).values().cloned().collect();
            all.sort_by_key(|definition| definition.key_span);
            all
        };
        for index in 0..self.packages.len() {
            let Some(package) = self.packages.get(index) else { continue };
            let commands = in_order(package, |package| &package.commands);
            let own_executors = in_order(package, |package| &package.executors);
            let own_jobs = in_order(package, |package| &package.jobs);
            for job in own_jobs {
                if self.is_unused(&job) {
                    self.unused_job(&job, index == main, jobs);
                }
            }
            for command in commands {
                if self.is_unused(&command) {
                    let arguments = self.unknown_arguments(&command);
                    let mut out = Vec::new();
                    self.command_steps(&command, &arguments, &mut out);
                    let value = Node::made_list(out, command.span);
                    steps.push(Entry {
                        key: Rc::clone(&command.name),
                        key_span: command.key_span,
                        value,
                    });
                }
            }
            for executor in own_executors {
                if self.is_unused(&executor) {
                    let arguments = self.unknown_arguments(&executor);
                    let entries = self.executor_entries(&executor, &arguments, executor.key_span);
                    let value =
                        Node::made_mapping(entries, executor.span, executor.body.is_incomplete);
                    let (key, key_span) = (Rc::clone(&executor.name), executor.key_span);
                    executors.push(Entry { key, key_span, value });
                }
            }
        }
        (steps, executors)
    }

    /// Returns whether a definition of the configuration itself was not used yet. What is wrong in
    /// orbs of others and is not used does not matter here.
    fn is_unused(&self, definition: &Definition) -> bool {
        !self.is_over
            && !self.used.contains(&definition.id)
            && self.context.source.is_main(definition.key_span)
    }

    fn unused_job(&mut self, job: &Rc<Definition>, is_main: bool, jobs: &mut Jobs) {
        let is_wanted = is_main && self.context.options.job.as_deref() == Some(&*job.name);
        let needs = job.parameters.iter().any(|parameter| parameter.default.is_none());
        let arguments = if is_wanted || !needs {
            self.bind_arguments(job, &[], job.key_span, Scope::outside(job.package))
        } else {
            self.unknown_arguments(job)
        };
        self.used.insert(job.id);
        let node = self.write_job(job, &arguments, Extra::default());
        let name = job.describe();
        let key = if is_main { Rc::clone(&job.name) } else { Rc::from(name.as_str()) };
        if jobs.names.insert(Rc::clone(&key)) {
            jobs.entries.push(Entry { key, key_span: job.key_span, value: node });
        }
    }
}
