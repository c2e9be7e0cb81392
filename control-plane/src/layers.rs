//! Which layers of a workspace a job sees, and in which order. Pure.

use std::collections::{BTreeMap, BTreeSet};

use russet_protocol::ids::JobId;
use russet_protocol::storage::Layer;

use crate::store::workspaces::{LayerRow, Node};

/// The jobs of a workflow, by what comes before what.
struct Graph<'a> {
    /// For each job, by its place, all jobs that it comes after, directly or not.
    before: Vec<BTreeSet<usize>>,
    nodes: &'a [Node],
}

impl<'a> Graph<'a> {
    fn new(nodes: &'a [Node]) -> Self {
        let places: BTreeMap<&str, usize> =
            nodes.iter().enumerate().map(|(place, node)| (&*node.name, place)).collect();
        let direct: Vec<Vec<usize>> = nodes
            .iter()
            .map(|node| {
                node.requires.iter().filter_map(|name| places.get(&**name).copied()).collect()
            })
            .collect();
        let before = (0..nodes.len())
            .map(|place| {
                let mut seen = BTreeSet::new();
                let mut open = direct[place].clone();
                while let Some(next) = open.pop() {
                    if seen.insert(next) {
                        open.extend(&direct[next]);
                    }
                }
                seen
            })
            .collect();
        Self { before, nodes }
    }

    fn place(&self, job: &JobId) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == *job)
    }
}

/// The layers that `job` sees: those of all jobs that it comes after. Layers of a job come after
/// those of the jobs before it, and otherwise in the order in which they were stored.
pub(crate) fn visible(nodes: &[Node], job: &JobId, stored: Vec<LayerRow>) -> Vec<Layer> {
    let graph = Graph::new(nodes);
    let Some(own) = graph.place(job) else { return Vec::new() };
    let mut seen: Vec<(usize, LayerRow)> = stored
        .into_iter()
        .filter_map(|layer| Some((graph.place(&layer.job)?, layer)))
        .filter(|(place, _)| graph.before[own].contains(place))
        .collect();
    // A job has more jobs before it than any of those has.
    seen.sort_by_key(|(place, _)| graph.before[*place].len());
    let after = |index: usize| {
        let (place, layer) = &seen[index];
        let earlier = seen[..index].iter().enumerate();
        let may = earlier.filter(|(_, (other, earlier))| {
            earlier.task == layer.task || graph.before[*place].contains(other)
        });
        may.filter_map(|(index, _)| u32::try_from(index).ok()).collect()
    };
    (0..seen.len())
        .map(|index| {
            let (place, layer) = &seen[index];
            Layer {
                id: layer.id.clone(),
                job: nodes[*place].name.clone(),
                node_index: layer.node_index,
                size: layer.size,
                blake3: layer.blake3.clone(),
                after: after(index),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::visible;
    use crate::store::workspaces::{LayerRow, Node};
    use russet_protocol::storage::Layer;

    fn nodes() -> Vec<Node> {
        // a → b → d, a → c → d; e is alone.
        [("d", &["b", "c"][..]), ("c", &["a"]), ("b", &["a"]), ("a", &[]), ("e", &[])]
            .iter()
            .map(|(name, requires)| Node {
                id: (*name).into(),
                name: (*name).to_owned(),
                requires: requires.iter().map(|name| (*name).to_owned()).collect(),
            })
            .collect()
    }

    fn layer(job: &str, task: &str) -> LayerRow {
        LayerRow {
            id: format!("{job}-{task}"),
            job: job.into(),
            task: format!("{job}{task}"),
            node_index: 0,
            size: 1,
            blake3: String::new(),
        }
    }

    fn shown(layers: &[Layer]) -> Vec<(&str, &[u32])> {
        layers.iter().map(|layer| (&*layer.id, &*layer.after)).collect()
    }

    #[test]
    fn a_job_sees_what_all_jobs_before_it_handed_on_and_nothing_else() {
        let stored = || {
            vec![
                layer("e", "1"),
                layer("c", "1"),
                layer("b", "1"),
                layer("b", "2"),
                layer("a", "1"),
            ]
        };
        let layers = visible(&nodes(), &"d".into(), stored());
        let wanted: [(&str, &[u32]); 4] =
            [("a-1", &[]), ("c-1", &[0]), ("b-1", &[0]), ("b-2", &[0])];
        assert_eq!(shown(&layers), wanted);
        assert_eq!(shown(&visible(&nodes(), &"b".into(), stored())), [("a-1", &[][..])]);
        assert!(visible(&nodes(), &"a".into(), stored()).is_empty(), "nor what it made itself");
        assert!(visible(&nodes(), &"unknown".into(), stored()).is_empty());
    }

    #[test]
    fn a_task_may_replace_its_own_files_and_another_task_of_its_job_may_not() {
        let stored = vec![layer("a", "1"), layer("a", "2"), layer("a", "1")];
        let layers = visible(&nodes(), &"b".into(), stored);
        let after: Vec<&[u32]> = layers.iter().map(|layer| &*layer.after).collect();
        assert_eq!(after, [&[][..], &[], &[0]]);
    }
}
