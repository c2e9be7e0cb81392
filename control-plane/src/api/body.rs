//! Bodies: how much is taken, and JSON whose errors say where they are.

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use futures_util::TryStreamExt;
use russet_protocol::admin::JSON_LIMIT;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// Reads a whole body of at most `limit` bytes.
pub(super) async fn read(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let too_large = || ApiError::TooLarge(format!("the body is larger than {limit} bytes"));
    // What the caller announces, so that the buffer does not have to grow; not believed further.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(limit).min(limit);
    let mut stream = body.into_data_stream();
    let Some(first) = next(&mut stream).await? else { return Ok(Bytes::new()) };
    if first.len() > limit {
        return Err(too_large());
    }
    let Some(second) = next(&mut stream).await? else { return Ok(first) };
    let mut all = Vec::with_capacity(announced.max(first.len() + second.len()));
    all.extend_from_slice(&first);
    let mut more = Some(second);
    while let Some(bytes) = more {
        if all.len() + bytes.len() > limit {
            return Err(too_large());
        }
        all.extend_from_slice(&bytes);
        more = next(&mut stream).await?;
    }
    Ok(all.into())
}

async fn next(stream: &mut axum::body::BodyDataStream) -> Result<Option<Bytes>, ApiError> {
    stream.try_next().await.map_err(|_| ApiError::Bad("the body broke off".to_owned()))
}

/// A JSON body. Unlike axum's own, it takes any content type, as CircleCI's API does, and its
/// errors name the field.
#[derive(Debug)]
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<crate::state::App> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _app: &crate::state::App) -> Result<Self, ApiError> {
        let bytes = read(request.into_body(), JSON_LIMIT).await?;
        let mut deserializer = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
            let path = error.path().to_string();
            ApiError::Bad(format!(
                "the body is not what this call takes: {path}: {}",
                error.inner()
            ))
        })?;
        deserializer
            .end()
            .map_err(|error| ApiError::Bad(format!("there is more after the JSON: {error}")))?;
        Ok(Self(value))
    }
}
