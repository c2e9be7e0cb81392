//! What a credential may do at Gitea and Forgejo.

use reqwest::Method;
use serde::Deserialize;

use super::access::HostAccess;
use super::answers::{expect_success, read_json};
use super::client::HostRoom;
use super::error::HostError;
use super::repository_call::call;

#[derive(Deserialize)]
struct Repository {
    #[serde(default)]
    permissions: Option<Permissions>,
}

#[derive(Deserialize)]
struct Permissions {
    #[serde(default)]
    push: bool,
}

/// Checks what the credential may do. Returns findings for people that do not prevent builds. The host does not
/// say which scopes a token has.
///
/// # Errors
///
/// The host cannot be asked, or the credential may not read the repository.
pub(super) async fn check(room: &HostRoom, of: &HostAccess) -> Result<Vec<String>, HostError> {
    let answer = call(room, of, Method::GET, "", None).await?;
    let name = "the call for the repository";
    let found: Repository = read_json(room, &of.api, (name, &answer))?;
    let answer = call(room, of, Method::GET, "/commits?limit=1&stat=false", None).await?;
    // An empty repository is a conflict.
    if answer.status != 409 {
        let name = "the call that reads its contents (read:repository)";
        expect_success(room, &of.api, (name, &answer))?;
    }
    if found.permissions.is_some_and(|may| may.push) {
        return Ok(Vec::new());
    }
    Ok(vec![
        "no statuses can be set at commits: the account of the token may not push to the repository; let it \
         write there, and give the token the scope write:repository"
            .to_owned(),
    ])
}
