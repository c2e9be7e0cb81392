//! Kind of a repository's host, found by asking.

use reqwest::Method;
use russet_protocol::projects::HostKind;

use super::api_url::{ApiUrlError, is_github_cloud, web_origin};
use super::client::{HostCall, HostRoom};
use super::error::HostError;
use super::headers::{GITHUB, PLAIN};
use crate::git::{RemoteUrl, Transport};

/// The kind of a host was not found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FindError {
    #[error(transparent)]
    Url(#[from] ApiUrlError),
    #[error("the host could not be asked what it is: {0}")]
    Host(#[from] HostError),
}

impl FindError {
    /// Returns the next step.
    pub(crate) fn hint(&self) -> String {
        let named = "name its kind: --host github, --host gitea, --host git";
        match self {
            Self::Host(HostError::Address(_)) => {
                format!(
                    "start the server with --allow-git-to ADDRESS/BITS if that is meant, or {named}"
                )
            }
            Self::Host(HostError::Unreachable { why, .. }) if why.contains("of this machine") => {
                format!(
                    "start the server with --allow-git-to ADDRESS/BITS if that is meant, or {named}"
                )
            }
            Self::Url(_) | Self::Host(_) => format!("check the address, or {named}"),
        }
    }
}

/// Version of a host, as Gitea says it.
#[derive(serde::Deserialize)]
struct Version {
    #[serde(rename = "version")]
    _text: String,
}

/// Returns the kind of a host. GitHub's own are known; others are asked, over http or https alone.
pub(crate) async fn find_kind(room: &HostRoom, remote: &RemoteUrl) -> Result<HostKind, FindError> {
    if is_github_cloud(&remote.host) {
        return Ok(HostKind::Github);
    }
    if !matches!(remote.transport, Transport::Http | Transport::Https) {
        return Ok(HostKind::Git);
    }
    let origin = web_origin(remote)?;
    // GitHub Enterprise Server says its version here, to anybody unless it is private.
    let url = format!("{origin}/api/v3/meta");
    let call = HostCall { method: Method::GET, url, headers: &GITHUB, proof: None, body: None };
    let answer = room.call(call).await?;
    let is_github = answer.headers.contains_key("x-github-request-id")
        || answer.headers.contains_key("x-github-enterprise-version");
    if is_github {
        return Ok(HostKind::Github);
    }
    // So do Gitea and Forgejo.
    let url = format!("{origin}/api/v1/version");
    let call = HostCall { method: Method::GET, url, headers: &PLAIN, proof: None, body: None };
    let answer = room.call(call).await?;
    let is_gitea = answer.status == 200 && serde_json::from_slice::<Version>(&answer.body).is_ok();
    Ok(if is_gitea { HostKind::Gitea } else { HostKind::Git })
}
