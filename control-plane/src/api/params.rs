//! Parameters in paths and queries, whose errors are Problems like all others.

use axum::extract::{FromRequestParts, Path as AxumPath, Query as AxumQuery, RawPathParams};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::state::App;

/// Parameters in the path.
#[derive(Debug)]
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match AxumPath::from_request_parts(parts, app).await {
            Ok(AxumPath(value)) => Ok(Self(value)),
            Err(error) => Err(ApiError::Bad(said("path", &error.body_text()))),
        }
    }
}

/// Parameters in the path, by their names.
#[derive(Debug)]
pub(super) struct PathParams(RawPathParams);

impl PathParams {
    /// Reads those of a call.
    pub(super) async fn read(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let params = RawPathParams::from_request_parts(parts, app).await;
        params.map(Self).map_err(|error| ApiError::Bad(error.body_text()))
    }

    /// Returns the value of a name; empty where the path has none.
    pub(super) fn get(&self, wanted: &str) -> String {
        let found = self.0.iter().find(|(name, _)| *name == wanted);
        found.map(|(_, value)| value.to_owned()).unwrap_or_default()
    }
}

/// Parameters in the query.
#[derive(Debug)]
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        match AxumQuery::from_request_parts(parts, app).await {
            Ok(AxumQuery(value)) => Ok(Self(value)),
            Err(error) => Err(ApiError::Bad(said("query", &error.body_text()))),
        }
    }
}

/// Says in our words what is wrong with a part of an address, of which axum says it in its own.
fn said(part: &str, error: &str) -> String {
    let error = ["Failed to deserialize query string: ", "Invalid URL: "]
        .into_iter()
        .find_map(|prefix| error.strip_prefix(prefix))
        .unwrap_or(error);
    if let Some(name) = error.strip_prefix("missing field ") {
        return format!("the {part} needs {name}");
    }
    if let Some((_, name)) = error.split_once("duplicate field ") {
        return format!("the {part} has {name} more than once");
    }
    let error = error
        .replace("invalid digit found in string", "a whole number is needed")
        .replace("cannot parse integer from empty string", "a whole number is needed")
        .replace("provided string was not `true` or `false`", "`true` or `false` is needed");
    format!("the {part} is wrong: {error}")
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn what_is_wrong_with_a_query_is_said_in_our_words() {
        let said =
            |error: &str| said("query", &format!("Failed to deserialize query string: {error}"));
        assert_eq!(said("missing field `resource-class`"), "the query needs `resource-class`");
        assert_eq!(said("duplicate field `limit`"), "the query has `limit` more than once");
        assert_eq!(
            said("limit: invalid digit found in string"),
            "the query is wrong: limit: a whole number is needed"
        );
    }
}
