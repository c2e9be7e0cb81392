//! Accounts and personal tokens.

use reqwest::Method;
use russet_protocol::admin::Items;
use russet_protocol::people::{
    AuditItem, ChangePassword, Me, NewPersonalToken, NewUser, PersonalTokenItem, SessionItem,
    SetRole, SignInLink, UserItem,
};
use russet_text::encode_segment;

use super::Client;
use crate::error::Result;

fn user_path(name: &str) -> String {
    format!("/api/v3/users/{}", encode_segment(name))
}

/// Path of the tokens of an account; of the caller's own without a name.
fn tokens_path(user: Option<&str>) -> String {
    user.map_or_else(
        || "/api/v3/me/tokens".to_owned(),
        |name| format!("{}/tokens", user_path(name)),
    )
}

/// Path of the sessions of an account; of the caller's own without a name.
fn sessions_path(user: Option<&str>) -> String {
    user.map_or_else(
        || "/api/v3/me/sessions".to_owned(),
        |name| format!("{}/sessions", user_path(name)),
    )
}

impl Client {
    /// Returns the account of the token.
    pub(crate) async fn me(&self) -> Result<Me> {
        self.get("/api/v3/me", &[]).await
    }

    /// Returns the accounts.
    pub(crate) async fn users(&self) -> Result<Vec<UserItem>> {
        let list: Items<_> = self.get("/api/v3/users", &[]).await?;
        Ok(list.items)
    }

    /// Returns an account.
    pub(crate) async fn user(&self, name: &str) -> Result<UserItem> {
        self.get(&user_path(name), &[]).await
    }

    /// Adds an account.
    pub(crate) async fn add_user(&self, new: &NewUser) -> Result<UserItem> {
        self.post("/api/v3/users", new).await
    }

    /// Gives a role, or takes it away.
    pub(crate) async fn set_user_role(&self, name: &str, role: &SetRole) -> Result<UserItem> {
        let path = format!("{}/role", user_path(name));
        self.fetch(self.request(Method::PUT, &path).json(role)).await
    }

    /// Removes an account.
    pub(crate) async fn remove_user(&self, name: &str) -> Result<()> {
        self.delete(&user_path(name)).await
    }

    /// Makes a link with which its holder becomes an administrator.
    pub(crate) async fn create_admin_link(&self) -> Result<SignInLink> {
        self.fetch(self.request(Method::POST, "/api/v3/admin-links")).await
    }

    /// Makes a link with which a person sets a password.
    pub(crate) async fn create_user_link(&self, name: &str) -> Result<SignInLink> {
        self.fetch(self.request(Method::POST, &format!("{}/link", user_path(name)))).await
    }

    /// Returns the sessions of an account in browsers, or one's own.
    pub(crate) async fn sessions(&self, user: Option<&str>) -> Result<Vec<SessionItem>> {
        let list: Items<_> = self.get(&sessions_path(user), &[]).await?;
        Ok(list.items)
    }

    /// Ends a session of an account, or of one's own.
    pub(crate) async fn end_session(&self, user: Option<&str>, id: &str) -> Result<()> {
        self.delete(&format!("{}/{}", sessions_path(user), encode_segment(id))).await
    }

    /// Ends all sessions of an account, or of one's own.
    pub(crate) async fn end_sessions(&self, user: Option<&str>) -> Result<()> {
        self.delete(&sessions_path(user)).await
    }

    /// Changes one's own password.
    pub(crate) async fn change_password(&self, change: &ChangePassword) -> Result<()> {
        let request = self.request(Method::PUT, "/api/v3/me/password").json(change);
        // Sent twice, the second one would have the wrong present password.
        self.send_once(request).await.map(drop)
    }

    /// Returns a page of the audit log.
    pub(crate) async fn audit(&self, query: &[(&str, &str)]) -> Result<Vec<AuditItem>> {
        let list: Items<_> = self.get("/api/v3/audit", query).await?;
        Ok(list.items)
    }

    /// Returns the personal tokens of an account, or one's own.
    pub(crate) async fn personal_tokens(
        &self,
        user: Option<&str>,
    ) -> Result<Vec<PersonalTokenItem>> {
        let list: Items<_> = self.get(&tokens_path(user), &[]).await?;
        Ok(list.items)
    }

    /// Makes a personal token for an account, or for oneself.
    pub(crate) async fn create_personal_token(
        &self,
        user: Option<&str>,
        new: &NewPersonalToken,
    ) -> Result<PersonalTokenItem> {
        self.post(&tokens_path(user), new).await
    }

    /// Revokes a personal token of an account, or one's own.
    pub(crate) async fn revoke_personal_token(&self, user: Option<&str>, id: &str) -> Result<()> {
        self.delete(&format!("{}/{}", tokens_path(user), encode_segment(id))).await
    }
}
