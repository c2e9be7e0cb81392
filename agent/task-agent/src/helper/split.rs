//! Sharing a list of tests between the parallel runs of a job.
//!
//! Every run computes all parts from the same list and takes its own, so nothing may depend on
//! chance or on the machine.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::args::{How, SplitBy, TimingsType};
use super::timings::Timings;
use super::{Refusal, items, note};

/// The part of one run.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) tests: Vec<OsString>,
    /// Number of tests in all parts.
    pub(super) of: usize,
    /// Measure by which the parts were made equal, in words.
    pub(super) by: String,
}

impl Part {
    /// The tests, one a line.
    pub(super) fn lines(&self) -> Vec<u8> {
        self.tests.iter().flat_map(|test| [test.as_bytes(), b"\n"].concat()).collect()
    }

    /// Describes the number of tests, for people.
    pub(super) fn counts(&self) -> String {
        format!("{} of {} tests, split by {}", self.tests.len(), self.of, self.by)
    }
}

/// Reads the tests and takes the part of this run.
pub(super) fn split(files: &[PathBuf], how: &How, data: Option<&Path>) -> Result<Part, Refusal> {
    if how.index >= how.total {
        return Err(format!(
            "--index {} is not below --total {}\n\nhint: the first run has the index 0",
            how.index, how.total
        ));
    }
    let mut tests = items::read(files, how.timings_type)?;
    tests.sort();
    let (weights, by) = match how.split_by {
        SplitBy::Name => (None, "name".to_owned()),
        SplitBy::FileSize => (Some(sizes(&tests)), "file size".to_owned()),
        SplitBy::Timings => timed(&tests, how, &Timings::read(data)?),
    };
    let of = tests.len();
    let runs = match weights {
        None => (0..of).map(|at| at % how.total).collect(),
        Some(weights) => share(&weights, how.total),
    };
    let mine = tests.into_iter().zip(runs).filter(|(_, run)| *run == how.index);
    Ok(Part { tests: mine.map(|(test, _)| test).collect(), of, by })
}

/// Which run each of the weights goes to: the heaviest first, each to the run that has least so
/// far. No run gets more than a third above what the best of all ways would give it.
fn share(weights: &[f64], total: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    // Those of the same weight stay in the order of their names.
    order.sort_by(|a, b| weights[*b].total_cmp(&weights[*a]));
    let mut loads = vec![(0.0, 0_usize); total];
    let mut runs = vec![0; weights.len()];
    for at in order {
        // Of runs with the same load, the one with fewer tests: many may weigh nothing.
        let least = |a: &usize, b: &usize| {
            let ((load_a, count_a), (load_b, count_b)) = (loads[*a], loads[*b]);
            f64::total_cmp(&load_a, &load_b).then(count_a.cmp(&count_b))
        };
        let run = (0..total).min_by(least).unwrap_or_default();
        loads[run].0 += weights[at];
        loads[run].1 += 1;
        runs[at] = run;
    }
    runs
}

/// The sizes of files. What is no file weighs nothing, and is said.
fn sizes(tests: &[OsString]) -> Vec<f64> {
    let mut missing: Vec<&OsStr> = Vec::new();
    let size = |test: &OsString| std::fs::metadata(test).map(|it| it.len() as f64).ok();
    let mut sizes = Vec::with_capacity(tests.len());
    for test in tests {
        let size = size(test);
        if size.is_none() {
            missing.push(test);
        }
        sizes.push(size.unwrap_or_default());
    }
    if let Some(first) = missing.first() {
        let (count, first) = (missing.len(), first.display());
        note(&format!("note: {count} of {} are no files here, such as {first}", tests.len()));
    }
    sizes
}

/// The times of tests, or nothing where none is known.
fn timed(tests: &[OsString], how: &How, timings: &Timings) -> (Option<Vec<f64>>, String) {
    let by_name = |why: &str| {
        note(&format!("note: {why}, falling back to splitting by name"));
        (None, "name".to_owned())
    };
    let named_by = match how.timings_type {
        TimingsType::Autodetect => match timings.detect(tests) {
            Some(named_by) => named_by,
            None => return by_name("no times of these tests are known"),
        },
        named_by => named_by,
    };
    let times: Vec<_> = tests.iter().map(|test| timings.of(test, named_by)).collect();
    let known: Vec<f64> = times.iter().copied().flatten().collect();
    if known.is_empty() {
        return by_name("no times of these tests are known");
    }
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    let other = how.time_default.map_or(mean, |time| time.as_secs_f64());
    let by = match named_by {
        TimingsType::Class => "the times of classes",
        TimingsType::Test => "the times of tests",
        TimingsType::File | TimingsType::Autodetect => "the times of files",
    };
    let by = format!("{by}, of which {} are known", known.len());
    (Some(times.into_iter().map(|time| time.unwrap_or(other)).collect()), by)
}

#[cfg(test)]
mod tests {
    use super::{How, SplitBy, share, split};
    use proptest::prelude::*;
    use std::path::Path;

    proptest! {
        #[test]
        fn the_parts_are_the_whole_and_none_has_much_more(
            weights in prop::collection::vec(0.0..100.0_f64, 0..60), total in 1..9_usize,
        ) {
            let runs = share(&weights, total);
            prop_assert_eq!(runs.len(), weights.len());
            prop_assert!(runs.iter().all(|run| *run < total));
            let load = |run| {
                let mine = runs.iter().zip(&weights).filter(|(of, _)| **of == run);
                mine.map(|(_, weight)| weight).sum::<f64>()
            };
            let mean = weights.iter().sum::<f64>() / total as f64;
            let most = weights.iter().copied().fold(0.0, f64::max);
            for run in 0..total {
                prop_assert!(load(run) <= mean + most + 1e-6);
            }
        }
    }

    fn parts(dir: &Path, how: &How) -> Vec<Vec<String>> {
        let part = |index| {
            let how = How { index, ..how.clone() };
            let part = split(&[dir.join("list")], &how, Some(dir)).unwrap();
            part.tests.iter().map(|test| test.to_str().unwrap().to_owned()).collect()
        };
        (0..how.total).map(part).collect()
    }

    #[test]
    fn tests_are_split_by_name_by_size_and_by_their_times() {
        let dir = tempfile::tempdir().unwrap();
        let list: Vec<_> = ["d", "a", "c", "b"].map(|name| dir.path().join(name)).into();
        for (path, size) in list.iter().zip([1, 10, 3, 5]) {
            std::fs::write(path, vec![0; size]).unwrap();
        }
        let lines: Vec<_> = list.iter().map(|path| path.to_str().unwrap()).collect();
        std::fs::write(dir.path().join("list"), lines.join("\n")).unwrap();
        let short = |parts: Vec<Vec<String>>| {
            let name = |path: String| path.rsplit('/').next().unwrap().to_owned();
            let join = |part: Vec<String>| part.into_iter().map(name).collect::<String>();
            parts.into_iter().map(join).collect::<Vec<_>>()
        };
        let how = How { total: 2, ..How::default() };
        assert_eq!(short(parts(dir.path(), &how)), ["ac", "bd"]);
        let how = How { split_by: SplitBy::FileSize, ..how };
        assert_eq!(short(parts(dir.path(), &how)), ["a", "bcd"]);
        // Without times, by name; with some, those count, and the others are the mean of them.
        let how = How { split_by: SplitBy::Timings, ..how };
        assert_eq!(short(parts(dir.path(), &how)), ["ac", "bd"]);
        let times = serde_json::json!({"file": {(lines[0]): 9, (lines[1]): 1}});
        std::fs::write(dir.path().join("timings.json"), times.to_string()).unwrap();
        assert_eq!(short(parts(dir.path(), &how)), ["ad", "bc"]);
        let how = How { time_default: Some(std::time::Duration::from_millis(1)), ..how };
        assert_eq!(short(parts(dir.path(), &how)), ["d", "abc"]);
    }

    #[test]
    fn an_index_beyond_the_total_is_refused() {
        let how = How { index: 2, total: 2, ..How::default() };
        assert!(split(&[], &how, None).unwrap_err().contains("--index 2"));
    }
}
