//! Somebody with an account, as found by the credential of a call.

use russet_protocol::ids::{PersonalTokenId, UserId};
use russet_protocol::people::UserKind;

use super::decide::Rights;
use crate::credentials::TokenHash;
use crate::state::App;
use crate::store::{StoreError, user_tokens};

/// Somebody with an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) id: UserId,
    pub(crate) name: String,
    pub(crate) kind: UserKind,
    pub(crate) rights: Rights,
    /// Token of the call. `None` in the session of a browser.
    pub(crate) token: Option<TokenRef>,
}

/// Token that a call came with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenRef {
    pub(crate) id: PersonalTokenId,
    pub(crate) hash: TokenHash,
    /// End of it, in milliseconds since 1970.
    pub(crate) expires_ms: Option<i64>,
}

/// Finds the owner of a personal token: `None` for one that is unknown, was revoked or has expired.
pub(crate) async fn find_person(app: &App, hash: &TokenHash) -> Result<Option<Person>, StoreError> {
    let person = user_tokens::owner_of(&mut app.store.read().await?, hash).await?;
    let now_ms = app.clock.wall_ms();
    Ok(person.filter(|person| {
        let expires_ms = person.token.as_ref().and_then(|token| token.expires_ms);
        expires_ms.is_none_or(|expires_ms| now_ms < expires_ms)
    }))
}
