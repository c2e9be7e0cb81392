//! `GET /metrics`: numbers of this server and of its farm, for Prometheus, with the permission `read`.
//!
//! Everything is looked at when somebody asks: three statements for the machines, one each for queues
//! and alerts, however large the farm is. Machines are in the states that lists and pages show.

use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use prometheus_client::encoding::{EncodeLabelSet, prometheus_text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use russet_protocol::people::Permission;

use super::error::ApiError;
use super::routes::Routes;
use crate::lacks::Lack;
use crate::runner_items::list_runners;
use crate::state::App;
use crate::store::{StoreError, alerts, loads, statement_count};

/// Beginning of all names.
const PREFIX: &str = "russet_server";

/// Type of the answer: the text format of Prometheus
/// (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The route.
pub(super) fn routes() -> Routes {
    Routes::new().get("/metrics", Permission::Read, write_metrics)
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByLimit {
    limit: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByState {
    class: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByClass {
    class: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: &'static str,
}

async fn write_metrics(State(app): State<App>) -> Result<impl IntoResponse, ApiError> {
    let mut registry = Registry::with_prefix(PREFIX);
    add_server(&mut registry, &app);
    add_farm(&mut registry, &app).await?;
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry).map_err(ApiError::internal)?;
    Ok(([(CONTENT_TYPE, TEXT)], text))
}

fn add_gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
    registry.register(name, help, gauge);
}

fn add_counter(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let counter = Counter::<u64>::default();
    counter.inc_by(value);
    registry.register(name, help, counter);
}

/// Adds what this server has and does.
fn add_server(registry: &mut Registry, app: &App) {
    let gate = &app.gate;
    let put_off = Family::<ByLimit, Counter>::default();
    for lack in Lack::ALL {
        put_off.get_or_create(&ByLimit { limit: lack.as_str() }).inc_by(gate.lacks.count(lack));
    }
    let help = "Calls that were put off with 429, 503 or 507, by what there was too little of";
    registry.register("put_off", help, put_off);
    let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    add_gauge(registry, "connections", "Connections that are open", number(gate.connections()));
    let help = "Connections that may be open";
    add_gauge(registry, "connections_limit", help, number(gate.limits.connections));
    let help = "Files and connections that the process may have open";
    add_gauge(registry, "open_files_limit", help, gate.open_files);
    let help = "Looks of claims at the queue of their class";
    add_counter(registry, "queue_looks", help, gate.looks.load(Ordering::Relaxed));
    let help = "Transactions that were begun to write to the database";
    add_counter(registry, "write_transactions", help, app.store.begun_transactions());
    let help = "Statements that were made to the database";
    add_counter(registry, "statements", help, statement_count());
    if let Some(free) = app.space.free_bytes() {
        let gauge = Gauge::<i64>::default();
        gauge.set(i64::try_from(free).unwrap_or(i64::MAX));
        let help = "Free space on the disk of the data directory";
        registry.register_with_unit("disk_free", help, Unit::Bytes, gauge);
    }
}

/// Adds the farm, as any server of the database sees it.
async fn add_farm(registry: &mut Registry, app: &App) -> Result<(), StoreError> {
    let mut conn = app.store.read().await?;
    let machines = Family::<ByState, Gauge>::default();
    for item in list_runners(app, &mut conn).await? {
        let class = item.resource_class.to_string();
        machines.get_or_create(&ByState { class, state: item.state.as_str() }).inc();
    }
    registry.register("machines", "Machines, by resource class and state", machines);
    let queued = Family::<ByClass, Gauge>::default();
    for line in loads::waiting_lines(&mut conn).await? {
        let tasks = i64::try_from(line.tasks).unwrap_or(i64::MAX);
        queued.get_or_create(&ByClass { class: line.class }).set(tasks);
    }
    registry.register("tasks_queued", "Tasks that wait for a machine, by resource class", queued);
    let open = Family::<ByKind, Gauge>::default();
    for (kind, _) in alerts::open_keys(&mut conn).await? {
        open.get_or_create(&ByKind { kind: kind.as_str() }).inc();
    }
    registry.register("alerts_open", "Alerts that are open, by kind", open);
    Ok(())
}
