//! Storing test results.

mod attempts;
mod encoding;
mod junit;
mod place;
mod seconds;
mod xcresult;

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::{Method, StatusCode};
use russet_protocol::runner::{TestOutcome, TestResult, TestResultsRequest};

use super::api::{Api, ApiError};
use super::directories::JobDirs;
use super::journal::StepOutput;
use super::step_end::StepEnd;
use super::stop::StopSignal;
use crate::mask::Masks;
use place::Roots;

pub(crate) use xcresult::XcresultTool;

/// Results of one call.
const BATCH: usize = 500;

/// A report that is larger was not written by a test runner.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// So many reports are read.
const MAX_FILES: usize = 10_000;

/// Results of a report, and what was wrong with it.
type Read = (Vec<TestResult>, Option<String>);

/// Stores a job's test results.
#[derive(Debug)]
pub(crate) struct ResultStore {
    pub(crate) api: Api,
    pub(crate) dirs: Arc<JobDirs>,
    pub(crate) stop: StopSignal,
    pub(crate) xcresult: XcresultTool,
    /// Number of the next batch of results.
    pub(crate) next_batch: AtomicU32,
}

impl ResultStore {
    /// Runs a `store_test_results` step. A report that cannot be read is noted, and the others are
    /// stored all the same: they are what people look at when something went wrong.
    pub(crate) async fn store_results(&self, output: &StepOutput, path: &str) -> StepEnd {
        let root = self.dirs.resolve(path);
        let reports = find_reports(&root);
        let tally = match self.store_reports(output, &reports).await {
            Ok(tally) => tally,
            Err(error) => {
                output.say(&format!("error: {error}"));
                return StepEnd::call_failed(&error, &self.stop);
            }
        };
        if reports.is_empty() {
            let root = root.display();
            output.say(&format!("No test reports (*.xml, *.xcresult) at {root}"));
        } else {
            output.say(&tally.to_string());
        }
        StepEnd::success()
    }

    async fn store_reports(
        &self,
        output: &StepOutput,
        reports: &[PathBuf],
    ) -> Result<Tally, ApiError> {
        let mut tally = Tally::default();
        let mut waiting: Vec<TestResult> = Vec::new();
        let roots = Roots::of(&self.dirs.work);
        for report in reports {
            let (results, problem) = self.read_report(report).await;
            // Many large reports must not keep the task agent from answering that it lives.
            tokio::task::yield_now().await;
            if let Some(why) = problem {
                let read = results.len();
                let name = report.display();
                output.say(&format!("note: {name}: {why} ({read} results were read)"));
            }
            results.iter().for_each(|result| tally.add(result));
            waiting.extend(results.into_iter().map(|result| roots.relative(result)));
            while waiting.len() >= BATCH {
                let rest = waiting.split_off(BATCH);
                self.send_results(output.masks(), std::mem::replace(&mut waiting, rest)).await?;
            }
        }
        if !waiting.is_empty() {
            self.send_results(output.masks(), waiting).await?;
        }
        Ok(tally)
    }

    async fn read_report(&self, path: &Path) -> Read {
        if xcresult::is_bundle(path) {
            return self.xcresult.read_bundle(path).await;
        }
        match bytes(path) {
            Ok(bytes) => {
                let (text, damaged) = encoding::decode(&bytes);
                let (results, problem) = junit::parse(&text);
                (results, problem.or(damaged))
            }
            Err(error) => (Vec::new(), Some(error.to_string())),
        }
    }

    async fn send_results(&self, masks: &Masks, results: Vec<TestResult>) -> Result<(), ApiError> {
        let results = results.into_iter().map(|result| mask_result(masks, result));
        let body = TestResultsRequest {
            allocation: self.api.allocation().clone(),
            batch: self.next_batch.fetch_add(1, Ordering::Relaxed),
            results: results.collect(),
        };
        let request = || self.api.request(Method::POST, "/api/v3/task/test-results").json(&body);
        let answer = self.api.small("store test results", request).await?;
        if answer.status == StatusCode::CONFLICT {
            return Err(ApiError::Stale(answer.message()));
        }
        Ok(())
    }
}

/// The reports at `root`: the file or bundle itself, or every `*.xml` and `*.xcresult` below it.
/// Links are not followed.
fn find_reports(root: &Path) -> Vec<PathBuf> {
    let real = || root.canonicalize().unwrap_or_else(|_| root.to_owned());
    match std::fs::metadata(root) {
        Ok(metadata) if metadata.is_file() => return vec![real()],
        Ok(metadata) if metadata.is_dir() && xcresult::is_bundle(root) => return vec![real()],
        _ => {}
    }
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
            let is_xml = path.extension().is_some_and(|name| name.eq_ignore_ascii_case("xml"));
            let is_report = (kind.is_file() && is_xml) || xcresult::is_bundle(&path);
            if is_report && (kind.is_file() || kind.is_dir()) && found.len() < MAX_FILES {
                found.push(path);
            } else if kind.is_dir() {
                open.push(path);
            }
        }
    }
    found.sort();
    found
}

fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(std::io::Error::other(format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A result without secrets: every text in it is the job's.
fn mask_result(masks: &Masks, result: TestResult) -> TestResult {
    TestResult {
        name: masks.apply(&result.name),
        classname: masks.apply(&result.classname),
        file: result.file.map(|text| masks.apply(&text)),
        message: result.message.map(|text| masks.apply(&text)),
        ..result
    }
}

/// Number of tests by outcome.
#[derive(Debug, Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
    /// Of those that passed, how many failed before.
    flaky: usize,
}

impl Tally {
    fn add(&mut self, result: &TestResult) {
        self.flaky += usize::from(result.result == TestOutcome::Success && result.attempts > 1);
        match result.result {
            TestOutcome::Success => self.passed += 1,
            TestOutcome::Failure | TestOutcome::Error => self.failed += 1,
            TestOutcome::Skipped => self.skipped += 1,
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { passed, failed, skipped, flaky } = self;
        let all = passed + failed + skipped;
        write!(f, "{all} tests: {passed} passed, {failed} failed, {skipped} skipped")?;
        if *flaky > 0 {
            write!(f, "; {flaky} passed after more than one attempt")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::mask_result;
    use crate::mask::Masks;
    use russet_protocol::runner::{TestOutcome, TestResult};
    use russet_protocol::secret::Secret;

    #[test]
    fn no_text_of_a_result_shows_a_secret() {
        let masks = Masks::new(&[Secret::new("hunter2")]).unwrap();
        let text = || "a hunter2 b".to_owned();
        let result = TestResult {
            name: text(),
            classname: text(),
            file: Some(text()),
            result: TestOutcome::Failure,
            message: Some(text()),
            ..TestResult::default()
        };
        let shown = serde_json::to_string(&mask_result(&masks, result)).unwrap();
        assert!(!shown.contains("hunter2"), "{shown}");
        assert_eq!(shown.matches("****").count(), 4);
    }
}
