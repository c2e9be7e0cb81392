//! Making personal tokens: by a call, on a page, or for a command line that somebody allows one.

use russet_protocol::ids::{PersonalTokenId, UserId};
use russet_protocol::people::{NewPersonalToken, PersonalTokenItem};

use crate::audit;
use crate::credentials::{NoRandomness, TokenHash, TokenKind, new_token};
use crate::store::{StoreError, WriteTx, user_tokens, users};

/// The most characters of a description.
const MAX_DESCRIPTION_CHARS: usize = 100;

/// Longest life of a token that ends, in seconds: ten years.
const MAX_LIFE_S: u64 = 10 * 366 * 24 * 3600;

/// The most tokens of an account.
const MAX_TOKENS: usize = 100;

/// Reason why no token is made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NewTokenError {
    #[error("a token needs at least one scope")]
    NoScope,
    #[error("there is no account `{0}`")]
    NoAccount(String),
    #[error("`{0}` has {MAX_TOKENS} tokens already; revoke some first")]
    TooMany(String),
    #[error("the token that this one is made with was revoked")]
    NoParent,
    #[error(transparent)]
    Random(#[from] NoRandomness),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Brings a wanted token into the form in which it is kept and shown.
pub(crate) fn normalize_request(
    mut new: NewPersonalToken,
) -> Result<NewPersonalToken, NewTokenError> {
    new.scopes.sort_unstable();
    new.scopes.dedup();
    new.description = russet_text::one_line_within(new.description.trim(), MAX_DESCRIPTION_CHARS);
    new.expires_in_s = new.expires_in_s.map(|seconds| seconds.clamp(1, MAX_LIFE_S));
    if new.scopes.is_empty() { Err(NewTokenError::NoScope) } else { Ok(new) }
}

/// Returns the end of a wanted token, in milliseconds since 1970.
pub(crate) fn end_of_request(new: &NewPersonalToken, now_ms: u64) -> Option<u64> {
    new.expires_in_s.map(|seconds| now_ms.saturating_add(seconds.saturating_mul(1000)))
}

/// Makes a token of an account. `parent` is the token that it is made with, if any: revoked, it takes this
/// one along. The item that is returned is the only place where the token ever is.
pub(crate) async fn insert_token(
    tx: &mut WriteTx,
    (user, name): (&UserId, &str),
    new: NewPersonalToken,
    parent: Option<&PersonalTokenId>,
    now_ms: u64,
) -> Result<PersonalTokenItem, NewTokenError> {
    let expires_ms = end_of_request(&new, now_ms);
    let token = new_token(TokenKind::Person)?;
    let item = PersonalTokenItem {
        id: PersonalTokenId::generate(),
        user: name.to_owned(),
        description: new.description,
        scopes: new.scopes,
        created_ms: now_ms,
        expires_ms,
        used_ms: None,
        parent: parent.cloned(),
        token: None,
    };
    // Somebody may have removed the account or the token meanwhile.
    if users::get(tx, user).await?.is_none() {
        return Err(NewTokenError::NoAccount(name.to_owned()));
    }
    if let Some(parent) = parent
        && !user_tokens::exists(tx, parent).await?
    {
        return Err(NewTokenError::NoParent);
    }
    if user_tokens::list(tx, user).await?.len() >= MAX_TOKENS {
        return Err(NewTokenError::TooMany(name.to_owned()));
    }
    audit::note_after(&item);
    user_tokens::insert(tx, user, &item, &TokenHash::of(token.expose())).await?;
    Ok(PersonalTokenItem { token: Some(token), ..item })
}
