//! What a delivery means. Pure.

use crate::git::{is_hash, is_ref_name};

use super::payload::{Payload, PullRequest};
use super::values::{pull_request_values, push_values};
use crate::store::trigger_events::EventValues;

/// What GitHub writes where there is no commit, before a branch is made and after it is deleted.
const ZEROS: &str = "0000000000000000000000000000000000000000";

/// The same in a repository of SHA-256.
const LONG_ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Actions of a pull request after which its commit is built. That of a commit which was built already
/// builds nothing more.
const BUILDING: [&str; 4] = ["opened", "synchronize", "reopened", "ready_for_review"];

/// Event as far as something follows of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum WebhookEvent {
    Push(Push),
    Pull(Pull),
    /// A pull request was closed: what is held of it is not wanted any more.
    Closed {
        reference: String,
    },
    /// Somebody asked for the checks of a commit once more.
    Rerequested {
        revision: String,
        author: Option<String>,
    },
    /// Nothing follows, for this reason.
    Ignored(String),
}

/// A branch or tag that was moved.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Push {
    pub(crate) reference: String,
    /// Commit before; empty: there was none.
    pub(crate) before: String,
    /// Commit after; empty: it was deleted. `None`: the payload does not say it.
    pub(crate) after: Option<String>,
    pub(crate) values: EventValues,
}

/// A commit of a pull request of a fork.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pull {
    pub(crate) reference: String,
    pub(crate) revision: String,
    pub(crate) base_revision: String,
    pub(crate) author: Option<String>,
    pub(crate) values: EventValues,
}

/// Reads a payload of an event.
///
/// # Errors
///
/// The reason why it cannot be used, for people.
pub(crate) fn read_event(event: &str, payload: &Payload) -> Result<WebhookEvent, String> {
    let action = payload.action.as_deref().unwrap_or_default();
    let ignored = |why: &str| Ok(WebhookEvent::Ignored(why.to_owned()));
    match (event, action) {
        ("ping", _) => ignored("the webhook works"),
        ("push", _) => read_push(payload).map(WebhookEvent::Push),
        ("pull_request", _) => read_pull(action, payload),
        ("check_run" | "check_suite", "rerequested") => read_rerequest(event, payload),
        ("check_run" | "check_suite", _) => {
            ignored("only checks that are asked for again are of use")
        }
        ("create" | "delete", _) => ignored("the push of the same branch or tag says it"),
        ("issue_comment", _) => ignored("comments build nothing"),
        _ => ignored("events of this kind are of no use; they need not be sent"),
    }
}

fn read_push(payload: &Payload) -> Result<Push, String> {
    let reference = payload.reference.clone().unwrap_or_default();
    let is_tag = reference.starts_with("refs/tags/");
    if !is_ref_name(&reference) || !(is_tag || reference.starts_with("refs/heads/")) {
        return Err("the name of its branch or tag cannot be used".to_owned());
    }
    let before = hash_of(payload.before.as_deref(), "before")?;
    let after = hash_of(payload.after.as_deref(), "after")?;
    let head = payload.head_commit.as_ref().map(|commit| commit.id.as_str());
    let after = match head {
        _ if after.is_empty() => Some(after),
        // `after` of an annotated tag is the tag itself, which stands for its commit.
        Some(head) if is_tag && is_hash(head) => Some(head.to_owned()),
        Some(head) if head == after => Some(after),
        _ => None,
    };
    Ok(Push { reference, before, after, values: push_values(payload) })
}

/// Returns a commit, empty for none.
fn hash_of(text: Option<&str>, field: &str) -> Result<String, String> {
    match text {
        Some(ZEROS | LONG_ZEROS) => Ok(String::new()),
        Some(hash) if is_hash(hash) => Ok(hash.to_owned()),
        _ => Err(format!("its field `{field}` is no commit")),
    }
}

fn read_pull(action: &str, payload: &Payload) -> Result<WebhookEvent, String> {
    let missing = || "it has no field `pull_request`".to_owned();
    let pull = payload.pull_request.as_ref().ok_or_else(missing)?;
    if pull.number == 0 {
        return Err("its pull request has no number".to_owned());
    }
    let reference = format!("refs/pull/{}/head", pull.number);
    if action == "closed" {
        return Ok(WebhookEvent::Closed { reference });
    }
    if !BUILDING.contains(&action) {
        let why = "pull requests are built when they are opened, pushed to, or made ready";
        return Ok(WebhookEvent::Ignored(why.to_owned()));
    }
    if !pull.is_of_fork() {
        let why = "it is of a branch of the repository itself, whose push is built";
        return Ok(WebhookEvent::Ignored(why.to_owned()));
    }
    fork_pull(reference, pull, payload).map(WebhookEvent::Pull)
}

fn fork_pull(reference: String, pull: &PullRequest, payload: &Payload) -> Result<Pull, String> {
    Ok(Pull {
        reference,
        revision: hash_of(Some(&pull.head.sha), "pull_request.head.sha")?,
        base_revision: hash_of(Some(&pull.base.sha), "pull_request.base.sha")?,
        author: pull.user.as_ref().map(|user| user.login.clone()),
        values: pull_request_values(pull, payload),
    })
}

fn read_rerequest(event: &str, payload: &Payload) -> Result<WebhookEvent, String> {
    let check = payload.check_run.as_ref().filter(|_| event == "check_run");
    let check = check.or(payload.check_suite.as_ref().filter(|_| event == "check_suite"));
    let head = check.map(|check| check.head_sha.as_str());
    let revision = hash_of(head, "head_sha")?;
    if revision.is_empty() {
        return Err("its field `head_sha` is no commit".to_owned());
    }
    let author = payload.sender.as_ref().map(|sender| sender.login.clone());
    Ok(WebhookEvent::Rerequested { revision, author })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{WebhookEvent, ZEROS, read_event};

    const A: &str = "0123456789abcdef0123456789abcdef01234567";
    const B: &str = "fedcba9876543210fedcba9876543210fedcba98";

    fn read(event: &str, payload: Value) -> Result<WebhookEvent, String> {
        read_event(event, &serde_json::from_value(payload).unwrap())
    }

    fn push(
        reference: &str,
        before: &str,
        after: &str,
        head: Value,
    ) -> Result<WebhookEvent, String> {
        read(
            "push",
            json!({"ref": reference, "before": before, "after": after, "head_commit": head}),
        )
    }

    #[test]
    fn a_push_says_what_a_branch_was_and_is() {
        let Ok(WebhookEvent::Push(of)) = push("refs/heads/main", A, B, json!({"id": B})) else {
            panic!("a push");
        };
        assert_eq!((&*of.before, of.after.as_deref()), (A, Some(B)));
        let Ok(WebhookEvent::Push(of)) = push("refs/heads/x", A, ZEROS, Value::Null) else {
            panic!("a deletion");
        };
        assert_eq!((&*of.before, of.after.as_deref()), (A, Some("")));
        // An annotated tag is not its commit, and a commit that is not the newest one is a lie.
        let Ok(WebhookEvent::Push(of)) = push("refs/tags/v1", ZEROS, A, json!({"id": B})) else {
            panic!("a tag");
        };
        assert_eq!((&*of.before, of.after.as_deref()), ("", Some(B)));
        let Ok(WebhookEvent::Push(of)) = push("refs/heads/main", A, B, json!({"id": A})) else {
            panic!("a push");
        };
        assert_eq!(of.after, None);
    }

    #[test]
    fn names_and_commits_that_are_none_are_refused() {
        for name in [
            "refs/heads/--upload-pack=x",
            "refs/heads/a\nb",
            "refs/heads/a\u{7}",
            "refs/pull/1/head",
            "refs/heads/../x",
            "main",
            "",
        ] {
            assert!(push(name, A, B, json!({"id": B})).is_err(), "{name:?}");
        }
        for hash in ["", "main", "--output=x", "0123", &A.to_uppercase(), &format!("{A}\n")] {
            assert!(push("refs/heads/main", A, hash, json!({"id": hash})).is_err(), "{hash:?}");
            assert!(push("refs/heads/main", hash, A, json!({"id": A})).is_err(), "{hash:?}");
            let check = json!({"action": "rerequested", "check_run": {"head_sha": hash}});
            assert!(read("check_run", check).is_err(), "{hash:?}");
        }
    }

    #[test]
    fn only_pull_requests_of_forks_are_built_by_themselves() {
        let pull = |action: &str, of: Value| {
            let base = json!({"ref": "main", "sha": A, "repo": {"id": 1}});
            let head = json!({"ref": "main", "sha": B, "repo": of});
            read(
                "pull_request",
                json!({"action": action, "pull_request": {"number": 7, "head": head, "base": base}}),
            )
        };
        let is_built = |read: Result<WebhookEvent, String>| matches!(read, Ok(WebhookEvent::Pull(of)) if of.reference == "refs/pull/7/head" && of.revision == B);
        assert!(is_built(pull("opened", json!({"id": 2}))));
        assert!(is_built(pull("synchronize", Value::Null)), "a fork that is gone is one");
        assert!(is_built(pull("opened", json!({}))), "whose repository it is has to be said");
        assert!(matches!(pull("opened", json!({"id": 1})), Ok(WebhookEvent::Ignored(_))));
        assert!(matches!(pull("labeled", json!({"id": 2})), Ok(WebhookEvent::Ignored(_))));
        assert!(matches!(pull("closed", json!({"id": 2})), Ok(WebhookEvent::Closed { .. })));
        assert!(read("pull_request", json!({"action": "opened"})).is_err());
    }
}
