//! A second processor of configurations, written from CircleCI's manual alone, and kept apart from
//! the compiler's code: it has to say the same as the compiler does, for configurations of our own
//! and for those that lie beside the repository, with every parameter of the pipeline varied.
//!
//! It takes what is right for granted: what is wrong, and what orbs of a registry are needed for,
//! is refused by the compiler and not looked at here.

#![expect(clippy::panic, reason = "a test says what it did not expect")]

mod expression;
mod process;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use russet_pipeline::{Options, Pipeline, Value};

use process::{Job, variables};
use tree::Tree;

/// The jobs of what the compiler writes out, by workflow.
fn compiled(written: &str) -> Vec<(String, Vec<Job>)> {
    let root = tree::load(written).unwrap_or_else(|error| panic!("{error}\n{written}"));
    let jobs = |workflow: &Tree| -> Vec<Job> {
        let items = workflow.get("jobs").map(Tree::items).unwrap_or_default();
        items.iter().map(|item| written_job(&root, item)).collect()
    };
    let workflows = root.get("workflows").map(Tree::entries).unwrap_or_default();
    let workflows = workflows.iter().filter(|(name, _)| name != "version");
    workflows.map(|(name, workflow)| (name.clone(), jobs(workflow))).collect()
}

fn written_job(root: &Tree, item: &Tree) -> Job {
    let key = item.as_str().or_else(|| item.entries().first().map(|(key, _)| key.as_str()));
    let key = key.unwrap_or_default();
    let keys = item.get(key);
    let mut requires: Vec<String> = Vec::new();
    for item in keys.and_then(|keys| keys.get("requires")).map(Tree::items).unwrap_or_default() {
        requires.extend(item.as_str().map(str::to_owned));
        requires.extend(item.entries().iter().map(|(name, _)| name.clone()));
    }
    requires.sort();
    requires.dedup();
    let name = keys.and_then(|keys| keys.get("name")).and_then(Tree::as_str).unwrap_or(key);
    let rest = keys.map(Tree::entries).unwrap_or_default().iter();
    let rest = rest.filter(|(key, _)| key != "name" && key != "requires").cloned().collect();
    let body = root.get("jobs").and_then(|jobs| jobs.get(key)).cloned();
    Job { name: name.to_owned(), requires, keys: rest, body }
}

/// A tree in a form in which those that mean the same are equal.
fn normal(tree: &Tree, key: &str) -> Tree {
    match tree {
        _ if key == "environment" => {
            let entries = variables(tree).into_iter().map(|(name, value)| {
                let value = if value.is_null() { Tree::text("") } else { normal(&value, "") };
                (name, value)
            });
            let all: BTreeMap<String, Tree> = entries.collect();
            Tree::Map(all.into_iter().collect())
        }
        Tree::Scalar(..) if tree.is_null() => Tree::plain(""),
        Tree::Scalar(text, _) => Tree::text(text.clone()),
        Tree::List(items) => Tree::List(items.iter().map(|item| normal(item, "")).collect()),
        Tree::Map(entries) => {
            let all: BTreeMap<String, Tree> =
                entries.iter().map(|(key, value)| (key.clone(), normal(value, key))).collect();
            Tree::Map(all.into_iter().collect())
        }
    }
}

fn normal_job(job: Job) -> Job {
    let keys: BTreeMap<String, Tree> =
        job.keys.iter().map(|(key, value)| (key.clone(), normal(value, key))).collect();
    let body = job.body.map(|body| normal(&body, ""));
    Job { keys: keys.into_iter().collect(), body, ..job }
}

/// Values to try for a parameter of the pipeline, besides its default.
fn values(declared: &Tree) -> Vec<Value> {
    let text = |text: &str| Value::Text(text.to_owned());
    match declared.get("type").and_then(Tree::as_str) {
        Some("boolean") => vec![Value::Boolean(true), Value::Boolean(false)],
        Some("integer") => vec![Value::Integer(0), Value::Integer(7)],
        Some("enum") => {
            let all = declared.get("enum").map(Tree::items).unwrap_or_default();
            all.iter().filter_map(Tree::as_str).map(text).collect()
        }
        _ => vec![text(""), text("main"), text("true")],
    }
}

fn tree_of(value: &Value) -> Tree {
    match value {
        Value::Text(text) => Tree::text(text.clone()),
        Value::Boolean(value) => Tree::plain(value.to_string()),
        Value::Integer(value) => Tree::plain(value.to_string()),
    }
}

/// Compares both for a configuration, once for each value of each parameter. Returns how many jobs
/// were equal.
fn compare(file: &str, text: &str) -> usize {
    let Ok(root) = tree::load(text) else { return 0 };
    let mut pipelines: Vec<BTreeMap<String, Value>> = vec![BTreeMap::new()];
    for (name, declared) in root.get("parameters").map(Tree::entries).unwrap_or_default() {
        pipelines.extend(
            values(declared).into_iter().map(|value| BTreeMap::from([(name.clone(), value)])),
        );
    }
    let mut equal = 0;
    for parameters in pipelines {
        for branch in [None, Some("main"), Some("release-1")] {
            let options = Options {
                file: file.to_owned(),
                branch: branch.map(str::to_owned),
                parameters: parameters.clone(),
                pipeline: Pipeline { number: Some(1), ..Pipeline::default() },
                ..Options::default()
            };
            let Ok(written) = russet_pipeline::process(text, &options) else { continue };
            let given = parameters.iter().map(|(name, value)| (name.clone(), tree_of(value)));
            let expected = process::process(&root, &given.collect(), branch)
                .unwrap_or_else(|error| panic!("{file} with {parameters:?}: {error}"));
            let found = compiled(&written);
            let names = |all: &[(String, Vec<Job>)]| -> BTreeSet<String> {
                all.iter().map(|(name, _)| name.clone()).collect()
            };
            assert_eq!(names(&found), names(&expected), "{file} with {parameters:?}, {branch:?}");
            for ((workflow, found), (_, expected)) in found.into_iter().zip(expected) {
                let at = format!("{file}, {workflow} with {parameters:?} on {branch:?}");
                assert_eq!(found.len(), expected.len(), "{at}: {found:#?}\n{expected:#?}");
                for (found, expected) in found.into_iter().zip(expected) {
                    let (found, expected) = (normal_job(found), normal_job(expected));
                    assert_eq!(found, expected, "{at}");
                    equal += 1;
                }
            }
        }
    }
    equal
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "yml"));
    paths.sort();
    paths
}

fn compare_all(folder: &Path) -> usize {
    let compare = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        compare(&path.display().to_string(), &text)
    };
    files(folder).iter().map(compare).sum()
}

#[test]
fn both_processors_agree_on_configurations_of_our_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let jobs = compare_all(&root.join("tests/oracle/configs"));
    assert!(jobs >= 20, "{jobs} jobs were compared");
}

#[test]
fn both_processors_agree_on_configurations_beside_the_repository() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    for folder in ["configs", "cases/config"] {
        let folder = shared.join(folder);
        let jobs = compare_all(&folder);
        assert!(jobs > 0 || files(&folder).is_empty(), "none of {} compiled", folder.display());
    }
}
