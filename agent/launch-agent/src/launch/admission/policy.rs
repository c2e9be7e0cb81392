//! Decides if a claimed task may run here: the owner's word against the server's.

use russet_protocol::runner::ClaimResponse;

use crate::config::Class;
use crate::vault::form_matches;

/// Returns the reason for which a task must not run; `None`: it may.
///
/// A server that does not say where a task comes from is CircleCI's own, which has no forks on
/// runners; what it leaves out cannot be checked, so a list of projects refuses it.
pub(in crate::launch) fn find_refusal(class: &Class, task: &ClaimResponse) -> Option<String> {
    if let Some(expected) = &class.resource_class
        && !task.resource_class.is_empty()
        && task.resource_class != expected.as_str()
    {
        let actual = &task.resource_class;
        return Some(format!("the runner's token is for {actual}, and it serves {expected}"));
    }
    if task.from_fork == Some(true) && !class.allow_forks {
        return Some(
            "the task comes from a fork, and this runner does not run forks \
             (allow_forks is not set)"
                .to_owned(),
        );
    }
    if class.allowed_projects.is_empty() {
        return None;
    }
    match &task.project {
        Some(project) if class.allowed_projects.iter().any(|glob| form_matches(glob, project)) => {
            None
        }
        Some(project) => {
            Some(format!("project {project} is not among allowed_projects of this runner"))
        }
        None => Some(
            "the server does not say which project the task is of, and this runner has \
             allowed_projects"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::find_refusal;
    use crate::config::{Class, Token};
    use russet_protocol::runner::ClaimResponse;
    use russet_protocol::secret::Secret;

    fn class(projects: &[&str], allow_forks: bool) -> Class {
        Class {
            label: String::new(),
            token: Token::Given(Secret::new("t")),
            resource_class: None,
            slots: 1,
            task_agent: None,
            allowed_projects: projects.iter().map(|text| (*text).to_owned()).collect(),
            allow_forks,
            hooks: Default::default(),
            session: crate::config::Session::Background,
            keep: Default::default(),
            limits: Default::default(),
            credentials: Vec::new(),
            xcode: None,
        }
    }

    fn task(project: Option<&str>, from_fork: Option<bool>) -> ClaimResponse {
        let json = serde_json::json!({
            "task_token": "t", "allocation": "a", "project": project, "from_fork": from_fork,
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn forks_are_refused_unless_allowed() {
        let fork = task(Some("acme/app"), Some(true));
        assert!(find_refusal(&class(&[], false), &fork).unwrap().contains("fork"));
        assert_eq!(find_refusal(&class(&[], true), &fork), None);
        assert_eq!(find_refusal(&class(&[], false), &task(None, None)), None);
    }

    #[test]
    fn only_allowed_projects_run() {
        let only = class(&["acme/*", "other/one"], false);
        assert_eq!(find_refusal(&only, &task(Some("acme/app"), None)), None);
        assert_eq!(find_refusal(&only, &task(Some("other/one"), None)), None);
        assert!(find_refusal(&only, &task(Some("other/two"), None)).is_some());
        assert!(find_refusal(&only, &task(None, None)).is_some());
    }

    #[test]
    fn a_token_of_another_class_is_noticed() {
        let mut class = class(&[], false);
        class.resource_class = Some("acme/mini".parse().unwrap());
        let mut task = task(None, None);
        task.resource_class = "acme/studio".to_owned();
        assert!(find_refusal(&class, &task).is_some());
    }
}
