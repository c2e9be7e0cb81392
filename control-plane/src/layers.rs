//! The layers of a workspace that a job sees, in their order. Pure.

use std::collections::{HashMap, HashSet};

use russet_protocol::ids::JobId;
use russet_protocol::storage::Layer;

use crate::store::workspaces::{LayerRow, Node};

/// The jobs that a job comes after, each behind those that it comes after itself.
struct Ancestors<'a> {
    nodes: &'a [Node],
    /// Places of the jobs among `nodes`, in that order.
    sorted: Vec<usize>,
    /// For each of `sorted`, a set of those of `sorted` that it comes after. A bit each: for ten
    /// thousand jobs in a row that is 12 MB, where lists would be gigabytes.
    before: HashMap<usize, Vec<u64>>,
}

impl<'a> Ancestors<'a> {
    fn of(nodes: &'a [Node], own: usize) -> Self {
        let places: HashMap<&str, usize> =
            nodes.iter().enumerate().map(|(place, node)| (&*node.name, place)).collect();
        let required = |place: usize| {
            nodes[place].requires.iter().filter_map(|name| places.get(&**name).copied())
        };
        let sorted = sort(own, &required);
        let index: HashMap<usize, usize> =
            sorted.iter().enumerate().map(|(index, place)| (*place, index)).collect();
        let mut before: HashMap<usize, Vec<u64>> = HashMap::new();
        for &place in &sorted {
            let mut set = vec![0; sorted.len().div_ceil(64)];
            for earlier in required(place) {
                let Some(earlier_set) = before.get(&earlier) else { continue };
                set.iter_mut().zip(earlier_set).for_each(|(word, more)| *word |= more);
                set[index[&earlier] / 64] |= 1 << (index[&earlier] % 64);
            }
            before.insert(place, set);
        }
        Self { nodes, sorted, before }
    }

    /// Returns how many jobs the one at an index of `sorted` comes after.
    fn count(&self, at: usize) -> u32 {
        let set = self.before.get(&self.sorted[at]);
        set.map_or(0, |set| set.iter().map(|word| word.count_ones()).sum())
    }

    /// Returns true where the job at `place` comes after the one at `other`, an index of `sorted`.
    fn is_after(&self, place: usize, other: usize) -> bool {
        self.before.get(&place).is_some_and(|set| set[other / 64] >> (other % 64) & 1 == 1)
    }
}

/// Places of all jobs that the one at `own` comes after, without itself, each behind those that it
/// comes after. Without recursion: a chain of jobs may be ten thousand long.
fn sort<I: Iterator<Item = usize>>(own: usize, required: &impl Fn(usize) -> I) -> Vec<usize> {
    let mut seen = HashSet::from([own]);
    let mut sorted = Vec::new();
    let mut open = vec![(own, required(own))];
    while let Some((place, rest)) = open.last_mut() {
        let place = *place;
        match rest.next() {
            Some(next) if seen.insert(next) => open.push((next, required(next))),
            Some(_) => {}
            None => {
                open.pop();
                sorted.push(place);
            }
        }
    }
    sorted.pop();
    sorted
}

/// The layers that `job` sees: those of all jobs that it comes after. Layers of a job come after
/// those of the jobs before it, and otherwise in the order in which they were stored.
pub(crate) fn visible_layers(nodes: &[Node], job: &JobId, stored: Vec<LayerRow>) -> Vec<Layer> {
    let Some(own) = nodes.iter().position(|node| node.id == *job) else { return Vec::new() };
    let ancestors = Ancestors::of(nodes, own);
    let places: HashMap<&JobId, usize> =
        ancestors.sorted.iter().enumerate().map(|(at, place)| (&nodes[*place].id, at)).collect();
    let mut seen: Vec<(usize, LayerRow)> =
        stored.into_iter().filter_map(|layer| Some((*places.get(&layer.job)?, layer))).collect();
    // A job has more jobs before it than any of those has.
    seen.sort_by_cached_key(|(at, _)| ancestors.count(*at));
    let after = |index: usize| {
        let (at, layer) = &seen[index];
        let earlier = seen[..index].iter().enumerate();
        let may = earlier.filter(|(_, (other, earlier))| {
            earlier.task == layer.task || ancestors.is_after(ancestors.sorted[*at], *other)
        });
        may.filter_map(|(index, _)| u32::try_from(index).ok()).collect()
    };
    (0..seen.len())
        .map(|index| {
            let (at, layer) = &seen[index];
            Layer {
                id: layer.id.clone(),
                job: ancestors.nodes[ancestors.sorted[*at]].name.clone(),
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
    use super::visible_layers;
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
        let layers = visible_layers(&nodes(), &"d".into(), stored());
        let wanted: [(&str, &[u32]); 4] =
            [("a-1", &[]), ("c-1", &[0]), ("b-1", &[0]), ("b-2", &[0])];
        assert_eq!(shown(&layers), wanted);
        assert_eq!(shown(&visible_layers(&nodes(), &"b".into(), stored())), [("a-1", &[][..])]);
        assert!(
            visible_layers(&nodes(), &"a".into(), stored()).is_empty(),
            "nor what it made itself"
        );
        assert!(visible_layers(&nodes(), &"unknown".into(), stored()).is_empty());
    }

    #[test]
    fn a_task_may_replace_its_own_files_and_another_task_of_its_job_may_not() {
        let stored = vec![layer("a", "1"), layer("a", "2"), layer("a", "1")];
        let layers = visible_layers(&nodes(), &"b".into(), stored);
        let after: Vec<&[u32]> = layers.iter().map(|layer| &*layer.after).collect();
        assert_eq!(after, [&[][..], &[], &[0]]);
    }

    #[test]
    fn a_chain_of_ten_thousand_jobs_is_seen_in_its_order() {
        let name = |n: usize| format!("j{n}");
        let nodes: Vec<Node> = (0..10_000)
            .map(|n: usize| Node {
                id: name(n).as_str().into(),
                name: name(n),
                requires: n.checked_sub(1).map(name).into_iter().collect(),
            })
            .collect();
        let stored = vec![layer("j5000", "1"), layer("j7", "1")];
        let layers = visible_layers(&nodes, &"j9999".into(), stored);
        assert_eq!(shown(&layers), [("j7-1", &[][..]), ("j5000-1", &[0])]);
    }
}
