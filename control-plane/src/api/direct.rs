//! Redirects of readers to the store of objects, where the owner lets them go there.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use russet_protocol::DIRECT_HEADER;

use super::error::ApiError;
use crate::state::App;

/// Returns a redirect to the bucket that has an object; `None` where its bytes are to pass through
/// here. Only readers that ask for it get one: others would follow it with their token, or not at all.
pub(super) async fn redirect_to_store(
    app: &App,
    headers: &HeaderMap,
    object: &str,
) -> Result<Option<Response>, ApiError> {
    if headers.get(DIRECT_HEADER).is_none_or(|value| value != "true") {
        return Ok(None);
    }
    let Some(url) = app.objects.direct_url(object).await? else { return Ok(None) };
    let response = Response::builder()
        .status(StatusCode::TEMPORARY_REDIRECT)
        .header(LOCATION, url)
        .header(CACHE_CONTROL, "no-store")
        .body(Body::empty());
    response.map(Some).map_err(|error| ApiError::Internal(Box::new(error)))
}
