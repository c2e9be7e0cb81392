//! Names of sets, and which of them a task reads and writes. Pure.

use std::cmp::Reverse;

use russet_protocol::runner::ClaimResponse;
use serde::{Deserialize, Serialize};

use crate::vault::form_matches;

/// Kind of the branch that a task is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Branch {
    /// One that the owner names.
    Trusted,
    /// Any other.
    Other,
    /// None: the task is of a tag.
    Tag,
}

/// Tasks that share sets: those of a project, a class and a kind of branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::launch) struct Scope {
    /// Of project and class.
    hash: String,
    branch: Branch,
}

/// Place that a set fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// Every slot.
    All,
    /// This slot: there are absolute paths in it.
    Slot(u32),
}

/// Returns the scope of a claimed task. `None`: it shares nothing, since it comes from a fork or the
/// server does not say enough.
pub(in crate::launch) fn scope_of(
    class: &str,
    claimed: &ClaimResponse,
    trusted: &[String],
) -> Option<Scope> {
    if claimed.from_fork != Some(false) {
        return None;
    }
    let project = claimed.project.as_ref().filter(|project| !project.is_empty())?;
    let branch = match (&claimed.tag, &claimed.branch) {
        (Some(_), _) => Branch::Tag,
        (None, Some(branch)) if trusted.iter().any(|form| form_matches(form, branch)) => {
            Branch::Trusted
        }
        (None, Some(_)) => Branch::Other,
        (None, None) => return None,
    };
    // As JSON, no part can look like another one.
    let text = serde_json::json!([project, class]).to_string();
    let hash = blake3::hash(text.as_bytes()).to_hex().chars().take(32).collect();
    Some(Scope { hash, branch })
}

impl Scope {
    /// Returns the name of the set that a task writes, if it writes one. It may become the trusted
    /// one only from a branch that is.
    pub(super) fn written(&self, fit: Fit) -> Option<String> {
        let kind = match self.branch {
            Branch::Trusted => "main",
            Branch::Other => "other",
            Branch::Tag => return None,
        };
        let fit = match fit {
            Fit::All => "all".to_owned(),
            Fit::Slot(number) => number.to_string(),
        };
        Some(format!("{}-{kind}-{fit}", self.hash))
    }

    /// Returns the set that a task reads, of those that there are with the time at which each was
    /// saved: one of its own slot before one of another, and of these the latest.
    pub(super) fn choose<'a>(&self, fit: Fit, sets: &'a [(String, u64)]) -> Option<&'a str> {
        let ranked = sets.iter().filter_map(|(name, saved)| {
            Some(((self.rank(name, fit)?, Reverse(*saved)), name.as_str()))
        });
        ranked.min().map(|(_, name)| name)
    }

    /// Returns the rank of a set for a task; `None` if it may not or cannot use it.
    fn rank(&self, name: &str, fit: Fit) -> Option<u8> {
        let (kind, place) = name.strip_prefix(&self.hash)?.strip_prefix('-')?.split_once('-')?;
        let may_read = match kind {
            "main" => self.branch != Branch::Tag,
            "other" => self.branch == Branch::Other,
            _ => false,
        };
        let number: Option<u32> = place.parse().ok();
        match (fit, number) {
            _ if !may_read => None,
            (Fit::All, None) => (place == "all").then_some(0),
            (Fit::Slot(own), Some(number)) => Some(u8::from(own != number)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Branch, Fit, Scope, scope_of};
    use russet_protocol::runner::ClaimResponse;

    fn claimed(
        project: Option<&str>,
        fork: Option<bool>,
        branch: Option<&str>,
        tag: Option<&str>,
    ) -> ClaimResponse {
        let text = r#"{"task_token":"t","allocation":"a"}"#;
        let mut claimed: ClaimResponse = serde_json::from_str(text).unwrap();
        claimed.project = project.map(str::to_owned);
        claimed.from_fork = fork;
        (claimed.branch, claimed.tag) = (branch.map(str::to_owned), tag.map(str::to_owned));
        claimed
    }

    fn scope(
        project: Option<&str>,
        fork: Option<bool>,
        branch: Option<&str>,
        tag: Option<&str>,
    ) -> Option<Scope> {
        let trusted = ["main".to_owned(), "release/*".to_owned()];
        scope_of("acme/mini", &claimed(project, fork, branch, tag), &trusted)
    }

    fn set(branch: &str, fit: Fit) -> Option<String> {
        scope(Some("p"), Some(false), Some(branch), None)?.written(fit)
    }

    #[test]
    fn forks_and_tasks_of_which_too_little_is_known_share_nothing() {
        let main = Some("main");
        assert!(scope(Some("p"), Some(false), main, None).is_some());
        for (project, fork, branch) in [
            (Some("p"), Some(true), main),
            (Some("p"), None, main),
            (None, Some(false), main),
            (Some(""), Some(false), main),
            (Some("p"), Some(false), None),
        ] {
            assert_eq!(scope(project, fork, branch, None), None, "{project:?} {fork:?} {branch:?}");
        }
        let tag = scope(Some("p"), Some(false), None, Some("v1")).unwrap();
        assert_eq!((tag.branch, tag.written(Fit::All)), (Branch::Tag, None));
        // A branch beside a tag may have been chosen by a stranger.
        assert_eq!(scope(Some("p"), Some(false), main, Some("v1")).unwrap().branch, Branch::Tag);
    }

    #[test]
    fn projects_classes_and_kinds_of_branch_have_sets_of_their_own() {
        let of = |project: &str, class: &str, branch: &str| {
            let claimed = claimed(Some(project), Some(false), Some(branch), None);
            scope_of(class, &claimed, &["main".to_owned()]).unwrap().written(Fit::All).unwrap()
        };
        let main = of("p", "c", "main");
        assert_eq!(main, of("p", "c", "main"));
        assert_eq!(of("p", "c", "a"), of("p", "c", "b"));
        for other in [of("p", "c", "a"), of("q", "c", "main"), of("p", "d", "main")] {
            assert_ne!(other, main);
        }
        assert_ne!(of("p\",\"c", "x", "main"), of("p", "c\",\"x", "main"));
        assert_eq!(set("release/1.0", Fit::All), set("main", Fit::All));
    }

    #[test]
    fn a_branch_reads_the_trusted_set_and_the_latest_and_a_trusted_one_never_anothers() {
        let scope = |branch: &str| scope(Some("p"), Some(false), Some(branch), None).unwrap();
        let (main, other) = (set("main", Fit::All).unwrap(), set("topic", Fit::All).unwrap());
        let sets = |main_saved: u64, other_saved: u64| {
            vec![(main.clone(), main_saved), (other.clone(), other_saved)]
        };
        for (branch, main_saved, other_saved, wanted) in
            [("main", 1, 9, &main), ("topic", 1, 9, &other), ("topic", 9, 1, &main)]
        {
            let sets = sets(main_saved, other_saved);
            assert_eq!(scope(branch).choose(Fit::All, &sets), Some(wanted.as_str()), "{branch}");
        }
        assert_eq!(scope("main").choose(Fit::All, &[(other.clone(), 1)]), None);
        assert_eq!(scope("topic").choose(Fit::All, &[(main.clone(), 1)]), Some(main.as_str()));
        let tag = self::scope(Some("p"), Some(false), None, Some("v1")).unwrap();
        assert_eq!(tag.choose(Fit::All, &sets(1, 2)), None);
        let foreign = self::scope(Some("q"), Some(false), Some("main"), None).unwrap();
        assert_eq!(foreign.choose(Fit::All, &sets(1, 2)), None);
    }

    #[test]
    fn a_set_with_absolute_paths_is_that_of_the_slot_before_that_of_another() {
        let scope = scope(Some("p"), Some(false), Some("main"), None).unwrap();
        let of = |slot| set("main", Fit::Slot(slot)).unwrap();
        let sets = [(of(1), 10), (of(2), 30), (of(3), 20), (set("main", Fit::All).unwrap(), 99)];
        assert_eq!(scope.choose(Fit::Slot(1), &sets), Some(of(1).as_str()));
        assert_eq!(scope.choose(Fit::Slot(4), &sets), Some(of(2).as_str()));
        assert_eq!(scope.choose(Fit::All, &sets), set("main", Fit::All).as_deref());
        assert_ne!(of(1), of(11));
    }
}
