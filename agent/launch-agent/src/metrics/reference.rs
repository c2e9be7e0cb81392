//! `docs/metrics.md`, made of what the registry says of itself, so that it cannot go out of date.

use std::collections::{BTreeMap, BTreeSet};

use super::{MetricSources, Metrics};

/// The part that a person wrote ends here.
const MARK: &str = "## Every metric\n";

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
    let names = inside.split(',').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name);
    names.filter(|name| *name != "le").map(str::to_owned).collect()
}

fn metrics_table() -> String {
    let text = Metrics::new(MetricSources::for_tests(&["acme/mini"])).text(true);
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
    let mut page = String::from("\n| metric | type | labels | meaning |\n|---|---|---|---|\n");
    for (name, row) in rows {
        let suffix = match row.kind.as_str() {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        let labels: Vec<String> = row.labels.iter().map(|name| format!("`{name}`")).collect();
        page.push_str(&format!(
            "| `{name}{suffix}` | {} | {} | {} |\n",
            row.kind,
            labels.join(", "),
            row.help
        ));
    }
    page
}

#[test]
fn the_reference_of_the_metrics_is_what_the_registry_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let stored = std::fs::read_to_string(path).unwrap();
    let (introduction, _) = stored.split_once(MARK).unwrap();
    let text = format!("{introduction}{MARK}{}", metrics_table());
    if std::env::var_os("RUSSET_UPDATE_DOCS").is_some() {
        std::fs::write(path, &text).unwrap();
        return;
    }
    assert!(
        stored == text,
        "docs/metrics.md is out of date: RUSSET_UPDATE_DOCS=1 cargo test -p russet-launch-agent --lib reference"
    );
}
