//! Statuses at commits, at GitHub, Gitea and Forgejo: the same paths and bodies.

use reqwest::Method;
use russet_protocol::projects::{CommitState, HostKind};
use serde::Deserialize;
use serde_json::{Value, json};

use super::access::{HostAccess, HostStatus};
use super::answers::{expect_success, read_json};
use super::client::HostRoom;
use super::error::HostError;
use super::repository_call::call;

/// Statuses that are asked for at once, and pages that are looked through: a state that was sent lately is among
/// the newest.
const PAGE: usize = 100;
const MAX_PAGES: usize = 10;

/// Least that hosts have on a page that is not the last one: Gitea gives 50 at most, unless its owner says
/// otherwise.
const LEAST_PAGE: usize = 30;

/// Sets a status
/// (<https://docs.github.com/en/rest/commits/statuses#create-a-commit-status>, Gitea: `repoCreateStatus`).
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
    id: u64,
    /// Gitea calls it a status.
    #[serde(alias = "status")]
    state: Value,
    context: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    target_url: Option<String>,
}

/// Returns the newest status of a name at a commit
/// (<https://docs.github.com/en/rest/commits/statuses#list-commit-statuses-for-a-reference>, Gitea:
/// `repoListStatusesByRef`). Both have the newest first, Gitea to the second; ids grow.
pub(super) async fn newest_status(
    room: &HostRoom,
    of: &HostAccess,
    revision: &str,
    context: &str,
) -> Result<Option<HostStatus>, HostError> {
    for page in 1..=MAX_PAGES {
        let size = if of.kind == HostKind::Github { "per_page" } else { "limit" };
        let rest = format!("/commits/{revision}/statuses?{size}={PAGE}&page={page}");
        let answer = call(room, of, Method::GET, &rest, None).await?;
        let call = "the call that lists statuses";
        let all: Vec<Found> = read_json(room, &of.api, (call, &answer))?;
        let is_last = all.len() < LEAST_PAGE;
        // GitHub tells names apart without regard to case.
        let is_it = |found: &Found| found.context.eq_ignore_ascii_case(context);
        if let Some(found) = all.into_iter().filter(is_it).max_by_key(|found| found.id) {
            return Ok(Some(HostStatus {
                context: found.context,
                state: serde_json::from_value(found.state).unwrap_or(CommitState::Error),
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
