//! The HTTP API, grouped by caller: [`agent`] for launch agents and task agents, [`admin`] for
//! people and their tools.

mod admin;
mod agent;
mod bearer;
mod body;
mod error;
mod openapi;
mod params;
mod prefer;
mod range;

use axum::Router;
use axum::http::{Method, Uri};

use crate::state::App;
use error::ApiError;

/// All routes.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .merge(agent::router())
        .merge(admin::router(app.clone()))
        .merge(openapi::router())
        .merge(crate::web::router(app.clone()))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(tower_http::trace::TraceLayer::new_for_http())
        .with_state(app)
}

async fn no_such_path(uri: Uri) -> ApiError {
    ApiError::NotFound(format!("there is nothing at {}", uri.path()))
}

async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    ApiError::Method(format!("{method} is not what {} is for", uri.path()))
}
