//! `docs/server-metrics.md`, made of what the numbers say of themselves, so that it cannot go out of date.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use prometheus_client::encoding::prometheus_text;
use prometheus_client::registry::Registry;
use russet_protocol::health::CheckState;
use russet_protocol::outcome::Outcome;

use super::farm::Farm;
use super::of_server::{CertificateNumbers, OfServer};
use super::{PREFIX, write_text};
use crate::health::Part;
use crate::limits::Limits;
use crate::listen::Gate;
use crate::meters::{
    FailureReason, HttpMeters, ObjectMeters, Operation, Process, SignInMeters, StoreMeters, Tally,
};
use crate::store::loads::WaitingLine;
use crate::trace_events::SpanCounts;

/// The part that a person wrote ends here.
const MARK: &str = "## Every metric\n";

/// Writes numbers in which each label is there.
fn sample() -> (String, String) {
    let gate = Gate::new(Limits::default(), 65_536, Vec::new());
    let (store, objects, calls) =
        (StoreMeters::default(), ObjectMeters::default(), HttpMeters::default());
    let spans = SpanCounts::default();
    let mut tally = Tally::default();
    tally.claimed("acme/mini", Some(1500));
    tally.ended("acme/mini", Outcome::Success);
    tally.failed(FailureReason::Reported);
    store.count(&tally);
    objects.count(Operation::Read, Instant::now(), "ok");
    objects.count_read(1);
    calls.count("GET", Some("/api/v3/pipelines/{id}"), 200, Duration::from_millis(3));
    let server = OfServer {
        gate: &gate,
        store: &store,
        objects: &objects,
        calls: &calls,
        sign_ins: &SignInMeters::default(),
        spans: &spans,
        checks: [CheckState::Ok; Part::ALL.len()],
        waiting_claims: vec![("acme/mini".to_owned(), 2)],
        disk_free_bytes: Some(1),
        certificate: Some(CertificateNumbers {
            expires_s: 1,
            has_fault: false,
            renewals: 1,
            failures: 1,
        }),
        is_postgres: false,
        is_bucket: false,
        process: Process {
            cpu_seconds: Some(1.5),
            start_seconds: Some(1.5),
            resident_bytes: Some(1),
            open_files: Some(1),
            max_open_files: Some(1),
        },
    };
    let line = WaitingLine { class: "acme/mini".to_owned(), tasks: 3, oldest_ms: 1000 };
    let farm = Farm {
        now_ms: 61_000,
        machines: [(("acme/mini".to_owned(), "idle"), 2)].into(),
        lines: vec![line],
        alerts: [("machine_lost", 1)].into(),
        ..Farm::default()
    };
    let mut registry = Registry::with_prefix(PREFIX);
    farm.register(&mut registry);
    let mut of_farm = String::new();
    prometheus_text::encode(&mut of_farm, &registry).unwrap();
    (write_text(&server, &farm).unwrap(), of_farm)
}

#[derive(Default)]
struct Row {
    help: String,
    kind: String,
    labels: BTreeSet<String>,
}

/// The names of the labels of a sample, as `a{class="x",le="1"} 0`.
fn label_names(line: &str) -> Vec<String> {
    let Some((_, rest)) = line.split_once('{') else { return Vec::new() };
    let Some((inside, _)) = rest.rsplit_once('}') else { return Vec::new() };
    let names = inside.split("\",").filter_map(|pair| pair.split_once('=')).map(|(name, _)| name);
    names.filter(|name| *name != "le").map(str::to_owned).collect()
}

fn rows_of(text: &str) -> BTreeMap<String, Row> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            name.clone_into(&mut current);
            rows.entry(current.clone()).or_default().help = help.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (_, kind) = rest.split_once(' ').unwrap();
            rows.entry(current.clone()).or_default().kind = kind.to_owned();
        } else if !line.starts_with('#') {
            rows.entry(current.clone()).or_default().labels.extend(label_names(line));
        }
    }
    rows
}

fn metrics_table() -> String {
    let (all, of_farm) = sample();
    let of_farm = rows_of(&of_farm);
    let mut page =
        String::from("\n| metric | type | labels | of | meaning |\n|---|---|---|---|---|\n");
    for (name, row) in rows_of(&all) {
        let labels: Vec<String> = row.labels.iter().map(|name| format!("`{name}`")).collect();
        let of = if of_farm.contains_key(&name) { "farm" } else { "server" };
        page.push_str(&format!(
            "| `{name}` | {} | {} | {of} | {} |\n",
            row.kind,
            labels.join(", "),
            row.help
        ));
    }
    page
}

#[test]
fn the_reference_of_the_servers_metrics_is_what_they_say_of_themselves() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/server-metrics.md");
    let stored = std::fs::read_to_string(path).unwrap();
    let (introduction, _) = stored.split_once(MARK).unwrap();
    let text = format!("{introduction}{MARK}{}", metrics_table());
    if std::env::var_os("RUSSET_UPDATE_DOCS").is_some() {
        std::fs::write(path, &text).unwrap();
        return;
    }
    assert!(
        stored == text,
        "docs/server-metrics.md is out of date: RUSSET_UPDATE_DOCS=1 cargo test --workspace --lib servers_metrics"
    );
}

#[test]
fn each_metric_is_there_once_and_waits_are_seconds() {
    let (all, of_farm) = sample();
    let mut names: Vec<&str> =
        all.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert!(count > 30 && names.len() == count, "{names:?}");
    let oldest = "russet_server_queue_oldest_wait_seconds{class=\"acme/mini\"} 60";
    assert!(of_farm.lines().any(|line| line == oldest), "{of_farm}");
    let bucket = "russet_server_queue_wait_seconds_bucket{class=\"acme/mini\",le=\"5\"} 1";
    assert!(all.lines().any(|line| line == bucket), "{all}");
}
