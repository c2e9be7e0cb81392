//! Access to the host of a connected project, and to its remote with what the host gives for it.

use russet_protocol::projects::HostKind;

use super::sealed::{SealError, SealedRemote, open_remote};
use crate::git::{Remote, RemoteCredential, RemoteUrl};
use crate::hosts::{ApiCredential, AppKey, Failing, HostAccess, HostError};
use crate::state::App;
use crate::store::git_connections::StoredConnection;

/// User that goes with the token of a GitHub App over https
/// (<https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/authenticating-as-a-github-app-installation>).
const APP_USER: &str = "x-access-token";

/// A remote cannot be reached with its credential.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    #[error(transparent)]
    Credential(#[from] SealError),
    #[error("the host gives no token for git: {0}")]
    Host(#[from] HostError),
}

impl AccessError {
    /// Returns the next step for the owner of the project.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Credential(_) => Some("connect the project again: russet project add".to_owned()),
            Self::Host(error) => error.hint(),
        }
    }

    /// Returns true where the same may work later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Credential(_) => false,
            Self::Host(error) => !matches!(error.failing(), Failing::Final | Failing::Unauthorized),
        }
    }
}

/// Returns the access to a repository's host; `None` where it has no API, or there is no credential for it.
pub(crate) fn host_access(
    kind: HostKind,
    api: Option<&str>,
    url: &RemoteUrl,
    sealed: &SealedRemote,
) -> Option<HostAccess> {
    let credential = match (&sealed.github_app, &sealed.token) {
        (Some(app), _) => {
            ApiCredential::App(AppKey { id: app.id.clone(), private_key: app.private_key.clone() })
        }
        (None, Some(token)) => ApiCredential::Token(token.clone()),
        (None, None) => return None,
    };
    let path = url.path.trim_matches('/');
    let repository = path.strip_suffix(".git").unwrap_or(path).to_owned();
    Some(HostAccess { kind, api: api?.to_owned(), repository, credential })
}

/// Returns the access to the host of a connection.
pub(crate) fn open_host(app: &App, of: &StoredConnection) -> Result<Option<HostAccess>, SealError> {
    let (remote, sealed) = open_remote(&app.sealer, &app.git.settings, of)?;
    Ok(host_access(of.item.host_kind, of.item.api_url.as_deref(), &remote.url, &sealed))
}

/// Returns the remote of a connection, with a credential that git takes: of a GitHub App that is a token of an
/// hour.
pub(crate) async fn open_for_git(app: &App, of: &StoredConnection) -> Result<Remote, AccessError> {
    let (mut remote, sealed) = open_remote(&app.sealer, &app.git.settings, of)?;
    if sealed.github_app.is_some() {
        let (kind, api) = (of.item.host_kind, of.item.api_url.as_deref());
        if let Some(access) = host_access(kind, api, &remote.url, &sealed) {
            let token = access.token(&app.hosts).await?;
            remote.credential = RemoteCredential::Token { user: APP_USER.to_owned(), token };
        }
    }
    Ok(remote)
}
