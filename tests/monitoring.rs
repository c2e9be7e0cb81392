//! The dashboard and the alert rules of `monitoring/`, against what a running server and a running agent
//! tell, and against Prometheus' own tool.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::UnixStream;
use std::process::Command;

use reqwest::Method;

use crate::support::{
    Agent, CLASS, Server, checkout, config, has_tool, http_get, run, test_dir, wait_for,
};

/// Prometheus' tool for rules.
const PROMTOOL: &str = "promtool";

/// Labels that Prometheus adds, and that of buckets.
const OTHERS_LABELS: [&str; 3] = ["instance", "job", "le"];

fn read(name: &str) -> String {
    std::fs::read_to_string(checkout().join("monitoring").join(name)).unwrap()
}

/// The expressions of the dashboard's panels.
fn dashboard_expressions() -> Vec<String> {
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("grafana-dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut found = Vec::new();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().unwrap();
        assert!(
            !targets.is_empty() && !panel["description"].as_str().unwrap().is_empty(),
            "{title}"
        );
        found.extend(targets.iter().map(|target| target["expr"].as_str().unwrap().to_owned()));
    }
    found
}

/// Words of a text with what stands behind each.
fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(is_part)?;
        let word = &rest[start..];
        let end = word.find(|c| !is_part(c)).unwrap_or(word.len());
        rest = &word[end..];
        Some((&word[..end], rest))
    })
}

/// Names that a matcher of labels begins with: `{a="x", b=~"y"}`.
fn matched_labels(behind: &str) -> Vec<&str> {
    let Some(inside) = behind.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
        return Vec::new();
    };
    let pairs = inside.0.split(',').filter_map(|pair| pair.split_once(['=', '!']));
    pairs.map(|(name, _)| name.trim()).collect()
}

/// Labels that are grouped by or joined on.
fn grouped_labels(text: &str) -> BTreeSet<&str> {
    let groups = words(text).filter(|(word, _)| ["by", "on", "without", "ignoring"].contains(word));
    let inside = groups.filter_map(|(_, behind)| behind.trim_start().strip_prefix('('));
    let lists = inside.filter_map(|rest| rest.split_once(')')).map(|(list, _)| list);
    lists.flat_map(|list| list.split(',').map(str::trim)).collect()
}

/// Names of metrics in a text, with the labels that each is asked for.
fn used_metrics(text: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut used: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let is_ours = |word: &str| {
        ["russet_server_", "russet_agent_", "process_"].iter().any(|start| word.starts_with(start))
    };
    for (word, behind) in words(text).filter(|(word, _)| is_ours(word)) {
        used.entry(word).or_default().extend(matched_labels(behind));
    }
    used
}

/// Labels of each metric that is told, by the name of the metric.
fn told_metrics(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            told.entry(rest.split(' ').next().unwrap().to_owned()).or_default();
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let labels = matched_labels(&line[name.len()..]).into_iter().map(str::to_owned);
            told.entry(name.to_owned()).or_default().extend(labels);
        }
    }
    told
}

/// Labels of each metric in the references, which are made of the code. What has not been counted yet is
/// not told by a running program.
fn described_metrics() -> BTreeMap<String, BTreeSet<String>> {
    let pages = ["server-metrics.md", "metrics.md"].map(|page| checkout().join("docs").join(page));
    let texts = pages.map(|page| std::fs::read_to_string(page).unwrap());
    let rows = texts.iter().flat_map(|text| text.lines()).filter_map(|line| {
        let mut cells = line.strip_prefix("| `russet_")?.split(" | ");
        let name = cells.next()?.trim_end_matches('`');
        let labels = words(cells.nth(1)?).map(|(label, _)| label.to_owned()).collect();
        Some((format!("russet_{name}"), labels))
    });
    rows.collect()
}

/// Metrics of a server and an agent that have had a task, and have one that waits.
fn tell_all() -> BTreeMap<String, BTreeSet<String>> {
    let server = Server::start_alone("it reads the numbers of one server", &[]);
    let agent = Agent::start(&server);
    server.admin.run(&config(&[&run("echo hello")]));
    let waits = config(&[&run("true")]).replace(CLASS, "acme/nobody");
    let class = serde_json::json!({"resource_class": "acme/nobody", "description": ""});
    let (status, _) =
        server.admin.send(Method::POST, "/api/v3/runner/resource", Some(class)).unwrap();
    assert_eq!(status, 201);
    server.admin.submit(&waits);
    let (status, text) = server.admin.send(Method::GET, "/metrics", None).unwrap();
    assert_eq!(status, 200);
    let mut text = String::from_utf8(text).unwrap();
    let socket = agent.state().join("agent.sock");
    let of_agent = wait_for("the numbers of the agent", || {
        Some(http_get(UnixStream::connect(&socket).ok()?, "/v1/metrics"))
    });
    let (_, body) = of_agent.split_once("\r\n\r\n").unwrap();
    text.push_str(body);
    told_metrics(&text)
}

#[test]
fn rules_and_dashboard_use_metrics_and_labels_that_are_told() {
    let mut told = tell_all();
    assert!(told.keys().filter(|name| name.starts_with("russet_server_")).count() > 20, "{told:?}");
    for (name, labels) in described_metrics() {
        let known = told.entry(name).or_default();
        if known.is_empty() {
            known.extend(labels);
        }
    }
    let labels: BTreeSet<&str> = told.values().flatten().map(String::as_str).collect();
    let is_known = |label: &str| labels.contains(label) || OTHERS_LABELS.contains(&label);
    let mut texts = dashboard_expressions();
    assert!(texts.len() > 30, "{}", texts.len());
    let rules = read("alerts.yml");
    let lines = rules.lines().filter(|line| !line.trim_start().starts_with('#'));
    texts.push(lines.collect::<Vec<_>>().join("\n"));
    for text in &texts {
        for (name, asked) in used_metrics(text) {
            let parts = ["_bucket", "_sum", "_count"];
            let whole = parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name);
            let found = told.get(name).or_else(|| told.get(whole));
            let found = found.unwrap_or_else(|| panic!("`{name}` is not told, but used in {text}"));
            for label in asked.into_iter().filter(|label| !OTHERS_LABELS.contains(label)) {
                assert!(found.contains(label), "`{name}` has no label `{label}`, used in {text}");
            }
        }
        for label in grouped_labels(text) {
            assert!(is_known(label), "no metric has a label `{label}`, used in {text}");
        }
    }
    for (_, behind) in words(&rules).filter(|(word, _)| *word == "labels") {
        let label = behind.strip_prefix('.').and_then(|rest| words(rest).next());
        assert!(label.is_none_or(|(label, _)| is_known(label)), "{label:?}");
    }
}

#[test]
fn prometheus_takes_the_rules_their_examples_come_true_and_the_panels_parse() {
    if !has_tool(PROMTOOL) {
        return;
    }
    let check = |arguments: &[&str], dir: &std::path::Path| {
        let output = Command::new(PROMTOOL).args(arguments).current_dir(dir).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
    };
    let monitoring = checkout().join("monitoring");
    check(&["check", "rules", "alerts.yml"], &monitoring);
    check(&["test", "rules", "alerts.test.yml"], &monitoring);
    // As rules, which take any expression; Grafana fills its variable in.
    let rules = dashboard_expressions().into_iter().enumerate().map(|(number, expression)| {
        let expression = expression.replace("$__rate_interval", "5m");
        serde_json::json!({"record": format!("panel:{number}"), "expr": expression})
    });
    let file =
        serde_json::json!({"groups": [{"name": "panels", "rules": rules.collect::<Vec<_>>()}]});
    let dir = test_dir();
    std::fs::write(dir.path().join("panels.yml"), file.to_string()).unwrap();
    check(&["check", "rules", "panels.yml"], dir.path());
}
