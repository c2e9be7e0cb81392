//! Durations of tests, averaged over the results of earlier jobs. Pure.

use std::collections::BTreeMap;

use russet_protocol::runner::{TestOutcome, TestResult};
use russet_protocol::storage::{FailedTests, Timings};

/// Maximum number of names of each kind.
const MAX_NAMES: usize = 200_000;

/// Returns seconds by file, class and name: the sum within each job, averaged over the jobs that
/// have it.
///
/// Absolute paths are left out. Each slot of a machine has a directory of its own, so a task would
/// find times that its siblings do not, and compute other parts than they do.
pub(crate) fn mean_timings(jobs: &[Vec<TestResult>]) -> Timings {
    let by = |key: fn(&TestResult) -> Option<&str>| {
        let mut all: BTreeMap<String, (f64, u32)> = BTreeMap::new();
        for results in jobs {
            let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
            for result in results.iter().filter(|result| result.result != TestOutcome::Skipped) {
                if let Some(key) = key(result) {
                    *sums.entry(key).or_default() += seconds_of(result);
                }
            }
            for (key, sum) in sums {
                if all.len() < MAX_NAMES || all.contains_key(key) {
                    let entry = all.entry(key.to_owned()).or_default();
                    *entry = (entry.0 + sum, entry.1 + 1);
                }
            }
        }
        all.into_iter().map(|(key, (sum, count))| (key, sum / f64::from(count))).collect()
    };
    Timings {
        file: by(|result| portable_name(result.file.as_deref()?.trim_start_matches("./"))),
        classname: by(|result| portable_name(&result.classname)),
        testname: by(|result| portable_test(&result.name)),
        failed: None,
    }
}

/// Returns the names of tests that failed, as `tests run` compares them with its list.
pub(crate) fn failed_tests(results: &[TestResult]) -> FailedTests {
    let mut failed = FailedTests::default();
    let is_failure =
        |result: &&TestResult| matches!(result.result, TestOutcome::Failure | TestOutcome::Error);
    for result in results.iter().filter(is_failure) {
        let file = result.file.as_deref().map(|file| file.trim_start_matches("./"));
        failed.files.extend(file.and_then(portable_name).map(str::to_owned));
        failed.classnames.extend(portable_name(&result.classname).map(str::to_owned));
        failed.testnames.extend(portable_test(&result.name).map(str::to_owned));
    }
    failed
}

/// Returns a name, unless it is an absolute path.
fn portable_name(name: &str) -> Option<&str> {
    (!name.is_empty() && !name.starts_with('/')).then_some(name)
}

/// Returns the name of a test, unless it is an absolute path. It may begin with a slash, as in
/// `/users answers 200`.
fn portable_test(name: &str) -> Option<&str> {
    if name.contains(' ') { Some(name) } else { portable_name(name) }
}

/// Returns the duration of a test; a report may hold any number.
fn seconds_of(result: &TestResult) -> f64 {
    if result.run_time_s.is_finite() { result.run_time_s.max(0.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::{failed_tests, mean_timings};
    use russet_protocol::runner::{TestOutcome, TestResult};

    fn result(file: Option<&str>, class: &str, name: &str, run_time_s: f64) -> TestResult {
        TestResult {
            name: name.to_owned(),
            classname: class.to_owned(),
            file: file.map(str::to_owned),
            result: TestOutcome::Success,
            run_time_s,
            ..TestResult::default()
        }
    }

    #[test]
    fn failed_tests_are_known_by_file_class_and_name() {
        let failed = |outcome, file| TestResult { result: outcome, ..result(file, "C", "t", 1.0) };
        let results = [
            result(Some("ok.py"), "Ok", "fine", 1.0),
            failed(TestOutcome::Failure, Some("./a.py")),
            failed(TestOutcome::Error, Some("/slot/1/b.py")),
        ];
        let found = failed_tests(&results);
        assert_eq!(found.files.iter().collect::<Vec<_>>(), ["a.py"]);
        assert_eq!(found.classnames.iter().collect::<Vec<_>>(), ["C"]);
        assert_eq!(found.testnames.iter().collect::<Vec<_>>(), ["t"]);
    }

    #[test]
    fn tests_of_a_file_add_up_and_jobs_are_averaged() {
        let skipped =
            TestResult { result: TestOutcome::Skipped, ..result(Some("c"), "C", "s", 9.0) };
        let jobs = [
            vec![result(Some("a"), "A", "one", 1.0), result(Some("a"), "A", "two", 2.0), skipped],
            vec![result(Some("a"), "A", "one", 5.0), result(None, "B", "one", f64::NAN)],
        ];
        let timings = mean_timings(&jobs);
        assert_eq!(timings.file.iter().map(|(k, v)| (&**k, *v)).collect::<Vec<_>>(), [("a", 4.0)]);
        assert_eq!(timings.classname["A"], 4.0);
        assert_eq!(timings.classname["B"], 0.0);
        assert_eq!((timings.testname["one"], timings.testname["two"]), (3.0, 2.0));
        assert!(!timings.testname.contains_key("s"));
    }
}
