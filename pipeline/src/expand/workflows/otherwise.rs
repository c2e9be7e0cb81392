//! Mistakes in what the conditions of this pipeline leave out: a
//! workflow that runs at night only should not be found to be wrong at night.
//!
//! While nothing is known of the pipeline, no condition on it fails, and what depends on it is not
//! known either, so that it cannot be called wrong.

use std::collections::BTreeSet;

use super::Invocation;
use super::names::Jobs;
use crate::expand::{Expander, Otherwise};
use crate::yaml::{Entry, Kind, Mapping, Node};

impl Expander<'_, '_> {
    /// Writes out all workflows for a pipeline of which nothing is known. `None` where that is
    /// more than may be, together with what is really written out.
    pub(in crate::expand) fn write_otherwise(&mut self, root: &Mapping) -> Option<Otherwise> {
        self.ignores_conditions = true;
        let mut jobs = Jobs::default();
        let node = root.get("workflows").filter(|node| node.kind() != Kind::Nothing)?;
        let entries: Vec<&Entry> =
            node.entries().iter().filter(|entry| super::is_workflow(entry)).collect();
        let workflows =
            entries.into_iter().map(|entry| self.write_workflow(entry, &mut jobs)).collect();
        (!self.is_over).then_some(Otherwise { jobs: jobs.entries, workflows })
    }
}

/// Keeps one job of each name: jobs whose conditions exclude each other may share one. Which of
/// them others require is not known then, and neither is what else the workflow has.
pub(super) fn keep_one_of_each(found: &mut [Result<Invocation, Node>]) {
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for item in found {
        if let Ok(job) = item
            && !seen.insert(job.name.clone())
        {
            *item = Err(Node::unknown(job.place));
        }
    }
}
