//! A test that ran more than once is one test, with how often it ran.
//!
//! Surefire and nextest write further runs into the case. Other tools (gotestsum, those that turn
//! the output of xcodebuild into a report) write a case for each run, one after the other: all but
//! the last failed, since a test that passed is not run again.

use std::collections::HashMap;

use russet_protocol::runner::{TestOutcome, TestResult};

/// Bytes of a message that are kept.
pub(super) const MAX_MESSAGE_BYTES: usize = 16 * 1024;

/// Joins the runs of each test of one report.
pub(super) fn join(results: Vec<TestResult>) -> Vec<TestResult> {
    let mut joined: Vec<TestResult> = Vec::with_capacity(results.len());
    let mut last: HashMap<(String, String, Option<String>), usize> = HashMap::new();
    for result in results {
        let key = (result.classname.clone(), result.name.clone(), result.file.clone());
        let before = last.get(&key).and_then(|index| joined.get_mut(*index));
        match before {
            Some(before) if is_failed(before.result) && !result.name.is_empty() => {
                *before = again(std::mem::take(&mut before.message), before, result);
            }
            _ => {
                last.insert(key, joined.len());
                joined.push(result);
            }
        }
    }
    joined
}

/// Puts a later run in the place of an earlier one that failed.
fn again(message: Option<String>, before: &TestResult, after: TestResult) -> TestResult {
    let attempts = before.attempts + after.attempts;
    let earlier = describe(before.attempts, message.as_deref());
    let message = match after.message {
        Some(message) => format!("{message}\n\n{earlier}"),
        None => earlier,
    };
    TestResult {
        attempts,
        message: Some(cut(message, MAX_MESSAGE_BYTES)),
        run_time_s: before.run_time_s + after.run_time_s,
        ..after
    }
}

/// Says how a run that was not the last ended.
pub(super) fn describe(attempt: u32, message: Option<&str>) -> String {
    match message.map(str::trim).filter(|message| !message.is_empty()) {
        Some(message) => format!("attempt {attempt} failed: {message}"),
        None => format!("attempt {attempt} failed"),
    }
}

/// Answers whether a test did not pass.
pub(super) fn is_failed(outcome: TestOutcome) -> bool {
    matches!(outcome, TestOutcome::Failure | TestOutcome::Error)
}

/// At most so many bytes, cut between characters.
pub(super) fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::join;
    use russet_protocol::runner::{TestOutcome, TestResult};

    fn ran(name: &str, result: TestOutcome, message: Option<&str>) -> TestResult {
        TestResult {
            name: name.to_owned(),
            classname: "C".to_owned(),
            result,
            run_time_s: 1.0,
            message: message.map(str::to_owned),
            ..TestResult::default()
        }
    }

    #[test]
    fn runs_after_a_failure_are_attempts_and_equal_names_that_passed_are_tests() {
        use TestOutcome::{Failure, Success};
        let joined = join(vec![
            ran("flaky", Failure, Some("one")),
            ran("twice", Success, None),
            ran("flaky", Failure, Some("two")),
            ran("flaky", Success, None),
            ran("twice", Success, None),
            ran("never", Failure, Some("x")),
            ran("never", Failure, Some("y")),
        ]);
        let seen: Vec<_> =
            joined.iter().map(|it| (it.name.as_str(), it.result, it.attempts)).collect();
        assert_eq!(
            seen,
            [
                ("flaky", Success, 3),
                ("twice", Success, 1),
                ("twice", Success, 1),
                ("never", Failure, 2)
            ]
        );
        let message = joined[0].message.as_deref().unwrap();
        assert!(message.contains("attempt 1 failed: one") && message.contains("two"), "{message}");
        assert!(joined[3].message.as_deref().unwrap().starts_with("y\n\nattempt 1 failed: x"));
        assert!((joined[0].run_time_s - 3.0).abs() < f64::EPSILON);
    }
}
