//! Somebody with an account, as found by the credential of a call.

use russet_protocol::ids::{PersonalTokenId, UserId};
use russet_protocol::people::UserKind;

use super::decide::Rights;
use crate::credentials::TokenHash;

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
