//! `/api/v3/runner/resource/{id}/pin`: what the runners of a class are to run.

use axum::Json as JsonAnswer;
use axum::extract::State;
use russet_protocol::admin::{Pin, PinnedClass, ResourceClassItem};
use russet_protocol::ids::ResourceClassId;

use super::resources::find;
use crate::api::body::{Json, SMALL};
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::api::releases::with_releases;
use crate::audit;
use crate::releases::{Release, of_class};
use crate::state::App;
use crate::store::classes;

/// The longest name of a channel, in bytes.
const LONGEST: usize = 64;

/// Pins a class to a version or to a channel.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/v3/runner/resource/{id}/pin", tag = "admin", operation_id = "pin_resources",
    params(("id" = String, Path, description = "The class")),
    request_body = russet_protocol::admin::Pin,
    responses((status = 200, description = "The class, and what its runners are offered now", body = russet_protocol::admin::PinnedClass), (status = 400, description = "It is no version or channel", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn put(
    State(app): State<App>,
    Path(id): Path<ResourceClassId>,
    Json(pin): Json<Pin, SMALL>,
) -> Result<JsonAnswer<PinnedClass>, ApiError> {
    check_pin(&pin)?;
    set(&app, &id, Some(pin)).await.map(JsonAnswer)
}

/// Takes a pin away: the runners are to run the newest release of the stable channel again.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/runner/resource/{id}/pin", tag = "admin", operation_id = "unpin_resources",
    params(("id" = String, Path, description = "The class")),
    responses((status = 200, description = "The class, and what its runners are offered now", body = russet_protocol::admin::PinnedClass), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn remove(
    State(app): State<App>,
    Path(id): Path<ResourceClassId>,
) -> Result<JsonAnswer<PinnedClass>, ApiError> {
    set(&app, &id, None).await.map(JsonAnswer)
}

async fn set(app: &App, id: &ResourceClassId, pin: Option<Pin>) -> Result<PinnedClass, ApiError> {
    let mut tx = app.store.write().await?;
    let before = find(&mut tx, id).await?;
    audit::note_before(&before);
    let class = ResourceClassItem { pin, ..before };
    audit::note_after(&class);
    classes::set_pin(&mut tx, id, class.pin.as_ref()).await?;
    tx.commit().await?;
    let pin = class.pin.clone();
    let look = move |releases: &[Release]| {
        of_class(releases, pin.as_ref()).map(|release| release.version.to_string())
    };
    let offers = with_releases(app, look).await?;
    Ok(PinnedClass { class, offers })
}

fn check_pin(pin: &Pin) -> Result<(), ApiError> {
    match pin {
        Pin::Version(version) => match semver::Version::parse(version) {
            Ok(_) => Ok(()),
            Err(error) => Err(ApiError::Bad(format!(
                "`{}` is no version as in 1.2.0: {error}",
                version.escape_debug()
            ))),
        },
        Pin::Channel(channel) => {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if (1..=LONGEST).contains(&channel.len()) && channel.chars().all(fits) {
                return Ok(());
            }
            Err(ApiError::Bad(format!(
                "`{}` is no channel: letters, digits and `-_.`, {LONGEST} at most",
                channel.escape_debug()
            )))
        }
    }
}
