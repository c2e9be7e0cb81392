//! Names of those who do something: that of their account, or as they give it where they have the
//! admin token, which does not say who has it.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::Deserialize;

use crate::api::Caller;
use crate::api::error::ApiError;
use crate::api::params::Query;
use crate::people::{Denial, Person};
use crate::state::App;

/// The longest name of a person, in characters.
const MAX_CHARS: usize = 100;

/// Name for those who do not say theirs.
pub(crate) const UNNAMED: &str = "the administrator";

/// Query of a call that somebody is named with.
#[derive(Debug, Default, Deserialize)]
struct Named {
    #[serde(rename = "as")]
    name: Option<String>,
}

/// Returns the account of the one who calls, for a call about it.
pub(super) fn own_account(caller: &Caller) -> Result<&Person, ApiError> {
    caller.person().ok_or(ApiError::Denied(Denial::NoAccount))
}

/// Name of the one who calls.
#[derive(Debug)]
pub(in crate::api) struct By(pub(super) String);

impl FromRequestParts<App> for By {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Query(said) = Query::<Named>::from_request_parts(parts, app).await?;
        let said = said.name.as_deref().map(check_person).transpose()?;
        let proved = ProvedName::from_request_parts(parts, app).await?.0;
        Ok(Self(proved.or(said).unwrap_or_else(|| UNNAMED.to_owned())))
    }
}

/// Name of the caller's account; `None` for the holder of the admin token.
#[derive(Debug)]
pub(super) struct ProvedName(pub(super) Option<String>);

impl FromRequestParts<App> for ProvedName {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Caller>();
        Ok(Self(caller.and_then(Caller::proved_name).map(str::to_owned)))
    }
}

/// Returns a name without spaces around it.
///
/// Threat: it is shown to others, on pages and terminals. Control characters are refused.
pub(super) fn check_person(name: &str) -> Result<String, ApiError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > MAX_CHARS || name.chars().any(char::is_control) {
        let message = format!("the name of a person has 1 to {MAX_CHARS} characters");
        return Err(ApiError::Bad(message));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::check_person;

    #[test]
    fn a_name_that_could_drive_a_terminal_is_refused() {
        assert_eq!(check_person(" Ana ").unwrap(), "Ana");
        for bad in ["", " ", "a\u{1b}[31m", &"a".repeat(101)] {
            assert!(check_person(bad).is_err(), "{bad:?}");
        }
    }
}
