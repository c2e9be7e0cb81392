//! Access to a repository at its host: address, credential, and what can be done with it.

use russet_protocol::projects::{CommitState, HostKind};
use russet_protocol::secret::Secret;

use super::app_key::AppKey;
use super::app_token::{AppOf, app_token};
use super::client::HostRoom;
use super::error::HostError;

/// Credential for a host's API.
#[derive(Clone, Debug)]
pub(crate) enum ApiCredential {
    Token(Secret),
    App(AppKey),
}

/// Access to a repository at its host.
#[derive(Clone, Debug)]
pub(crate) struct HostAccess {
    pub(crate) kind: HostKind,
    /// Address of the API, without a slash at its end.
    pub(crate) api: String,
    /// Path of the repository at the host, without slashes around it and without `.git`.
    pub(crate) repository: String,
    pub(crate) credential: ApiCredential,
}

/// Status at a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostStatus {
    pub(crate) context: String,
    pub(crate) state: CommitState,
    pub(crate) description: String,
    /// Page of what has the state; `None`: this server does not know its own address.
    pub(crate) target_url: Option<String>,
}

impl HostAccess {
    /// Returns a name of host and credential for calls that are paced together. It tells nothing of a secret.
    pub(crate) fn call_group(&self) -> String {
        let of = match &self.credential {
            ApiCredential::Token(token) => token.expose(),
            ApiCredential::App(key) => key.id.as_str(),
        };
        let text = format!("{}\0{of}", self.api);
        let key = blake3::derive_key("russet control plane 2026-12 call groups", text.as_bytes());
        crate::text::hex_text(key.get(..16).unwrap_or_default())
    }

    pub(super) fn owner_and_name(&self) -> Result<(&str, &str), HostError> {
        let (owner, name) = self.repository.rsplit_once('/').ok_or(HostError::NoName)?;
        let owner = owner.rsplit('/').next().unwrap_or(owner);
        let is_plain = |text: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            !matches!(text, "" | "." | "..") && text.chars().all(plain)
        };
        if is_plain(owner) && is_plain(name) { Ok((owner, name)) } else { Err(HostError::NoName) }
    }

    fn token_name(&self) -> String {
        format!("{} {}", self.call_group(), self.repository)
    }

    /// Returns a token for the repository, which git takes as well: the one that is stored, or one of the App.
    pub(crate) async fn token(&self, room: &HostRoom) -> Result<Secret, HostError> {
        let key = match &self.credential {
            ApiCredential::Token(token) => return Ok(token.clone()),
            ApiCredential::App(key) => key,
        };
        let (owner, name) = self.owner_and_name()?;
        let keep_as = self.token_name();
        app_token(room, AppOf { api: &self.api, owner, name, key, keep_as: &keep_as }).await
    }

    /// Returns the header that proves who calls.
    pub(super) async fn proof(
        &self,
        room: &HostRoom,
    ) -> Result<Option<(&'static str, Secret)>, HostError> {
        let token = self.token(room).await?;
        let word = if self.kind == HostKind::Gitea { "token" } else { "Bearer" };
        Ok(Some(("authorization", Secret::new(format!("{word} {}", token.expose())))))
    }

    /// Forgets a token of an App that was refused. Returns false for a credential that has no other token.
    pub(super) fn forget_token(&self, room: &HostRoom) -> bool {
        room.tokens.forget(&self.token_name());
        matches!(self.credential, ApiCredential::App(_))
    }
}
