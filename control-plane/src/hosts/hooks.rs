//! Webhooks of a repository, made through the host's API
//! (<https://docs.github.com/en/rest/repos/webhooks>).
//!
//! A hook is told by its URL, so that making it again sets the one that is there anew, with its secret.

use reqwest::Method;
use russet_protocol::secret::Secret;
use russet_protocol::webhooks::GITHUB_EVENTS;
use serde::Deserialize;
use serde_json::json;

use super::access::HostAccess;
use super::answers::{expect_success, read_json};
use super::client::HostRoom;
use super::error::HostError;
use super::repository_call::call;

/// Hooks on a page, and pages that are looked through. GitHub lets a repository have 20 for an event.
const PAGE: usize = 100;
const MAX_PAGES: usize = 5;

#[derive(Deserialize)]
struct Hook {
    id: u64,
    config: HookConfig,
}

#[derive(Deserialize)]
struct HookConfig {
    #[serde(default)]
    url: Option<String>,
}

/// Makes the webhook that calls `url` and signs with `secret`, or sets the one anew that is there.
pub(crate) async fn put_hook(
    room: &HostRoom,
    of: &HostAccess,
    url: &str,
    secret: &Secret,
) -> Result<(), HostError> {
    let config = json!({
        "url": url,
        "content_type": "json",
        "secret": secret.expose(),
        "insecure_ssl": "0",
    });
    let (method, rest, body) = match find_hook(room, of, url).await? {
        Some(id) => (
            Method::PATCH,
            format!("/hooks/{id}"),
            json!({"config": config, "events": GITHUB_EVENTS, "active": true}),
        ),
        None => (
            Method::POST,
            "/hooks".to_owned(),
            json!({"name": "web", "config": config, "events": GITHUB_EVENTS, "active": true}),
        ),
    };
    let answer = call(room, of, method, &rest, Some(body)).await?;
    expect_success(room, &of.api, ("the call that makes a webhook (Webhooks: write)", &answer))
}

async fn find_hook(room: &HostRoom, of: &HostAccess, url: &str) -> Result<Option<u64>, HostError> {
    for page in 1..=MAX_PAGES {
        let rest = format!("/hooks?per_page={PAGE}&page={page}");
        let answer = call(room, of, Method::GET, &rest, None).await?;
        let name = "the call that lists webhooks (Webhooks: read)";
        let all: Vec<Hook> = read_json(room, &of.api, (name, &answer))?;
        let is_last = all.len() < PAGE;
        if let Some(hook) = all.iter().find(|hook| hook.config.url.as_deref() == Some(url)) {
            return Ok(Some(hook.id));
        }
        if is_last {
            break;
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
