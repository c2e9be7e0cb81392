//! `GET /metrics`: numbers of this server and of its farm, for Prometheus, with the permission `read`.
//!
//! Counters are told as they are; the rest is looked at when somebody asks: three statements for the
//! machines, one each for queues, alerts and messages, however many pipelines there are. Machines are in
//! the states that lists and pages show.

mod farm;
mod of_server;
#[cfg(test)]
mod reference;

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::prometheus_text;
use prometheus_client::registry::Registry;
use russet_protocol::people::Permission;

use super::error::ApiError;
use super::routes::Routes;
use crate::state::App;
use farm::Farm;
use of_server::OfServer;

/// Beginning of the names of our own numbers.
const PREFIX: &str = "russet_server";

/// Type of the answer: the text format of Prometheus
/// (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The route.
pub(super) fn routes() -> Routes {
    Routes::new().get("/metrics", Permission::Read, write_metrics)
}

async fn write_metrics(State(app): State<App>) -> Result<impl IntoResponse, ApiError> {
    let server = OfServer::look(&app).await;
    let farm = Farm::look(&app).await?;
    let text = write_text(&server, &farm).map_err(ApiError::internal)?;
    Ok(([(CONTENT_TYPE, TEXT)], text))
}

/// Writes all numbers as text.
fn write_text(server: &OfServer<'_>, farm: &Farm) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::default();
    server.register_process(&mut registry);
    let ours = registry.sub_registry_with_prefix(PREFIX);
    server.register(ours);
    farm.register(ours);
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry)?;
    Ok(text)
}

/// Counts a call by the pattern of its path, and the time until its answer begins.
pub(super) async fn measure_call(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let answer = next.run(request).await;
    let (route, status) = (route.as_ref().map(MatchedPath::as_str), answer.status().as_u16());
    app.calls.count(method.as_str(), route, status, began.elapsed());
    answer
}
