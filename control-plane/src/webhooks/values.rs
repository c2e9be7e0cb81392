//! Values of `pipeline.event.…` that a payload gives. Pure.
//!
//! The names are those that CircleCI's own tools know for GitHub Apps; `pipeline.trigger_parameters.github_app.…`
//! is not filled.

use russet_protocol::admin::ParameterValue;

use super::payload::{Payload, PullRequest};
use crate::store::trigger_events::EventValues;
use crate::text::cut_text;

/// Longest text of a payload that is kept, in bytes: a title may be anything.
const MAX_TEXT_BYTES: usize = 1_000;

/// Beginning of the names of a pull request.
const PULL_REQUEST: &str = "pipeline.event.github.pull_request.";

fn text(value: &str) -> ParameterValue {
    ParameterValue::Text(cut_text(value, MAX_TEXT_BYTES).to_owned())
}

fn common(payload: &Payload) -> EventValues {
    let mut values = EventValues::new();
    let mut put = |name: &str, value: &str| {
        if !value.is_empty() {
            values.insert(format!("pipeline.event.{name}"), text(value));
        }
    };
    put("action", payload.action.as_deref().unwrap_or_default());
    if let Some(sender) = &payload.sender {
        put("github.sender.login", &sender.login);
        put("github.sender.avatar_url", &sender.avatar_url);
    }
    if let Some(repository) = &payload.repository {
        put("github.repository.url", &repository.html_url);
        put("github.repository.name", &repository.name);
        put("github.repository.owner.login", &repository.owner.login);
    }
    values
}

/// Returns the values of a push.
pub(super) fn push_values(payload: &Payload) -> EventValues {
    let mut values = common(payload);
    let commit_url = payload.head_commit.as_ref().map(|commit| commit.url.as_str());
    for (name, value) in [
        ("ref", payload.reference.as_deref()),
        ("after", payload.after.as_deref()),
        ("head_commit.url", commit_url),
    ] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            values.insert(format!("pipeline.event.github.{name}"), text(value));
        }
    }
    values
}

/// Returns the values of a pull request.
pub(super) fn pull_request_values(pull: &PullRequest, payload: &Payload) -> EventValues {
    let mut values = common(payload);
    let mut put = |name: &str, value: ParameterValue| {
        values.insert(format!("{PULL_REQUEST}{name}"), value);
    };
    put("number", ParameterValue::Integer(i64::try_from(pull.number).unwrap_or(i64::MAX)));
    put("draft", ParameterValue::Boolean(pull.draft));
    put("merged", ParameterValue::Boolean(pull.merged.unwrap_or(false)));
    put("title", text(&pull.title));
    put("url", text(&pull.html_url));
    for (name, side) in [("head", &pull.head), ("base", &pull.base)] {
        put(&format!("{name}.ref"), text(&side.reference));
        put(&format!("{name}.sha"), text(&side.sha));
    }
    // As variables of tasks have them.
    if let Some(user) = &pull.user {
        put("user.login", text(&user.login));
    }
    if let Some(repository) = &pull.head.repo {
        put("head.repo.name", text(&repository.name));
    }
    let name = "pipeline.event.context.github.pr_url";
    values.insert(name.to_owned(), text(&pull.html_url));
    values
}
