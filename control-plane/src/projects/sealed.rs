//! Credential of a connection, sealed by the server's key, and opened for a call to the remote.

use russet_protocol::secret::Secret;
use serde::{Deserialize, Serialize};

use crate::credentials::NoRandomness;
use crate::git::{GitSettings, Remote, RemoteCredential, RemoteUrl, UrlError};
use crate::secrets::{NotAuthentic, Owner, Scope, Sealer};
use crate::store::git_connections::StoredConnection;

/// Name under which the credential is sealed.
const SEAL_NAME: &str = "remote";

/// User that goes with a token where none is named: hosts that take none want any text.
const ANY_USER: &str = "x-access-token";

/// Secret part of a connection, which is sealed as JSON.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct SealedRemote {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) private_key: Option<Secret>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) github_app: Option<SealedApp>,
    /// Secret under which the host signs its webhooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) webhook_secret: Option<Secret>,
}

/// GitHub App of a connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SealedApp {
    pub(crate) id: String,
    /// In PEM.
    pub(crate) private_key: Secret,
}

/// A credential cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SealError {
    #[error(transparent)]
    Sealed(#[from] NotAuthentic),
    #[error(transparent)]
    Random(#[from] NoRandomness),
    #[error("what is stored of the credential cannot be read")]
    Form(#[from] serde_json::Error),
    #[error(transparent)]
    Url(#[from] UrlError),
}

/// Seals the credential of a project.
pub(crate) fn seal_remote(
    sealer: &Sealer,
    project: &str,
    remote: &SealedRemote,
) -> Result<Vec<u8>, SealError> {
    let text = Secret::new(serde_json::to_string(remote)?);
    Ok(sealer.seal(owner(project), SEAL_NAME, &text)?)
}

/// Returns the secret part of a connection.
pub(crate) fn open_sealed(
    sealer: &Sealer,
    of: &StoredConnection,
) -> Result<SealedRemote, SealError> {
    let text = sealer.open(owner(&of.item.project), SEAL_NAME, &of.sealed)?;
    Ok(serde_json::from_str(text.expose())?)
}

/// Returns the remote of a connection, with its credential. The rules for addresses are those of now.
pub(crate) fn open_remote(
    sealer: &Sealer,
    settings: &GitSettings,
    of: &StoredConnection,
) -> Result<(Remote, SealedRemote), SealError> {
    let sealed = open_sealed(sealer, of)?;
    let user = || sealed.user.clone().unwrap_or_else(|| ANY_USER.to_owned());
    let credential = match (&sealed.private_key, &sealed.token) {
        (Some(key), _) => RemoteCredential::Key(key.clone()),
        (None, Some(token)) => RemoteCredential::Token { user: user(), token: token.clone() },
        (None, None) => RemoteCredential::None,
    };
    let url = RemoteUrl::parse(&of.item.url, settings.transports())?;
    Ok((Remote { url, credential, host_keys: of.host_keys.clone() }, sealed))
}

fn owner(project: &str) -> Owner<'_> {
    Owner { scope: Scope::GitRemote, owner: project }
}
