//! What a commit says of itself: whether it is built, and values of `pipeline.…`. Pure.

use std::collections::BTreeMap;

use russet_protocol::admin::ParameterValue;

use crate::git::{Head, RemoteUrl};
use crate::store::trigger_events::DueTrigger;

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

/// Returns the branch, or else the tag, of a full name.
pub(crate) fn split_reference(reference: &str) -> (Option<&str>, Option<&str>) {
    (reference.strip_prefix("refs/heads/"), reference.strip_prefix("refs/tags/"))
}

/// Returns the values of a pipeline, by their full names.
pub(crate) fn pipeline_values(
    trigger: &DueTrigger,
    head: &Head,
    url: &RemoteUrl,
    default_branch: Option<&str>,
) -> BTreeMap<String, ParameterValue> {
    let (branch, _) = split_reference(&trigger.reference);
    let is_push = trigger.kind == "push";
    let text = |value: &str| ParameterValue::Text(value.to_owned());
    let mut values = BTreeMap::from([
        // A change at the remote is what CircleCI calls a webhook, however it is heard of.
        ("pipeline.trigger_source".to_owned(), text(if is_push { "webhook" } else { "api" })),
        ("pipeline.trigger.type".to_owned(), text(if is_push { "webhook" } else { "api" })),
        ("pipeline.trigger.id".to_owned(), text(&trigger.id)),
        ("pipeline.git.commit.subject".to_owned(), text(&head.subject)),
        ("pipeline.git.commit.body".to_owned(), text(&head.body)),
        ("pipeline.git.commit.author_name".to_owned(), text(&head.author_name)),
        ("pipeline.git.commit.author_email".to_owned(), text(&head.author_email)),
    ]);
    if is_push {
        values.insert("pipeline.event.name".to_owned(), text("push"));
    }
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
    use super::asks_to_skip;
    use crate::git::Head;

    fn head(subject: &str, body: &str) -> Head {
        Head { subject: subject.to_owned(), body: body.to_owned(), ..Head::default() }
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
