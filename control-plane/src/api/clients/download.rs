//! `GET /api/v2/launch-agent/download`: the release of the agent that a machine is to install.
//!
//! Install scripts call it with the token of a resource class, and with a body, which a GET need
//! not have: the same is taken from the query and with POST. The archive itself needs no token:
//! releases are signed and no secret.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use russet_protocol::admin::Pin;
use russet_protocol::manifest::Platform;
use serde::{Deserialize, Serialize};

use crate::api::agent::updates::send_file;
use crate::api::bearer::ClassCaller;
use crate::api::body::{self, SMALL};
use crate::api::caller::Caller;
use crate::api::error::ApiError;
use crate::api::params::{Path, Query};
use crate::api::releases::with_releases;
use crate::releases::of_class;
use crate::state::App;
use crate::store::classes;

/// System and architecture of a machine.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wish {
    os: Option<String>,
    arch: Option<String>,
    /// None: what the class is pinned to, else the newest stable release.
    version: Option<String>,
}

/// Place of a release.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct Found {
    /// Address of the archive, a tar compressed with gzip.
    url: String,
    /// SHA-256 of the archive, in hexadecimal.
    checksum: String,
    version: String,
}

/// Says where the release for a machine is. The query or the body name `os`, `arch` and, where it
/// is to be a certain one, `version`.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v2/launch-agent/download", tag = "clients", operation_id = "find_download",
    params(("os" = Option<String>, Query, description = "`darwin` or `linux`"), ("arch" = Option<String>, Query, description = "`arm64` or `amd64`"), ("version" = Option<String>, Query, description = "Else what the class is pinned to")),
    responses((status = 200, description = "Where it is", body = Found), (status = 400, description = "Not the name of a system or an architecture", body = russet_protocol::problem::Problem), (status = 401, description = "The token is unknown or was revoked", body = russet_protocol::problem::Problem), (status = 404, description = "The server has no such release", body = russet_protocol::problem::Problem)),
    security(("class_token" = []))
))]
pub(super) async fn find(
    State(app): State<App>,
    Query(query): Query<Wish>,
    headers: HeaderMap,
    caller: ClassCaller,
    request: Request,
) -> Result<Json<Found>, ApiError> {
    let class = caller.class;
    let wish = wish(&app, query, request).await?;
    let platform = platform(wish.os.as_deref(), wish.arch.as_deref())?;
    let pin = match wish.version {
        Some(version) => Some(Pin::Version(version)),
        None => {
            let mut conn = app.store.read().await?;
            let classes = classes::list(&mut conn, Some(class.namespace())).await?;
            classes.into_iter().find(|item| item.resource_class == class).and_then(|item| item.pin)
        }
    };
    let release =
        with_releases(&app, move |releases| of_class(releases, pin.as_ref()).cloned().ok_or(pin))
            .await?
            .map_err(|pin| no_release(pin.as_ref()))?;
    let artifact = release.artifact(platform).ok_or_else(|| {
        let (version, platform) = (&release.version, platform.as_str());
        ApiError::NotFound(format!("the release {version} has no archive for {platform}"))
    })?;
    let origin = super::origin_of(&app, &headers);
    let (version, file) = (release.version.to_string(), &artifact.file);
    Ok(Json(Found {
        url: format!("{origin}/api/v2/launch-agent/releases/{version}/{file}"),
        checksum: artifact.sha256.clone(),
        version,
    }))
}

async fn wish(app: &App, query: Wish, request: Request) -> Result<Wish, ApiError> {
    let room = Caller::room(app, request.extensions());
    let timeout = app.gate.limits.body_timeout;
    let read = body::read(request.into_body(), SMALL, room, timeout).await?;
    let bytes = &read.bytes;
    if bytes.is_empty() {
        return Ok(query);
    }
    let said: Wish = serde_json::from_slice(bytes)
        .map_err(|error| ApiError::Bad(format!("the body is not what this call takes: {error}")))?;
    Ok(Wish {
        os: said.os.or(query.os),
        arch: said.arch.or(query.arch),
        version: said.version.or(query.version),
    })
}

/// Returns the platform of a system and an architecture, by the names that Go and `uname` have.
fn platform(os: Option<&str>, arch: Option<&str>) -> Result<Platform, ApiError> {
    match (os, arch) {
        (Some("darwin" | "macos"), Some("arm64" | "aarch64" | "amd64" | "x86_64")) => {
            Ok(Platform::MacosUniversal)
        }
        (Some("linux"), Some("amd64" | "x86_64")) => Ok(Platform::LinuxX86_64),
        (Some("linux"), Some("arm64" | "aarch64")) => Ok(Platform::LinuxAarch64),
        (None, _) => Err(ApiError::Bad("os: `darwin` or `linux` is needed".to_owned())),
        (_, None) => Err(ApiError::Bad("arch: `arm64` or `amd64` is needed".to_owned())),
        (Some(os), Some(arch)) => Err(ApiError::Bad(format!(
            "there are no releases for `{os}` on `{arch}`, only for darwin and linux on arm64 and amd64"
        ))),
    }
}

fn no_release(pin: Option<&Pin>) -> ApiError {
    let wanted = pin.map_or_else(|| "of the stable channel".to_owned(), |pin| format!("of {pin}"));
    ApiError::NotFound(format!("the server has no release {wanted}"))
}

/// Sends an archive of a release.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v2/launch-agent/releases/{version}/{file}", tag = "clients", operation_id = "get_release",
    params(("version" = String, Path, description = "The version"), ("file" = String, Path, description = "An archive that its manifest names"), ("Range" = Option<String>, Header, description = "`bytes=N-`: from this offset on")),
    responses((status = 200, description = "The bytes", body = Vec<u8>, content_type = "application/octet-stream"), (status = 206, description = "The bytes from the offset on", body = Vec<u8>, content_type = "application/octet-stream"), (status = 404, description = "The server has no such file", body = russet_protocol::problem::Problem), (status = 416, description = "There are not so many bytes", body = russet_protocol::problem::Problem))
))]
pub(super) async fn get(
    State(app): State<App>,
    Path((version, file)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let path = with_releases(&app, move |releases| {
        let pin = Pin::Version(version);
        of_class(releases, Some(&pin)).and_then(|release| release.file(&file))
    });
    let missing = || ApiError::NotFound("there is no such file of a release".to_owned());
    send_file(&path.await?.ok_or_else(missing)?, &headers).await
}

#[cfg(test)]
mod tests {
    use super::platform;
    use russet_protocol::manifest::Platform;

    #[test]
    fn systems_and_architectures_have_the_names_that_scripts_send() {
        let of = |os, arch| platform(Some(os), Some(arch)).ok();
        assert_eq!(of("darwin", "arm64"), Some(Platform::MacosUniversal));
        assert_eq!(of("darwin", "amd64"), Some(Platform::MacosUniversal));
        assert_eq!(of("linux", "x86_64"), Some(Platform::LinuxX86_64));
        assert_eq!(of("linux", "arm64"), Some(Platform::LinuxAarch64));
        assert_eq!(of("windows", "amd64"), None);
        assert!(platform(None, Some("arm64")).is_err() && platform(Some("linux"), None).is_err());
    }
}
