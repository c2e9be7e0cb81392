//! Result bundles of xcodebuild.
//!
//! A bundle is a directory in a format of Apple's own. Xcode 16 and later have a tool that says
//! what is in it: `xcrun xcresulttool get test-results tests --path BUNDLE` prints JSON, whose
//! schema
//! `xcrun xcresulttool help get test-results tests` documents.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use russet_protocol::runner::{TestOutcome, TestResult};
use serde::Deserialize;

use super::attempts::{self, MAX_MESSAGE_BYTES, cut};
use super::{Read, bytes, seconds};
use crate::task::directories::JobDirs;
use crate::task::environment::StepVariables;
use crate::task::reaper::Reaper;
use russet_platform::clock::Clock;

/// Time that the tool may take. Bundles with many attachments are gigabytes, and it reads an index.
const TOOL_TIMEOUT: Duration = Duration::from_secs(300);

/// Nodes within nodes: plan, bundle, suite, case, device, repetition, message.
const MAX_DEPTH: usize = 32;

/// Decides by its name whether a directory is a bundle.
pub(super) fn is_bundle(path: &Path) -> bool {
    path.extension().is_some_and(|name| name.eq_ignore_ascii_case("xcresult"))
}

/// Reason why a bundle was not read.
#[derive(Debug, thiserror::Error)]
enum XcresultError {
    #[error("a result bundle of Xcode is read with `xcrun`, which is not on this machine's PATH")]
    NoProgram,
    #[error("could not start `xcrun xcresulttool`: {0}")]
    Run(io::Error),
    #[error("`xcrun xcresulttool` took more than {} s", TOOL_TIMEOUT.as_secs())]
    Timeout,
    #[error(
        "`xcrun xcresulttool get test-results tests` failed: {0}\n  hint: it takes Xcode 16 or later"
    )]
    Failed(String),
}

/// Runs the system's tool that reads bundles.
#[derive(Debug)]
pub(crate) struct XcresultTool {
    pub(crate) reaper: Reaper,
    pub(crate) clock: Clock,
    pub(crate) dirs: Arc<JobDirs>,
    pub(crate) variables: Arc<StepVariables>,
}

impl XcresultTool {
    /// Reads a bundle.
    pub(super) async fn read_bundle(&self, bundle: &Path) -> Read {
        match self.print_bundle(bundle).await {
            Ok(json) => parse(&json),
            Err(error) => (Vec::new(), Some(error.to_string())),
        }
    }

    /// Returns what the tool prints of a bundle.
    async fn print_bundle(&self, bundle: &Path) -> Result<Vec<u8>, XcresultError> {
        let file = |name: &str| self.dirs.slot.tmp.join(name);
        let (out, err) = (file(".xcresult.json"), file(".xcresult.err"));
        let variables = self.variables.of_next_step();
        let path = variables.get("PATH").map_or("", String::as_str);
        let program = find_program("xcrun", path).ok_or(XcresultError::NoProgram)?;
        let mut command = Command::new(program);
        command
            .args(["xcresulttool", "get", "test-results", "tests", "--compact", "--path"])
            .arg(bundle)
            .env_clear()
            .envs(variables)
            .current_dir(&self.dirs.work)
            .stdin(Stdio::null())
            .stdout(File::create(&out).map_err(XcresultError::Run)?)
            .stderr(File::create(&err).map_err(XcresultError::Run)?);
        let mut child = self.reaper.spawn(&mut command).map_err(XcresultError::Run)?;
        let status = tokio::select! {
            status = child.exited() => status.map_err(XcresultError::Run)?,
            () = self.clock.sleep(TOOL_TIMEOUT) => {
                // SAFETY: Takes numbers only; the id is the child's until it has been waited for.
                unsafe { libc::kill(child.pid, libc::SIGKILL) };
                return Err(XcresultError::Timeout);
            }
        };
        let said = bytes(&err).unwrap_or_default();
        let json = bytes(&out).map_err(XcresultError::Run);
        std::fs::remove_file(&out).and(std::fs::remove_file(&err)).ok();
        if !status.success() {
            let said = String::from_utf8_lossy(&said);
            let line =
                said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
            let line = cut(line.trim().to_owned(), 500);
            return Err(XcresultError::Failed(line));
        }
        json
    }
}

fn find_program(name: &str, path: &str) -> Option<std::path::PathBuf> {
    path.split(':').map(|directory| Path::new(directory).join(name)).find(|file| file.is_file())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Tests {
    #[serde(default)]
    test_nodes: Vec<Node>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    node_type: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    result: Option<String>,
    /// As people read it: `0.012s`.
    #[serde(default)]
    duration: Option<String>,
    #[serde(default)]
    duration_in_seconds: Option<f64>,
    #[serde(default)]
    children: Vec<Node>,
}

/// Reads what the tool prints.
pub(super) fn parse(json: &[u8]) -> Read {
    let tests: Tests = match serde_json::from_slice(json) {
        Ok(tests) => tests,
        Err(error) => {
            return (
                Vec::new(),
                Some(format!("what `xcresulttool` prints is another JSON: {error}")),
            );
        }
    };
    let mut results = Vec::new();
    tests.test_nodes.iter().for_each(|node| collect(node, &[], 0, &mut results));
    let nothing = results.is_empty().then(|| "it has no test case".to_owned());
    (results, nothing)
}

/// Adds the cases at and below `node`; `suites` are those that it is in.
fn collect(node: &Node, suites: &[&str], depth: usize, results: &mut Vec<TestResult>) {
    if depth > MAX_DEPTH {
        return;
    }
    match node.node_type.as_str() {
        "Test Case" => results.push(result_of_case(node, suites)),
        "Unit test bundle" | "UI test bundle" | "Test Suite" => {
            let suites: Vec<&str> = suites.iter().copied().chain([node.name.as_str()]).collect();
            node.children.iter().for_each(|child| collect(child, &suites, depth + 1, results));
        }
        _ => node.children.iter().for_each(|child| collect(child, suites, depth + 1, results)),
    }
}

fn result_of_case(case: &Node, suites: &[&str]) -> TestResult {
    let mut variants = Vec::new();
    collect_variants(case, None, 0, &mut variants);
    let attempts = variants.iter().map(|variant| variant.runs.len()).max().unwrap_or_default();
    let mut message = String::new();
    for variant in &variants {
        describe_runs(variant, &mut message);
    }
    if variants.is_empty() {
        add_messages(case, 0, &mut message);
    }
    TestResult {
        name: case.name.clone(),
        classname: suites.join("."),
        result: outcome(case),
        run_time_s: time(case),
        message: Some(cut(message, MAX_MESSAGE_BYTES)).filter(|text| !text.is_empty()),
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX).max(1),
        ..TestResult::default()
    }
}

/// The runs of a case with one set of arguments, or on one device.
struct Variant<'a> {
    /// Arguments or device; `None` where there is only one.
    name: Option<&'a str>,
    /// Runs, in their order.
    runs: Vec<&'a Node>,
}

/// Adds what ran more than once: a case has its runs as children, one with several sets of arguments
/// has them below each of these.
fn collect_variants<'a>(
    node: &'a Node,
    name: Option<&'a str>,
    depth: usize,
    found: &mut Vec<Variant<'a>>,
) {
    let (runs, others): (Vec<_>, Vec<_>) =
        node.children.iter().partition(|child| child.node_type == "Repetition");
    if !runs.is_empty() {
        found.push(Variant { name, runs });
    }
    for child in others.into_iter().filter(|_| depth < MAX_DEPTH) {
        collect_variants(child, Some(&child.name), depth + 1, found);
    }
}

/// Adds the messages of the last run, and then how the earlier ones ended, each in a paragraph.
fn describe_runs(variant: &Variant<'_>, text: &mut String) {
    let mut add = |paragraph: &str| {
        if !paragraph.is_empty() && text.len() < MAX_MESSAGE_BYTES {
            let gap = if text.is_empty() { "" } else { "\n\n" };
            let name = variant.name.map(|name| format!("{name}: ")).unwrap_or_default();
            text.push_str(&format!("{gap}{name}{paragraph}"));
        }
    };
    let messages_of = |run: &Node| {
        let mut messages = String::new();
        add_messages(run, 0, &mut messages);
        messages
    };
    let Some((last, before)) = variant.runs.split_last() else { return };
    add(&messages_of(last));
    for (number, run) in (1..).zip(before) {
        if attempts::is_failed(outcome(run)) {
            add(&attempts::describe(number, Some(&messages_of(run))));
        } else if outcome(run) == TestOutcome::Success {
            add(&format!("attempt {number} passed"));
        }
    }
}

/// Adds the messages of a run, each in lines of its own.
fn add_messages(node: &Node, depth: usize, text: &mut String) {
    if node.node_type == "Failure Message" && text.len() < MAX_MESSAGE_BYTES {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&node.name);
    }
    let children = node.children.iter().filter(|_| depth < MAX_DEPTH);
    let children = children.filter(|it| it.node_type != "Repetition");
    children.for_each(|it| add_messages(it, depth + 1, text));
}

fn outcome(node: &Node) -> TestOutcome {
    match node.result.as_deref() {
        Some("Passed" | "Expected Failure") => TestOutcome::Success,
        Some("Skipped") => TestOutcome::Skipped,
        Some("Failed") => TestOutcome::Failure,
        // `unknown`, as of a case whose process crashed.
        _ => TestOutcome::Error,
    }
}

/// The case's own time; of one that ran more than once, some versions tell only that of each run.
fn time(node: &Node) -> f64 {
    match (node.duration_in_seconds, &node.duration) {
        (Some(seconds), _) if seconds.is_finite() => seconds.max(0.0),
        (_, Some(written)) => seconds::parse(written),
        _ => node.children.iter().map(time).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use russet_protocol::runner::TestOutcome;

    /// The nodes and fields of what Xcode 16 and Xcode 26 print, as recordings that others have
    /// published show them (fastlane's `trainer/spec/fixtures/Xcode26-Mixed-XCTest-SwiftTesting.json`):
    /// durations are in the language of the machine, and cases with arguments have them as nodes.
    const RECORDED: &str = include_str!("../../../tests/fixtures/xcresult-tests.json");

    #[test]
    fn cases_repetitions_and_messages_of_a_bundle_are_read() {
        let (results, problem) = parse(RECORDED.as_bytes());
        assert_eq!(problem, None);
        let seen: Vec<_> =
            results.iter().map(|it| (it.name.as_str(), it.result, it.attempts)).collect();
        assert_eq!(
            seen,
            [
                ("testAdds()", TestOutcome::Success, 1),
                ("testFlaky()", TestOutcome::Success, 2),
                ("testFails()", TestOutcome::Failure, 1),
                ("testLater()", TestOutcome::Skipped, 1),
                ("Feature flags", TestOutcome::Failure, 2),
                ("crashes()", TestOutcome::Error, 1),
            ]
        );
        assert_eq!(results[0].classname, "AppTests.MathTests");
        assert!((results[0].run_time_s - 0.0012).abs() < 1e-9);
        let message = results[1].message.as_deref().unwrap();
        assert!(message.starts_with("attempt 1 failed: MathTests.swift:17: "), "{message}");
        let message = results[2].message.as_deref().unwrap();
        assert_eq!(message.lines().count(), 2, "{message}");
        // Of a case with arguments, the runs of each count by themselves.
        let message = results[4].message.as_deref().unwrap();
        let paragraphs: Vec<_> = message.split("\n\n").collect();
        assert_eq!(paragraphs[0], "\"basic\": attempt 1 passed");
        assert!(paragraphs[1].starts_with("\"beta\": FlagTests.swift:40: "), "{message}");
        assert!(paragraphs[2].starts_with("\"beta\": attempt 1 failed: "), "{message}");
        assert!((results[4].run_time_s - 0.75061).abs() < 1e-9, "{}", results[4].run_time_s);
    }

    #[test]
    fn another_answer_is_said_to_be_one() {
        assert!(parse(b"{}").1.unwrap().contains("no test case"));
        assert!(parse(b"{\"testNodes\": 7}").1.unwrap().contains("another JSON"));
    }
}
