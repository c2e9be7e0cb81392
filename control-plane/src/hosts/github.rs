//! GitHub's REST API, and that of GitHub Enterprise Server.

use reqwest::Method;
use russet_protocol::projects::CommitState;
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::{HostAccess, HostStatus};
use super::answer::HostAnswer;
use super::client::{HostCall, HostRoom};
use super::error::HostError;
use super::github_call::{HEADERS, expect_success, host_of, read_json};

/// Statuses on a page, and pages that are looked through: a state that was sent lately is among the newest.
const PAGE: usize = 100;
const MAX_PAGES: usize = 10;

/// A commit that no repository has: to write a status there is refused either way, for lack of rights or for lack
/// of the commit.
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// Makes a call for a repository; `rest` is what follows its name in the path. With the token of an App that is
/// refused, it is made once more with a new one.
pub(super) async fn call(
    room: &HostRoom,
    of: &HostAccess,
    method: Method,
    rest: &str,
    body: Option<Value>,
) -> Result<HostAnswer, HostError> {
    let (owner, name) = of.owner_and_name()?;
    let url = format!("{}/repos/{owner}/{name}{rest}", of.api);
    for is_last in [false, true] {
        let proof = of.bearer(room).await?;
        let (method, url, body) = (method.clone(), url.clone(), body.clone());
        let answer = room.call(HostCall { method, url, headers: &HEADERS, proof, body }).await?;
        if answer.status != 401 || is_last || !of.forget_token(room) {
            return Ok(answer);
        }
    }
    Err(HostError::NotInstalled)
}

/// Sets a status
/// (<https://docs.github.com/en/rest/commits/statuses#create-a-commit-status>).
pub(super) async fn set_status(
    room: &HostRoom,
    of: &HostAccess,
    revision: &str,
    status: &HostStatus,
) -> Result<(), HostError> {
    let mut body = json!({
        "state": status.state.as_str(),
        "context": status.context,
        "description": status.description,
    });
    if let Some(url) = &status.target_url {
        body["target_url"] = json!(url);
    }
    let rest = format!("/statuses/{revision}");
    let answer = call(room, of, Method::POST, &rest, Some(body)).await?;
    expect_success(room, &of.api, ("the call that sets a status", &answer))
}

#[derive(Deserialize)]
struct Found {
    state: CommitState,
    context: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    target_url: Option<String>,
}

/// Returns the newest status of a name at a commit
/// (<https://docs.github.com/en/rest/commits/statuses#list-commit-statuses-for-a-reference>: the newest first).
pub(super) async fn newest_status(
    room: &HostRoom,
    of: &HostAccess,
    revision: &str,
    context: &str,
) -> Result<Option<HostStatus>, HostError> {
    for page in 1..=MAX_PAGES {
        let rest = format!("/commits/{revision}/statuses?per_page={PAGE}&page={page}");
        let answer = call(room, of, Method::GET, &rest, None).await?;
        let call = "the call that lists statuses";
        let all: Vec<Found> = read_json(room, &of.api, (call, &answer))?;
        let is_last = all.len() < PAGE;
        // GitHub tells names apart without regard to case.
        let is_it = |found: &Found| found.context.eq_ignore_ascii_case(context);
        if let Some(found) = all.into_iter().find(is_it) {
            return Ok(Some(HostStatus {
                context: found.context,
                state: found.state,
                description: found.description.unwrap_or_default(),
                target_url: found.target_url,
            }));
        }
        if is_last {
            break;
        }
    }
    Ok(None)
}

/// Checks what the credential may do. Returns findings for people that do not prevent builds.
///
/// # Errors
///
/// The host cannot be asked, or the credential may not read the repository.
pub(super) async fn check(room: &HostRoom, of: &HostAccess) -> Result<Vec<String>, HostError> {
    let answer = call(room, of, Method::GET, "", None).await?;
    expect_success(room, &of.api, ("the call for the repository", &answer))?;
    let answer = call(room, of, Method::GET, "/commits?per_page=1", None).await?;
    // An empty repository is a conflict.
    if answer.status != 409 {
        expect_success(
            room,
            &of.api,
            ("the call that reads its contents (Contents: read)", &answer),
        )?;
    }
    let body = json!({"state": "pending", "context": "ci/russet", "description": "Connected"});
    let rest = format!("/statuses/{NO_COMMIT}");
    let answer = call(room, of, Method::POST, &rest, Some(body)).await?;
    if (200..300).contains(&answer.status) || answer.status == 422 {
        return Ok(Vec::new());
    }
    let name = "the call that sets a status";
    let error = HostError::of_answer(host_of(&of.api), name, &answer, room.now_ms());
    let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    Ok(vec![format!("no statuses can be set at commits: {error}{hint}")])
}
