//! `GET /api/v3/metrics`: the state of the farm, for Prometheus.
//!
//! Everything is read when somebody asks, and is the same from each server of a database.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use russet_protocol::alerts::AlertKind;

use crate::api::error::ApiError;
use crate::runner_items::list_runners;
use crate::state::App;
use crate::store::{alerts, classes, tasks, tokens};

/// Media type of the text format of Prometheus
/// (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

type Labels = Vec<(&'static str, String)>;

/// Gauges of the farm.
#[derive(Debug, Default)]
struct Gauges {
    alerts: Family<Labels, Gauge>,
    runners: Family<Labels, Gauge>,
    tasks: Family<Labels, Gauge>,
    tokens: Family<Labels, Gauge>,
}

impl Gauges {
    /// Returns them as text.
    fn render(&self) -> Result<String, ApiError> {
        let mut all = Registry::with_prefix("russet");
        let open = "Alerts that are open, by kind";
        all.register("alerts_open", open, self.alerts.clone());
        let runners = "Runners that are listed, by class and state";
        all.register("runners", runners, self.runners.clone());
        let tasks = "Tasks that wait and that run, by class";
        all.register("tasks", tasks, self.tasks.clone());
        let tokens = "End of the validity of runner tokens that expire, in seconds since 1970";
        all.register("token_expiry_timestamp_seconds", tokens, self.tokens.clone());
        let mut text = String::new();
        prometheus_text::encode(&mut text, &all).map_err(ApiError::internal)?;
        Ok(text)
    }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Alerts, runners, tasks and tokens that expire, as gauges.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/metrics", tag = "admin", operation_id = "get_metrics",
    responses((status = 200, description = "Gauges, in the text format of Prometheus", body = String, content_type = "text/plain")),
    security(("admin_token" = []))
))]
pub(super) async fn get(State(app): State<App>) -> Result<Response, ApiError> {
    let gauges = Gauges::default();
    let mut conn = app.store.read().await?;
    for kind in AlertKind::ALL {
        gauges.alerts.get_or_create(&vec![("kind", kind.as_str().to_owned())]).set(0);
    }
    for alert in alerts::list_open(&mut conn).await? {
        gauges.alerts.get_or_create(&vec![("kind", alert.kind.as_str().to_owned())]).inc();
    }
    for runner in list_runners(&app, &mut conn).await? {
        let class = ("resource_class", runner.resource_class.to_string());
        gauges.runners.get_or_create(&vec![class, ("state", runner.state.to_string())]).inc();
    }
    for class in classes::list(&mut conn, None).await? {
        let (queued, running) = tasks::counts(&mut conn, &class.resource_class).await?;
        for (state, count) in [("queued", queued), ("running", running)] {
            let class = ("resource_class", class.resource_class.to_string());
            let labels = vec![class, ("state", state.to_owned())];
            gauges.tasks.get_or_create(&labels).set(whole(count));
        }
    }
    for token in tokens::expiring(&mut conn, i64::MAX).await? {
        let labels = vec![("resource_class", token.class), ("id", token.id.to_string())];
        gauges.tokens.get_or_create(&labels).set(token.expires_ms / 1000);
    }
    drop(conn);
    Ok(([(CONTENT_TYPE, TEXT)], gauges.render()?).into_response())
}
