//! Tokens of a GitHub App for one repository
//! (<https://docs.github.com/en/rest/apps/apps#create-an-installation-access-token-for-an-app>).

use reqwest::Method;
use russet_protocol::secret::Secret;
use serde::Deserialize;
use serde_json::json;

use super::answer::HostAnswer;
use super::answers::{host_of, read_json};
use super::app_key::AppKey;
use super::client::{HostCall, HostRoom};
use super::error::HostError;
use super::headers::GITHUB;

#[derive(Deserialize)]
struct Installation {
    id: u64,
}

#[derive(Deserialize)]
struct Granted {
    token: Secret,
    expires_at: String,
}

/// Repository and App whose tokens are asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct AppOf<'a> {
    pub(super) api: &'a str,
    pub(super) owner: &'a str,
    pub(super) name: &'a str,
    pub(super) key: &'a AppKey,
    /// Name under which the token is kept.
    pub(super) keep_as: &'a str,
}

/// Returns a token for the repository, with no more rights than are needed: one that is kept, or a new one.
pub(super) async fn app_token(room: &HostRoom, of: AppOf<'_>) -> Result<Secret, HostError> {
    let now_ms = room.now_ms();
    if let Some(token) = room.tokens.get(of.keep_as, now_ms) {
        return Ok(token);
    }
    let url = format!("{}/repos/{}/{}/installation", of.api, of.owner, of.name);
    let answer = call(room, of, "the installation of the App", (Method::GET, url, None)).await?;
    let installation: Installation = match read_json(room, of.api, ("the installation", &answer)) {
        Err(error) if error.status() == Some(404) => return Err(HostError::NotInstalled),
        other => other?,
    };
    let url = format!("{}/app/installations/{}/access_tokens", of.api, installation.id);
    let wish = json!({
        "repositories": [of.name],
        "permissions": {"contents": "read", "statuses": "write", "metadata": "read"},
    });
    let answer = call(room, of, "a token of the App", (Method::POST, url, Some(wish))).await?;
    let granted: Granted = read_json(room, of.api, ("a token of the App", &answer))?;
    let until: Option<jiff::Timestamp> = granted.expires_at.parse().ok();
    let until_ms = until.map_or(now_ms, jiff::Timestamp::as_millisecond);
    room.tokens.put(of.keep_as.to_owned(), granted.token.clone(), (now_ms, until_ms));
    Ok(granted.token)
}

async fn call(
    room: &HostRoom,
    of: AppOf<'_>,
    name: &'static str,
    (method, url, body): (Method, String, Option<serde_json::Value>),
) -> Result<HostAnswer, HostError> {
    let proof = of.key.prove(room.now_ms() / 1_000)?;
    let proof = Secret::new(format!("Bearer {}", proof.expose()));
    let proof = Some(("authorization", proof));
    room.call(HostCall { method, url, headers: &GITHUB, proof, body }).await.inspect_err(|_| {
        tracing::debug!(host = host_of(of.api), name, "a call of a GitHub App failed");
    })
}
