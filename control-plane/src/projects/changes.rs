//! Changes of branches and tags, and what they cause. Pure.

use std::collections::BTreeMap;

use russet_protocol::ids::AllocationId;

use crate::git::RemoteRefs;
use crate::store::git_refs::SeenRef;
use crate::store::trigger_events::{EventValues, NewTrigger};

/// Most pipelines that one poll causes: a mirror push of a thousand tags is no wish for a thousand builds.
const MAX_TRIGGERS: usize = 50;

/// A branch or tag that is at another commit than before, or gone (empty).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefChange {
    pub(crate) name: String,
    pub(crate) revision: String,
    pub(crate) before: Option<String>,
    /// Number of the change of this branch or tag.
    pub(crate) number: u64,
}

/// Returns what changed since a remote was seen last.
pub(super) fn find_changes(seen: &BTreeMap<String, SeenRef>, now: &RemoteRefs) -> Vec<RefChange> {
    let known = |of: &&SeenRef| !of.revision.is_empty();
    let there = now.commits.iter().filter_map(|(name, revision)| {
        let before = seen.get(name);
        if before.is_some_and(|before| before.revision == *revision) {
            return None;
        }
        Some(RefChange {
            name: name.clone(),
            revision: revision.clone(),
            before: before.filter(known).map(|before| before.revision.clone()),
            number: before.map_or(0, |before| before.changes) + 1,
        })
    });
    let gone = seen.iter().filter(|(name, of)| known(of) && !now.commits.contains_key(*name));
    let gone = gone.map(|(name, of)| RefChange {
        name: name.clone(),
        revision: String::new(),
        before: Some(of.revision.clone()),
        number: of.changes + 1,
    });
    there.chain(gone).collect()
}

/// What webhooks told when a remote was listed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// Number of the last one before the list was asked for.
    pub(super) heard: u64,
    /// Time until which copies of the host's repository have what was told, in milliseconds since 1970.
    pub(super) settled_ms: i64,
}

/// Returns what changed, but for branches and tags of which a webhook told a moment before or later: the list
/// may be older than that. The other value is true if some were left out, so that the remote has to be asked
/// again.
pub(super) fn find_told_changes(
    seen: &BTreeMap<String, SeenRef>,
    now: &RemoteRefs,
    told: Told,
) -> (Vec<RefChange>, bool) {
    let all = find_changes(seen, now);
    let count = all.len();
    let is_newer =
        |of: &SeenRef| of.heard > told.heard || (of.heard > 0 && of.changed_ms > told.settled_ms);
    let is_kept = |change: &RefChange| !seen.get(&change.name).is_some_and(is_newer);
    let changes: Vec<RefChange> = all.into_iter().filter(is_kept).collect();
    let is_late = changes.len() < count;
    (changes, is_late)
}

/// Returns the triggers of changes, and how many were left out. `connected_ms` tells a connection from an
/// earlier one of the same project.
pub(super) fn triggers_of(changes: &[RefChange], connected_ms: u64) -> (Vec<NewTrigger>, usize) {
    let pushed: Vec<&RefChange> =
        changes.iter().filter(|change| !change.revision.is_empty()).collect();
    let triggers: Vec<NewTrigger> =
        pushed.iter().take(MAX_TRIGGERS).map(|change| trigger_of(change, connected_ms)).collect();
    let left_out = pushed.len() - triggers.len();
    (triggers, left_out)
}

/// Returns the trigger of a change. Its key is the same whether a poll or a webhook told of it.
pub(crate) fn trigger_of(change: &RefChange, connected_ms: u64) -> NewTrigger {
    NewTrigger {
        id: AllocationId::generate().to_string(),
        key: format!("{connected_ms}:{}@{}#{}", change.name, change.revision, change.number),
        kind: "push",
        reference: change.name.clone(),
        revision: change.revision.clone(),
        base_revision: change.before.clone(),
        author: None,
        from_fork: false,
        event: EventValues::new(),
        is_held: false,
    }
}

/// Returns the trigger of somebody's wish.
pub(crate) fn trigger_of_call(reference: &str, revision: &str, author: &str) -> NewTrigger {
    let id = AllocationId::generate().to_string();
    NewTrigger {
        key: format!("api:{id}"),
        id,
        kind: "api",
        reference: reference.to_owned(),
        revision: revision.to_owned(),
        base_revision: None,
        author: Some(author.to_owned()),
        from_fork: false,
        event: EventValues::new(),
        is_held: false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{MAX_TRIGGERS, RefChange, Told, find_changes, find_told_changes, triggers_of};
    use crate::git::RemoteRefs;
    use crate::store::git_refs::SeenRef;

    fn remote(all: &[(&str, &str)]) -> RemoteRefs {
        let commits = all.iter().map(|(name, hash)| ((*name).to_owned(), (*hash).to_owned()));
        RemoteRefs { commits: commits.collect(), ..RemoteRefs::default() }
    }

    /// Applies changes as the store does.
    fn apply(seen: &mut BTreeMap<String, SeenRef>, now: &RemoteRefs) -> Vec<String> {
        let changes = find_changes(seen, now);
        for change in &changes {
            let (revision, changes) = (change.revision.clone(), change.number);
            let of = SeenRef { revision, changes, heard: 0, changed_ms: 0 };
            seen.insert(change.name.clone(), of);
        }
        triggers_of(&changes, 7).0.into_iter().map(|trigger| trigger.key).collect()
    }

    #[test]
    fn a_change_causes_one_build_also_of_a_commit_that_was_there_before() {
        let mut seen = BTreeMap::new();
        assert_eq!(apply(&mut seen, &remote(&[("m", "A")])), ["7:m@A#1"]);
        assert!(apply(&mut seen, &remote(&[("m", "A")])).is_empty());
        assert_eq!(apply(&mut seen, &remote(&[("m", "B"), ("x", "A")])), ["7:m@B#2", "7:x@A#1"]);
        // Pushed back, deleted, and made again: each is another cause.
        assert_eq!(apply(&mut seen, &remote(&[("m", "A")])), ["7:m@A#3"]);
        assert!(apply(&mut seen, &remote(&[("m", "A")])).is_empty());
        assert_eq!(apply(&mut seen, &remote(&[("m", "A"), ("x", "A")])), ["7:x@A#3"]);
    }

    #[test]
    fn a_change_names_the_commit_before_and_a_new_branch_has_none() {
        let mut seen = BTreeMap::new();
        apply(&mut seen, &remote(&[("m", "A")]));
        let changes = find_changes(&seen, &remote(&[("m", "B"), ("n", "B")]));
        let (triggers, _) = triggers_of(&changes, 1);
        assert_eq!(triggers[0].base_revision.as_deref(), Some("A"));
        assert_eq!(triggers[1].base_revision, None);
    }

    #[test]
    fn a_list_that_is_older_than_a_webhook_moves_nothing_back() {
        let of = |revision: &str, heard, changed_ms| SeenRef {
            revision: revision.to_owned(),
            changes: 2,
            heard,
            changed_ms,
        };
        let told = |heard, settled_ms| Told { heard, settled_ms };
        let names = |(changes, is_late): (Vec<RefChange>, bool)| {
            (changes.into_iter().map(|of| of.name).collect::<Vec<_>>(), is_late)
        };
        let seen =
            BTreeMap::from([("m".to_owned(), of("B", 5, 90)), ("x".to_owned(), of("A", 4, 50))]);
        let old = remote(&[("m", "A"), ("x", "C")]);
        // It began before the webhook, and is asked for again.
        assert_eq!(
            names(find_told_changes(&seen, &old, told(4, 100))),
            (vec!["x".to_owned()], true)
        );
        // It began after it, at a copy that lags behind.
        assert_eq!(
            names(find_told_changes(&seen, &old, told(5, 80))),
            (vec!["x".to_owned()], true)
        );
        // One that is later is believed, also where a branch is gone.
        let gone = remote(&[("x", "A")]);
        assert_eq!(
            names(find_told_changes(&seen, &gone, told(5, 100))),
            (vec!["m".to_owned()], false)
        );
    }

    #[test]
    fn a_push_of_everything_at_once_builds_a_bounded_number() {
        let all: Vec<(String, &str)> = (0..80).map(|n| (format!("refs/tags/{n}"), "A")).collect();
        let all: Vec<(&str, &str)> = all.iter().map(|(name, of)| (&**name, *of)).collect();
        let (triggers, left_out) = triggers_of(&find_changes(&BTreeMap::new(), &remote(&all)), 1);
        assert_eq!((triggers.len(), left_out), (MAX_TRIGGERS, 80 - MAX_TRIGGERS));
    }
}
