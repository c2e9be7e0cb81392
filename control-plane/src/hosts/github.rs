//! What a credential may do at GitHub, and at a GitHub Enterprise Server.

use reqwest::Method;
use serde_json::json;

use super::access::HostAccess;
use super::answers::{expect_success, host_of};
use super::client::HostRoom;
use super::error::HostError;
use super::repository_call::call;

/// A commit that no repository has: to write a status there is refused either way, for lack of rights or for lack
/// of the commit.
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

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
