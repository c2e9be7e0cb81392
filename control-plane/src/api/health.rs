//! `GET /healthz` and `GET /readyz`, for proxies and for those who watch servers. Without a token, and
//! without a look at the caller, which would ask the database.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use russet_protocol::health::Readiness;

use super::routes::Routes;
use crate::health::describe;
use crate::people::Needs;
use crate::readiness::examine;
use crate::state::App;

/// The routes.
pub(super) fn routes() -> Routes {
    Routes::new().get("/healthz", Needs::Nothing, say_alive).get(
        "/readyz",
        Needs::Nothing,
        say_ready,
    )
}

/// Says that the process lives.
#[cfg_attr(test, utoipa::path(
    get, path = "/healthz", tag = "admin", operation_id = "health_alive",
    responses((status = 200, description = "The process lives", body = String, content_type = "text/plain"))
))]
pub(super) async fn say_alive() -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], "ok\n")
}

/// Says if this server takes work, and which part keeps it from that.
#[cfg_attr(test, utoipa::path(
    get, path = "/readyz", tag = "admin", operation_id = "health_ready",
    responses(
        (status = 200, description = "It takes work", body = russet_protocol::health::Readiness),
        (status = 503, description = "It does not: a part is failing, or it is about to stop", body = russet_protocol::health::Readiness)
    )
))]
pub(super) async fn say_ready(State(app): State<App>) -> impl IntoResponse {
    let told: Readiness = describe(examine(&app).await);
    let status = if told.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(CACHE_CONTROL, "no-store")], Json(told))
}

/// Answers of these calls.
#[cfg(test)]
#[derive(Debug, utoipa::OpenApi)]
#[openapi(paths(say_alive, say_ready))]
pub(super) struct Docs;
