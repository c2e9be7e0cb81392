//! Summary at the end: artifacts, test results, one line per job, the exit code.

use std::collections::BTreeMap;
use std::path::Path;

use russet_protocol::admin::Pipeline;
use russet_protocol::ids::JobId;
use russet_protocol::outcome::Outcome;
use russet_protocol::runner::{TestOutcome, TestResult};
use russet_text::format_size;

use super::Fetched;
use crate::color::{Paint, outcome_sign};
use crate::exit::Exit;
use crate::render::numbers::{counted, duration_between};
use crate::render::{plain, split_hint};

/// As many failed tests are listed; the rest is counted.
const LISTED_FAILURES: usize = 20;

/// As many artifacts are listed; the rest is counted.
const LISTED_ARTIFACTS: usize = 20;

/// Returns the exit code of a pipeline: the worst outcome of its jobs.
pub(crate) fn exit_of(pipeline: &Pipeline) -> Exit {
    let jobs = || pipeline.current_workflows().flat_map(|workflow| &workflow.jobs);
    let any = |outcome| jobs().any(|job| job.outcome == Some(outcome));
    if any(Outcome::Canceled) {
        Exit::Canceled
    } else if any(Outcome::InfrastructureFail) {
        Exit::Infrastructure
    } else if pipeline.current_workflows().all(|run| run.outcome == Some(Outcome::Success)) {
        Exit::Success
    } else {
        Exit::JobFailed
    }
}

/// Lists the files of artifacts.
pub(super) fn artifacts(fetched: &[Fetched], dir: &Path, paint: Paint) -> String {
    if fetched.is_empty() {
        return String::new();
    }
    let total = counted(u64::try_from(fetched.len()).unwrap_or_default(), "artifact");
    let mut text = format!("\n{} in {}\n", paint.strong(&total), dir.display());
    for artifact in fetched.iter().take(LISTED_ARTIFACTS) {
        let shown = artifact.file.strip_prefix(dir).unwrap_or(&artifact.file);
        let size = paint.dim(&format!("({})", format_size(artifact.size)));
        text.push_str(&format!("  {} {size}\n", plain(&shown.to_string_lossy())));
    }
    if let Some(rest) = fetched.len().checked_sub(LISTED_ARTIFACTS)
        && rest > 0
    {
        text.push_str(&format!("  and {rest} more\n"));
    }
    text
}

/// Test results of all jobs.
pub(super) fn tests(tests: &BTreeMap<String, Vec<TestResult>>, paint: Paint) -> String {
    let mut text = String::new();
    for (job, results) in tests {
        if results.is_empty() {
            continue;
        }
        let number = |outcome| results.iter().filter(|test| test.result == outcome).count();
        let mut parts = vec![paint.good(&format!("{} passed", number(TestOutcome::Success)))];
        let is_flaky =
            |test: &&TestResult| test.result == TestOutcome::Success && test.attempts > 1;
        let flaky = results.iter().filter(is_flaky).count();
        if flaky > 0 {
            parts.push(paint.warn(&format!("{flaky} of them after more than one attempt")));
        }
        let bad = number(TestOutcome::Failure) + number(TestOutcome::Error);
        if bad > 0 {
            parts.push(paint.bad(&format!("{bad} failed")));
        }
        if number(TestOutcome::Skipped) > 0 {
            parts.push(paint.warn(&format!("{} skipped", number(TestOutcome::Skipped))));
        }
        let heading = paint.strong(&format!("Tests of {}", plain(job)));
        text.push_str(&format!("\n{heading}: {}\n", parts.join(", ")));
        let failed = results
            .iter()
            .filter(|t| matches!(t.result, TestOutcome::Failure | TestOutcome::Error));
        for test in failed.take(LISTED_FAILURES) {
            text.push_str(&failed_test(test, paint));
        }
        if let Some(rest) = bad.checked_sub(LISTED_FAILURES)
            && rest > 0
        {
            text.push_str(&format!("  and {rest} more\n"));
        }
    }
    text
}

fn failed_test(test: &TestResult, paint: Paint) -> String {
    let name = match test.classname.as_str() {
        "" => plain(&test.name),
        class => format!("{} {}", plain(class), plain(&test.name)),
    };
    let message = test.message.as_deref().unwrap_or_default();
    // The first line that says something; the rest is in the output.
    let message = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let message: String = plain(message).chars().take(160).collect();
    let message = if message.is_empty() { message } else { format!(": {message}") };
    format!("  {} {name}{message}\n", paint.bad("✗"))
}

/// One line per job.
pub(super) fn jobs(pipeline: &Pipeline, why: BTreeMap<JobId, String>, paint: Paint) -> String {
    let jobs: Vec<_> = pipeline.current_workflows().flat_map(|workflow| &workflow.jobs).collect();
    let width = jobs.iter().map(|job| job.name.chars().count()).max().unwrap_or(0);
    let mut text = String::from("\n");
    for job in jobs {
        let outcome = job.outcome.unwrap_or(Outcome::NotRun);
        let took = match (job.started_ms, job.ended_ms) {
            (Some(start), Some(end)) if outcome != Outcome::NotRun => duration_between(start, end),
            _ => String::new(),
        };
        let name = format!("{:width$}", plain(&job.name));
        let mark = paint.outcome(outcome, outcome_sign(outcome));
        let word = paint.outcome(outcome, &format!("{:10}", outcome.as_str()));
        let mut line = format!("{mark} {name}  {word}  {took:>10}");
        if outcome != Outcome::Success {
            let reason = why.get(&job.id).cloned();
            let reason = reason
                .or_else(|| job.message.as_deref().map(|why| plain(split_hint(why).0)))
                .unwrap_or_default();
            line.push_str(&format!("  {reason}"));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
