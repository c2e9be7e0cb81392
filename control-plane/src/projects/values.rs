//! What a commit says of itself: whether it is built, and values of `pipeline.…`. Pure.

use std::collections::BTreeMap;

use russet_protocol::admin::ParameterValue;

use crate::git::{Head, RemoteUrl};
use crate::store::trigger_events::{DueTrigger, EventValues};

/// Characters of a title and of a body in which a mark counts
/// (<https://circleci.com/docs/guides/orchestrate/skip-build/>).
const MARK_WITHIN: usize = 250;

/// Returns true where a commit asks not to be built.
pub(crate) fn asks_to_skip(head: &Head) -> bool {
    let has_mark = |text: &str| {
        let start: String = text.chars().take(MARK_WITHIN).collect();
        let start = start.to_lowercase();
        start.contains("[skip ci]") || start.contains("[ci skip]")
    };
    has_mark(&head.subject) || has_mark(&head.body)
}

/// Returns the branch, or else the tag, of a full name. That of a pull request is `pull/N`, as at CircleCI.
pub(crate) fn split_reference(reference: &str) -> (Option<&str>, Option<&str>) {
    let of_pull = || reference.strip_prefix("refs/").and_then(|name| name.strip_suffix("/head"));
    let pull = of_pull().filter(|name| name.starts_with("pull/"));
    (reference.strip_prefix("refs/heads/").or(pull), reference.strip_prefix("refs/tags/"))
}

/// Returns the variables of tasks that CircleCI sets for pull requests of forks.
pub(crate) fn variables_of_event(event: &EventValues) -> Vec<(&'static str, String)> {
    let of = |name: &str| {
        let value = event.get(&format!("pipeline.event.github.pull_request.{name}"))?;
        Some(match value {
            ParameterValue::Text(text) => text.clone(),
            ParameterValue::Integer(number) => number.to_string(),
            ParameterValue::Boolean(truth) => truth.to_string(),
        })
    };
    let all = [
        ("CIRCLE_PR_NUMBER", of("number")),
        ("CIRCLE_PR_REPONAME", of("head.repo.name")),
        ("CIRCLE_PR_USERNAME", of("user.login")),
        ("CIRCLE_PULL_REQUEST", of("url")),
        ("CIRCLE_PULL_REQUESTS", of("url")),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// Returns the values of a pipeline, by their full names.
pub(crate) fn pipeline_values(
    trigger: &DueTrigger,
    head: &Head,
    url: &RemoteUrl,
    default_branch: Option<&str>,
) -> BTreeMap<String, ParameterValue> {
    let (branch, _) = split_reference(&trigger.reference);
    let is_event = trigger.kind != "api";
    let text = |value: &str| ParameterValue::Text(value.to_owned());
    let mut values = BTreeMap::from([
        // A change at the remote is what CircleCI calls a webhook, however it is heard of.
        ("pipeline.trigger_source".to_owned(), text(if is_event { "webhook" } else { "api" })),
        ("pipeline.trigger.type".to_owned(), text(if is_event { "webhook" } else { "api" })),
        ("pipeline.trigger.id".to_owned(), text(&trigger.id)),
        ("pipeline.git.commit.subject".to_owned(), text(&head.subject)),
        ("pipeline.git.commit.body".to_owned(), text(&head.body)),
        ("pipeline.git.commit.author_name".to_owned(), text(&head.author_name)),
        ("pipeline.git.commit.author_email".to_owned(), text(&head.author_email)),
    ]);
    if is_event {
        let of_pull = trigger.reference.starts_with("refs/pull/");
        let name = if of_pull { "pull_request" } else { "push" };
        values.insert("pipeline.event.name".to_owned(), text(name));
    }
    values.extend(trigger.event.clone());
    if let Some(base) = &trigger.base_revision {
        values.insert("pipeline.git.base_revision".to_owned(), text(base));
    }
    if let (Some(branch), Some(default)) = (branch, default_branch) {
        let is_default = ParameterValue::Boolean(branch == default);
        values.insert("pipeline.git.branch.is_default".to_owned(), is_default);
    }
    if let Some((owner, name)) = url.owner_and_name() {
        values.insert("pipeline.git.repo_owner".to_owned(), text(owner));
        values.insert("pipeline.git.repo_name".to_owned(), text(name));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::{asks_to_skip, split_reference};
    use crate::git::Head;

    fn head(subject: &str, body: &str) -> Head {
        Head { subject: subject.to_owned(), body: body.to_owned(), ..Head::default() }
    }

    #[test]
    fn the_branch_of_a_pull_request_is_its_number() {
        assert_eq!(split_reference("refs/pull/7/head"), (Some("pull/7"), None));
        assert_eq!(split_reference("refs/heads/pull/7"), (Some("pull/7"), None));
        assert_eq!(split_reference("refs/tags/v1"), (None, Some("v1")));
        assert_eq!(split_reference("refs/notes/x/head"), (None, None));
    }

    #[test]
    fn a_mark_in_the_beginning_of_title_or_body_skips() {
        assert!(
            asks_to_skip(&head("docs [skip ci]", "")) && asks_to_skip(&head("x", "a\n[ci skip]"))
        );
        assert!(asks_to_skip(&head("Docs [CI SKIP]", "")));
        assert!(!asks_to_skip(&head("skip ci", "ci skip")));
        assert!(!asks_to_skip(&head("x", &format!("{}[skip ci]", "é".repeat(250)))));
        assert!(asks_to_skip(&head("x", &format!("{}[skip ci]", "é".repeat(241)))));
    }
}
