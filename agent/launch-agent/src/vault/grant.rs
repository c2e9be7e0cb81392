//! Which tasks may have a credential. Pure, and decided here whatever the control plane says.
//!
//! Threat: whoever can have a job run on this machine can have what the job is granted. So a
//! grant names classes, projects, and branches or tags that only trusted people can write to;
//! everything that it does not name is refused; and so is every task of which the control plane
//! does not say all of that. A task that comes from a fork gets nothing, and no grant can change
//! that.

use serde::{Deserialize, Serialize};

/// Which tasks may have a credential. In each list `*` stands for any text; an empty list stands
/// for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Resource classes, as the configuration of this machine names them.
    pub classes: Vec<String>,
    /// Projects.
    pub projects: Vec<String>,
    /// Branches that are protected.
    #[serde(default)]
    pub branches: Vec<String>,
    /// Tags that are protected.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// A task, as far as grants go.
#[derive(Clone, Copy, Debug, Default)]
pub struct Task<'a> {
    /// The class that it was claimed for, by this machine's own configuration.
    pub class: Option<&'a str>,
    /// Its project, where the server says it.
    pub project: Option<&'a str>,
    /// Its branch, where the server says it.
    pub branch: Option<&'a str>,
    /// Its tag, where the server says it.
    pub tag: Option<&'a str>,
    /// Set if it comes from a fork, where the server says it.
    pub from_fork: Option<bool>,
}

impl Grant {
    /// Returns the reason why the task may not have the credential; `None` where it may.
    #[must_use]
    pub fn refusal(&self, task: &Task<'_>) -> Option<String> {
        match task.from_fork {
            Some(false) => {}
            Some(true) => return Some("the task comes from a fork".to_owned()),
            None => return Some("the server does not say whether it comes from a fork".to_owned()),
        }
        find_refusal(&self.classes, "resource class", task.class)
            .or_else(|| find_refusal(&self.projects, "project", task.project))
            .or_else(|| self.refused_ref(task))
    }

    /// Both have to be protected where a task has both: each may have been chosen by a stranger.
    fn refused_ref(&self, task: &Task<'_>) -> Option<String> {
        if task.branch.is_none() && task.tag.is_none() {
            return Some("the server names neither its branch nor its tag".to_owned());
        }
        let branch =
            task.branch.and_then(|name| find_refusal(&self.branches, "branch", Some(name)));
        branch.or_else(|| task.tag.and_then(|name| find_refusal(&self.tags, "tag", Some(name))))
    }
}

fn find_refusal(forms: &[String], what: &str, name: Option<&str>) -> Option<String> {
    match name.filter(|name| !name.is_empty()) {
        None => Some(format!("the server does not name its {what}")),
        Some(name) if forms.iter().any(|form| form_matches(form, name)) => None,
        Some(name) => Some(format!("it is not granted to {what} {name}")),
    }
}

/// Returns true if the text is of the form, in which `*` stands for any text.
#[must_use]
pub fn form_matches(form: &str, text: &str) -> bool {
    let mut parts = form.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::{Grant, Task, form_matches};

    fn grant() -> Grant {
        let list = |items: &[&str]| items.iter().map(|&item| item.to_owned()).collect();
        Grant {
            classes: list(&["acme/release"]),
            projects: list(&["acme/*"]),
            branches: list(&["main", "release/*"]),
            tags: list(&["v*"]),
        }
    }

    fn task() -> Task<'static> {
        Task {
            class: Some("acme/release"),
            project: Some("acme/app"),
            branch: Some("main"),
            tag: None,
            from_fork: Some(false),
        }
    }

    #[test]
    fn a_task_of_the_class_the_project_and_a_protected_ref_is_granted() {
        assert_eq!(grant().refusal(&task()), None);
        let on_a_tag = Task { branch: None, tag: Some("v1.2"), ..task() };
        assert_eq!(grant().refusal(&on_a_tag), None);
        assert_eq!(grant().refusal(&Task { branch: Some("release/1"), ..task() }), None);
    }

    #[test]
    fn a_fork_is_never_granted_whatever_the_grant_says() {
        let any = || vec!["*".to_owned()];
        let all = Grant { classes: any(), projects: any(), branches: any(), tags: any() };
        assert_eq!(all.refusal(&task()), None);
        assert!(all.refusal(&Task { from_fork: Some(true), ..task() }).is_some());
        assert!(all.refusal(&Task { from_fork: None, ..task() }).is_some());
    }

    #[test]
    fn what_the_server_does_not_say_is_refused() {
        for unsaid in [
            Task { class: None, ..task() },
            Task { project: None, ..task() },
            Task { project: Some(""), ..task() },
            Task { branch: None, ..task() },
            Task { from_fork: None, ..task() },
        ] {
            assert!(grant().refusal(&unsaid).is_some(), "{unsaid:?}");
        }
    }

    #[test]
    fn another_class_project_branch_or_tag_is_refused() {
        for (other, says) in [
            (Task { class: Some("acme/mini"), ..task() }, "class acme/mini"),
            (Task { project: Some("other/app"), ..task() }, "project other/app"),
            (Task { branch: Some("feature"), ..task() }, "branch feature"),
            (Task { branch: None, tag: Some("nightly"), ..task() }, "tag nightly"),
            // A protected branch does not make up for a tag that anybody can make.
            (Task { tag: Some("nightly"), ..task() }, "tag nightly"),
        ] {
            assert!(grant().refusal(&other).unwrap().contains(says), "{other:?}");
        }
        assert!(Grant::default().refusal(&task()).is_some(), "an empty grant grants nothing");
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (form, text, is) in [
            ("acme/app", "acme/app", true),
            ("acme/app", "acme/apps", false),
            ("acme/*", "acme/", true),
            ("*", "anything", true),
            ("*/app", "acme/app", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(form_matches(form, text), is, "{form} {text}");
        }
    }
}
