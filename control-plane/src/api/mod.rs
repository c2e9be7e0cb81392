//! The HTTP API, grouped by caller: [`agent`] for launch agents and task agents, [`admin`] for
//! people and their tools, [`clients`] for
//! what CircleCI's clients and other public ones call besides.

mod access;
mod admin;
mod agent;
mod bearer;
mod body;
mod caller;
mod calls;
mod clients;
mod denial;
mod direct;
mod ending;
mod error;
mod firing;
mod health;
mod metrics;
mod openapi;
mod operation;
mod params;
mod prefer;
mod projects;
mod range;
mod reach;
mod refs;
mod releases;
mod routes;
mod runner_name;

use axum::http::{Method, Uri};
use axum::middleware::{from_fn_with_state, map_request, map_response_with_state};
use axum::{Extension, Router};

use crate::state::App;
pub(crate) use caller::{Caller, ClientAddress};
pub(crate) use calls::{Call, Calls, Refusal};
pub(crate) use denial::denial_words;
use error::ApiError;
pub(crate) use firing::run_schedules;
pub(crate) use projects::Builds;

/// All routes: those of the API, and the pages.
pub(crate) fn router(app: App, pages: Router<App>) -> Router {
    let calls = Calls::new(admin::routes().into_router(&app).with_state(app.clone()));
    let all = Router::new()
        .merge(agent::routes().into_router(&app))
        .merge(admin::routes().into_router(&app))
        .merge(projects::routes().into_router(&app))
        .merge(clients::routes().into_router(&app))
        .merge(openapi::router())
        .merge(metrics::routes().into_router(&app))
        .merge(pages.layer(Extension(calls)))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(from_fn_with_state(app.clone(), caller::admit))
        .layer(map_response_with_state(app.clone(), error::count_lack))
        // After the layers: who asks is neither looked up nor counted.
        .merge(health::routes().into_router(&app))
        .layer(from_fn_with_state(app.clone(), metrics::measure_call))
        .layer(tower_http::trace::TraceLayer::new_for_http())
        .with_state(app);
    // Outside of the routes: it changes paths.
    Router::new().fallback_service(all).layer(map_request(clients::adapt_call))
}

async fn no_such_path(uri: Uri) -> ApiError {
    ApiError::NotFound(format!("there is nothing at {}", uri.path()))
}

async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    ApiError::Method(format!("{method} is not what {} is for", uri.path()))
}
