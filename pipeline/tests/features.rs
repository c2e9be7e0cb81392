//! Features of CircleCI's configuration, each as a small configuration in `features/`, and what
//! becomes of it. `docs/config-coverage.md` is made here.

#![expect(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use russet_pipeline::{Diagnostic, Options, compile};

const BEGIN: &str = "<!-- features: made from the code -->\n";
const END: &str = "<!-- end of the features -->\n";

/// Groups of features by the first part of a file's name, in the order of the page.
const GROUPS: [(&str, &str); 7] = [
    ("executors", "Where jobs run"),
    ("jobs", "Jobs"),
    ("steps", "Steps"),
    ("workflows", "Workflows"),
    ("language", "Writing much with little"),
    ("orbs", "Orbs"),
    ("setup", "Dynamic configuration"),
];

/// The configurations, in the order of their names.
fn features() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/features");
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// The messages, each once.
fn messages(diagnostics: &[Diagnostic]) -> String {
    let mut messages: Vec<&str> = diagnostics.iter().map(|one| &*one.message).collect();
    messages.sort_unstable();
    messages.dedup();
    messages.join("; ").replace('|', "\\|")
}

/// The row of a feature.
fn row(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let title = text.lines().next().unwrap().strip_prefix("# ").unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let options = Options {
        file: name.to_owned(),
        branch: Some("main".to_owned()),
        // As it would run, not only as it is checked.
        check: false,
        ..Options::default()
    };
    let (verdict, why) = match compile(&text, &options) {
        Ok(compiled) if compiled.warnings.is_empty() => ("runs", String::new()),
        Ok(compiled) => ("runs", format!("warning: {}", messages(&compiled.warnings))),
        Err(errors) => ("refused", messages(&errors.0)),
    };
    format!("| [{title}](../pipeline/tests/features/{name}) | {verdict} | {why} |")
}

#[test]
fn the_page_of_features_is_what_the_compiler_says() {
    let mut rows: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for path in features() {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let group = stem.split('-').next().unwrap();
        let (group, _) = GROUPS.iter().find(|(known, _)| *known == group).expect(stem);
        rows.entry(group).or_default().push(row(&path));
    }
    let mut made = String::new();
    for (group, title) in GROUPS {
        let table = rows.get(group).expect(group).join("\n");
        writeln!(made, "\n## {title}\n\n| feature | | message |\n|---|---|---|\n{table}").unwrap();
    }
    made.push('\n');
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/config-coverage.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the start of the features");
    let (written, after) = rest.split_once(END).expect("the end of the features");
    if std::env::var_os("RUSSET_UPDATE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{made}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(
        written, made,
        "run `RUSSET_UPDATE_DOCS=1 cargo test -p russet-pipeline --test features`"
    );
}
