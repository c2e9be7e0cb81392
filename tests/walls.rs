//! The walls of the house: which crate sees which, and that no folder's imports lead back to it.
//!
//! Cargo keeps crates apart, but only as long as nobody adds the dependency back; within a crate
//! nothing keeps modules apart but this.

mod imports;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use self::imports::{CrateImports, reachable};
use crate::support::checkout;

/// Crates that the launch agent, which is root, must not depend on: parsers of what a project
/// supplies, and the crate that uses them. A flaw in one of them is a flaw of a process without
/// rights, which the slot's user confines.
const NOT_IN_LAUNCH_AGENT: [&str; 8] = [
    "quick-xml",
    "zip",
    "zstd",
    "globset",
    "aho-corasick",
    "xattr",
    "russet-pipeline",
    "russet-task-agent",
];

/// Crates that only some folders of the launch agent may name: they parse what our own key signed,
/// or what root wrote.
const CONFINED: [(&str, &[&str]); 3] = [
    ("tar", &["update"]),
    ("plist", &["update", "install"]),
    ("self_update", &["update", "install"]),
];

/// Crates of the workspace, by name, as Cargo reads them.
fn packages() -> BTreeMap<String, Value> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(checkout())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| (package["name"].as_str().unwrap().to_owned(), package.clone()))
        .collect()
}

/// Direct dependencies of a crate, for every target, without those of its tests.
fn dependencies(package: &Value) -> BTreeSet<&str> {
    let all = package["dependencies"].as_array().unwrap().iter();
    all.filter(|dependency| dependency["kind"] != "dev")
        .map(|dependency| dependency["name"].as_str().unwrap())
        .collect()
}

/// Source of a crate without its tests: path below `src` and text without comments.
fn sources(package: &Value) -> Vec<(PathBuf, String)> {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    let src = manifest.parent().unwrap().join("src");
    let (mut found, mut folders) = (Vec::new(), vec![src.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let is_test = path.file_stem().is_some_and(|stem| stem == "tests" || stem == "testing");
            if path.is_dir() && !is_test {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
                let text = without_tests_and_comments(&std::fs::read_to_string(&path).unwrap());
                found.push((path.strip_prefix(&src).unwrap().to_owned(), text));
            }
        }
    }
    found
}

fn without_tests_and_comments(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
    let text = text.split("\nmod tests {").next().unwrap();
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
    lines.map(|line| format!("{line}\n")).collect()
}

/// First component below `src`: the folder, or the file without its extension.
fn module(path: &Path) -> String {
    let first = Path::new(path.components().next().unwrap().as_os_str());
    first.file_stem().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn the_launch_agent_depends_on_no_parser_of_what_a_project_supplies() {
    let packages = packages();
    let has = dependencies(&packages["russet-launch-agent"]);
    for forbidden in NOT_IN_LAUNCH_AGENT {
        assert!(!has.contains(forbidden), "russet-launch-agent depends on {forbidden} again");
    }
}

#[test]
fn the_launch_agent_names_parsers_of_signed_files_only_where_it_updates_and_installs() {
    let packages = packages();
    for (path, text) in sources(&packages["russet-launch-agent"]) {
        for (name, folders) in CONFINED {
            let path_of_name = format!("{name}::");
            let named = text.match_indices(&path_of_name).any(|(at, _)| {
                !text[..at].ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c))
            });
            let place = path.display();
            assert!(!named || folders.contains(&&*module(&path)), "{place} uses {name}");
        }
    }
}

#[test]
fn only_the_command_line_sees_both_agents() {
    for (name, package) in packages() {
        let has = dependencies(&package);
        let sees_both = has.contains("russet-launch-agent") && has.contains("russet-task-agent");
        assert!(!sees_both || name == "russet", "{name} depends on both agents");
    }
}

#[test]
fn the_platform_sees_neither_agent_and_neither_agent_sees_the_other() {
    let packages = packages();
    for (below, above) in [
        ("russet-platform", "russet-launch-agent"),
        ("russet-platform", "russet-task-agent"),
        ("russet-task-agent", "russet-launch-agent"),
        ("russet-launch-agent", "russet-task-agent"),
        ("russet-launch-agent", "russet-control-plane"),
        ("russet-task-agent", "russet-control-plane"),
    ] {
        assert!(!dependencies(&packages[below]).contains(above), "{below} depends on {above}");
    }
}

#[test]
fn no_modules_import_each_other_in_a_circle_at_any_level() {
    let mut circles = Vec::new();
    for (name, package) in packages() {
        let found = CrateImports::of_sources(&sources(&package)).by_folder;
        for (folder, imports) in &found {
            let edges =
                imports.iter().flat_map(|(from, direct)| direct.iter().map(move |to| (from, to)));
            for (from, to) in
                edges.filter(|(from, to)| reachable(imports, to).contains(from.as_str()))
            {
                circles.push(format!(
                    "{name}: in src/{folder}, {from} imports {to}, which leads back"
                ));
            }
        }
    }
    assert!(circles.is_empty(), "modules import each other in a circle:\n{}", circles.join("\n"));
}

#[test]
fn the_modules_of_a_task_and_of_its_launch_name_nothing_of_the_folder_above() {
    let packages = packages();
    for (name, folder) in [("russet-task-agent", "task"), ("russet-launch-agent", "launch")] {
        let found = CrateImports::of_sources(&sources(&packages[name]));
        let upwards = found.upwards.get(folder);
        assert_eq!(upwards, None, "{name}: these name an item of src/{folder}/mod.rs");
    }
}
