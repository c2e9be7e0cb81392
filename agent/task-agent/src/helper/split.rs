//! Sharing a list of tests between the parallel runs of a job.
//!
//! Every run computes all parts from the same list and takes its own, so nothing may depend on
//! chance, on the machine or on the slot: a test that two runs put elsewhere is run twice or by
//! nobody, in a job that succeeds.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::args::{How, SplitBy, TimingsType};
use super::error::HelperError;
use super::items;
use super::place::Place;
use super::timings::{Failed, Timings};
use crate::stderr::print_to_stderr;
use russet_protocol::storage::FAILED_TESTS_VARIABLE;

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
pub(super) fn split(
    files: &[PathBuf],
    how: &How,
    data: Option<&Path>,
) -> Result<Part, HelperError> {
    if how.index >= how.total {
        return Err(HelperError::Index { index: how.index, total: how.total });
    }
    let tests = items::read_tests(files, how.timings_type)?;
    split_tests(tests, how, data, &Place::here())
}

/// The same for `tests run`: of a run that repeats failed tests, only those.
pub(super) fn split_failed(
    files: &[PathBuf],
    how: &How,
    data: Option<&Path>,
) -> Result<Part, HelperError> {
    if how.index >= how.total {
        return Err(HelperError::Index { index: how.index, total: how.total });
    }
    let mut tests = items::read_tests(files, how.timings_type)?;
    let place = Place::here();
    if std::env::var_os(FAILED_TESTS_VARIABLE).is_some() {
        let timings = data.map(Timings::read).transpose()?.flatten();
        let failed = timings.as_ref().and_then(Timings::failed);
        tests = keep_failed(tests, failed.ok_or(HelperError::NoFailedTests)?, &place);
    }
    split_tests(tests, how, data, &place)
}

/// Keeps the tests that failed. Where none of a list did, its names are not those of the results,
/// and all are run, as CircleCI does.
fn keep_failed(tests: Vec<OsString>, failed: &Failed, place: &Place) -> Vec<OsString> {
    let all = tests.len();
    let (kept, rest): (Vec<_>, Vec<_>) =
        tests.into_iter().partition(|test| failed.has(test, place));
    if kept.is_empty() {
        if all > 0 {
            print_to_stderr(
                &"note: none of the tests is one that failed, so all are run; do the test results have \
                  a `file` or `classname` as the list has it?",
            );
        }
        return rest;
    }
    print_to_stderr(&format!("rerunning failed tests: {} of {all}", kept.len()));
    kept
}

fn split_tests(
    tests: Vec<OsString>,
    how: &How,
    data: Option<&Path>,
    place: &Place,
) -> Result<Part, HelperError> {
    let timings = match (how.split_by, data) {
        (SplitBy::Timings, Some(data)) => timings(how, data)?,
        _ => None,
    };
    part(tests, how, place, timings.as_ref())
}

/// Variable with the number of tasks that share the job.
const TOTAL_VARIABLE: &str = "CIRCLE_NODE_TOTAL";

/// Returns the timings that all parts are computed from; `None` where they are split by name.
fn timings(how: &How, data: &Path) -> Result<Option<Timings>, HelperError> {
    let tasks = std::env::var(TOTAL_VARIABLE).ok().and_then(|total| total.parse::<usize>().ok());
    if how.total > 1 && tasks.is_some_and(|tasks| tasks != how.total) {
        // Each job has times of its own.
        print_to_stderr(&format!(
            "note: --total {} is not the parallelism of this job, so other jobs take the other \
             parts, with other times; falling back to splitting by name",
            how.total
        ));
        return Ok(None);
    }
    match Timings::read(data)? {
        None if how.total > 1 => Err(HelperError::NoTimings),
        None => {
            print_to_stderr(
                &"note: no times of earlier tests could be had, falling back to splitting by name",
            );
            Ok(None)
        }
        timings => Ok(timings),
    }
}

/// Takes the part of this run.
fn part(
    mut tests: Vec<OsString>,
    how: &How,
    place: &Place,
    timings: Option<&Timings>,
) -> Result<Part, HelperError> {
    tests.sort_by(|a, b| (place.name(a), a).cmp(&(place.name(b), b)));
    let (weights, by) = match (how.split_by, timings) {
        (SplitBy::FileSize, _) => (file_sizes(&tests, how, place)?, "file size".to_owned()),
        (SplitBy::Timings, Some(timings)) => timed(&tests, how, timings, place),
        (SplitBy::Name | SplitBy::Timings, _) => (None, "name".to_owned()),
    };
    let of = tests.len();
    let runs = match weights {
        None => (0..of).map(|at| at % how.total).collect(),
        Some(weights) => assign_runs(&weights, how.total),
    };
    let mine = tests.into_iter().zip(runs).filter(|(_, run)| *run == how.index);
    Ok(Part { tests: mine.map(|(test, _)| test).collect(), of, by })
}

/// Which run each of the weights goes to: the heaviest first, each to the run that has least so
/// far. No run gets more than a third above what the best of all ways would give it.
fn assign_runs(weights: &[f64], total: usize) -> Vec<usize> {
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

/// Returns the sizes of files; `None` where there are no files at all, and they are split by name.
///
/// Where some are files and others are not, another task may have them, and would compute other
/// parts.
fn file_sizes(
    tests: &[OsString],
    how: &How,
    place: &Place,
) -> Result<Option<Vec<f64>>, HelperError> {
    let sizes: Vec<_> = tests.iter().map(|test| place.file_size(test)).collect();
    let missing: Vec<&OsStr> = tests
        .iter()
        .zip(&sizes)
        .filter(|(_, size)| size.is_none())
        .map(|(test, _)| &**test)
        .collect();
    if let Some(first) = missing.first() {
        let (count, of, first) = (missing.len(), tests.len(), first.display());
        let what = format!("{count} of {of} tests are not files here, such as {first}");
        if count == of {
            print_to_stderr(&format!("note: {what}, falling back to splitting by name"));
            return Ok(None);
        }
        if how.total > 1 {
            return Err(HelperError::MissingFiles(what));
        }
    }
    Ok(Some(sizes.into_iter().map(|size| size.unwrap_or_default() as f64).collect()))
}

/// The times of tests, or nothing where none is known.
fn timed(
    tests: &[OsString],
    how: &How,
    timings: &Timings,
    place: &Place,
) -> (Option<Vec<f64>>, String) {
    let by_name = |why: &str| {
        print_to_stderr(&format!("note: {why}, falling back to splitting by name"));
        (None, "name".to_owned())
    };
    let named_by = match how.timings_type {
        TimingsType::Autodetect => match timings.detect(tests, place) {
            Some(named_by) => named_by,
            None => return by_name("no times of these tests are known"),
        },
        named_by => named_by,
    };
    let times: Vec<_> = tests.iter().map(|test| timings.of(test, named_by, place)).collect();
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
    use super::{How, Place, SplitBy, Timings, assign_runs, split};
    use proptest::prelude::*;
    use std::ffi::OsString;
    use std::path::Path;

    proptest! {
        #[test]
        fn the_parts_are_the_whole_and_none_has_much_more(
            weights in prop::collection::vec(0.0..100.0_f64, 0..60), total in 1..9_usize,
        ) {
            let runs = assign_runs(&weights, total);
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
        std::fs::write(dir.path().join("timings.json"), "{}").unwrap();
        assert_eq!(short(parts(dir.path(), &how)), ["ac", "bd"]);
        let times = serde_json::json!({"file": {"d": 9, "a": 1}});
        std::fs::write(dir.path().join("timings.json"), times.to_string()).unwrap();
        std::fs::write(dir.path().join("list"), "d\na\nc\nb").unwrap();
        assert_eq!(short(parts(dir.path(), &how)), ["ad", "bc"]);
        let how = How { time_default: Some(std::time::Duration::from_millis(1)), ..how };
        assert_eq!(short(parts(dir.path(), &how)), ["d", "abc"]);
    }

    #[test]
    fn times_that_could_not_be_had_are_an_error_where_others_may_have_them() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("list"), "a\nb").unwrap();
        let how = |total| How { split_by: SplitBy::Timings, total, ..How::default() };
        let part = |total| split(&[dir.path().join("list")], &how(total), Some(dir.path()));
        assert!(part(2).unwrap_err().to_string().contains("could not be had"));
        assert_eq!(part(1).unwrap().tests, ["a", "b"]);
    }

    /// A test in a slot, as a step there may name it.
    fn written(slot: usize, form: u8, test: &str) -> OsString {
        match form {
            0 => test.to_owned(),
            1 => format!("./{test}"),
            _ => format!("/slots/{slot}/work/{test}"),
        }
        .into()
    }

    /// Timings as a server gives them, with paths of slots from an older one, for each kind.
    fn timings() -> impl Strategy<Value = Timings> {
        let name = prop_oneof![
            "[a-f]",
            "[a-f]".prop_map(|name| format!("./{name}")),
            (0..3, "[a-f]").prop_map(|(slot, name)| format!("/slots/{slot}/work/{name}")),
        ];
        let times = || prop::collection::hash_map(name.clone(), -1.0..50.0_f64, 0..8);
        (times(), times(), times()).prop_map(|(file, classname, testname)| {
            let times = serde_json::json!({
                "file": file, "classname": classname, "testname": testname,
            });
            serde_json::from_value(times).unwrap()
        })
    }

    proptest! {
        #[test]
        fn the_parts_of_tasks_in_any_slots_are_a_partition(
            tests in prop::collection::hash_set("[a-h]", 0..8),
            form in 0..3_u8,
            slots in prop::collection::vec(0..3_usize, 1..6),
            timings in timings(),
            split_by in prop::sample::select(&[SplitBy::Name, SplitBy::Timings][..]),
        ) {
            let how = How { total: slots.len(), split_by, ..How::default() };
            let mut all = Vec::new();
            for (index, slot) in slots.iter().enumerate() {
                let work = format!("/slots/{slot}/work");
                let place = Place::of(Path::new(&work), Path::new(&work));
                // Directories are read in another order in every slot.
                let form = |test: &str| (form + test.as_bytes()[0]) % 3;
                let mut mine: Vec<_> =
                    tests.iter().map(|test| written(*slot, form(test), test)).collect();
                let turn = if mine.is_empty() { 0 } else { index % mine.len() };
                mine.rotate_left(turn);
                let how = How { index, ..how.clone() };
                let part = super::part(mine, &how, &place, Some(&timings)).unwrap();
                all.extend(part.tests.iter().map(|test| place.name(test).to_str().unwrap().to_owned()));
            }
            all.sort();
            let mut wanted: Vec<_> = tests.into_iter().collect();
            wanted.sort();
            prop_assert_eq!(all, wanted);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn the_parts_by_file_size_are_a_partition_in_any_slots_and_directories(
            files in prop::collection::hash_map("[a-h]", 0..5_usize, 1..8),
            below in prop::sample::select(&["", "web", "web/app"][..]),
            form in 0..3_u8,
            slots in prop::collection::vec(0..3_usize, 1..6),
        ) {
            let dir = tempfile::tempdir().unwrap();
            let how = How { total: slots.len(), split_by: SplitBy::FileSize, ..How::default() };
            let mut all = Vec::new();
            for (index, slot) in slots.iter().enumerate() {
                let work = dir.path().join(format!("slots/{slot}/work"));
                let here = work.join(below);
                std::fs::create_dir_all(&here).unwrap();
                let place = Place::of(&work, &here);
                let mut mine = Vec::new();
                for (name, size) in &files {
                    std::fs::write(here.join(name), vec![0; *size]).unwrap();
                    let full = here.join(name).into_os_string();
                    // Each is named in another form, the same one in every task.
                    mine.push(match (form + name.as_bytes()[0]) % 3 {
                        0 => name.into(),
                        1 => format!("./{name}").into(),
                        _ => full,
                    });
                }
                let turn = index % mine.len();
                mine.rotate_left(turn);
                let part = super::part(mine, &How { index, ..how.clone() }, &place, None).unwrap();
                let name = |test: &OsString| test.to_str().unwrap().rsplit('/').next().unwrap().to_owned();
                all.extend(part.tests.iter().map(name));
            }
            all.sort();
            let mut wanted: Vec<_> = files.into_keys().collect();
            wanted.sort();
            prop_assert_eq!(all, wanted);
        }
    }

    #[test]
    fn sizes_that_another_task_may_see_otherwise_are_refused_and_none_at_all_split_by_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("b"), "long").unwrap();
        let place = Place::of(dir.path(), dir.path());
        let part = |tests: &[&str], total| {
            let how = How { split_by: SplitBy::FileSize, total, ..How::default() };
            super::part(tests.iter().map(OsString::from).collect(), &how, &place, None)
        };
        assert!(
            part(&["a", "b"], 2).unwrap_err().to_string().contains("1 of 2 tests are not files")
        );
        assert_eq!(part(&["a", "b"], 1).unwrap().tests, ["a", "b"]);
        assert_eq!(part(&["a", "c"], 2).unwrap().tests, ["a"]);
    }

    #[test]
    fn an_index_beyond_the_total_is_refused() {
        let how = How { index: 2, total: 2, ..How::default() };
        assert!(split(&[], &how, None).unwrap_err().to_string().contains("--index 2"));
    }
}
