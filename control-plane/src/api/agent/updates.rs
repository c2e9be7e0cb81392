//! `GET /api/v3/updates/{runner}/{file}`: the release that a runner is to run.
//!
//! No token is asked for. That of a class is for claims alone, releases are signed and no secret,
//! and what a runner is to run says little to who knows its name.

use std::io::SeekFrom;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use tokio::io::AsyncSeekExt as _;
use tokio_util::io::ReaderStream;

use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::api::range::Wanted;
use crate::api::releases::with_releases;
use crate::releases::of_runner;
use crate::state::App;
use crate::store::classes;

/// The manifest of that release, as `manifest.json`, and the archives that it names. 404: this
/// runner is to stay as it is. The header `Russet-Pin` says what pins its class.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/updates/{runner}/{file}", tag = "agent", operation_id = "get_update",
    params(("runner" = String, Path, description = "Name of the runner"), ("file" = String, Path, description = "`manifest.json`, or an archive that it names"), ("Range" = Option<String>, Header, description = "`bytes=N-`: from this offset on")),
    responses((status = 200, description = "The bytes", body = Vec<u8>, content_type = "application/octet-stream"), (status = 206, description = "The bytes from the offset on", body = Vec<u8>, content_type = "application/octet-stream"), (status = 404, description = "There is none for this runner", body = russet_protocol::problem::Problem), (status = 416, description = "There are not so many bytes", body = russet_protocol::problem::Problem))
))]
pub(super) async fn get(
    State(app): State<App>,
    Path((runner, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let pins = {
        let mut conn = app.store.read().await?;
        classes::pins_of_runner(&mut conn, &runner).await?
    };
    let (path, pin) = with_releases(&app, move |releases| {
        let (release, pin) = of_runner(releases, &pins);
        (release.and_then(|release| release.file(&file)), pin.cloned())
    })
    .await?;
    let mut response = match path {
        Some(path) => send_file(&path, &headers).await,
        None => Err(no_release()),
    }
    .unwrap_or_else(IntoResponse::into_response);
    // A pin is JSON of letters, digits and a few signs.
    if let Some(pin) = pin.and_then(|pin| serde_json::to_string(&pin).ok()?.parse().ok()) {
        response.headers_mut().insert(russet_protocol::PIN_HEADER, pin);
    }
    Ok(response)
}

fn no_release() -> ApiError {
    ApiError::NotFound("there is no such file of a release for it".to_owned())
}

/// Sends a file from the offset on that a caller asks for.
pub(in crate::api) async fn send_file(
    path: &std::path::Path,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
    let internal = |error: std::io::Error| ApiError::Internal(Box::new(error));
    let mut file = match tokio::fs::File::open(path).await {
        // A release that is just being copied here.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(no_release()),
        file => file.map_err(internal)?,
    };
    let size = file.metadata().await.map_err(internal)?.len();
    let wanted = Wanted::of(headers, size)?;
    file.seek(SeekFrom::Start(wanted.start)).await.map_err(internal)?;
    wanted.answer("application/octet-stream", Body::from_stream(ReaderStream::new(file)))
}
