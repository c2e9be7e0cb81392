//! Durations of tests in earlier jobs, as the task agent left them in the directory of the task's
//! data.
//!
//! Every task of a job has the same ones. A look-up must not depend on the slot either: names come
//! from [`Place`], and absolute paths, which an older server may have, are never found.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::Path;

use serde::Deserialize;

use super::args::TimingsType;
use super::error::HelperError;
use super::place::Place;
use crate::path_error::PathError;

/// The file, next to [`super::HALT_FILE`].
pub(crate) const TIMINGS_FILE: &str = "timings.json";

/// Seconds by the name of a test. Fields are only added.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Timings {
    /// By the path of its file.
    file: HashMap<String, f64>,
    /// By the name of its class.
    classname: HashMap<String, f64>,
    /// By its own name.
    testname: HashMap<String, f64>,
    /// Tests that failed in the run that this one repeats.
    failed: Option<Failed>,
}

/// Names of tests that failed. Fields are only added.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Failed {
    files: HashSet<String>,
    classnames: HashSet<String>,
    testnames: HashSet<String>,
}

impl Failed {
    /// Returns true if a test of a list is one that failed, or a file or class that holds one.
    pub(super) fn has(&self, test: &OsStr, place: &Place) -> bool {
        let Some(name) = place.name(test).to_str() else { return false };
        let is_file = |name: &str| {
            self.files.contains(name) || self.files.contains(name.trim_start_matches("./"))
        };
        is_file(name)
            || place.below_root(name).is_some_and(|name| is_file(&name))
            || self.classnames.contains(name)
            || self.testnames.contains(name)
    }
}

impl Timings {
    /// Reads the timings of this task. `None`: the task agent left none, because it could not get
    /// any.
    pub(super) fn read(data: &Path) -> Result<Option<Self>, HelperError> {
        let path = data.join(TIMINGS_FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(PathError::when("read", &path)(error).into()),
        };
        serde_json::from_slice(&text)
            .map(Some)
            .map_err(|source| HelperError::Timings { path, source })
    }

    /// Returns the tests that alone are to run; `None`: all are.
    pub(super) fn failed(&self) -> Option<&Failed> {
        self.failed.as_ref()
    }

    /// Returns the kind of names that most of the tests are found under, of several the first.
    /// `None`: no time of any of them is known.
    pub(super) fn detect(&self, tests: &[impl AsRef<OsStr>], place: &Place) -> Option<TimingsType> {
        let types = [TimingsType::File, TimingsType::Class, TimingsType::Test];
        let known = |named_by: TimingsType| {
            tests.iter().filter(|test| self.of(test.as_ref(), named_by, place).is_some()).count()
        };
        types
            .map(|named_by| (known(named_by), named_by))
            .into_iter()
            .rev()
            .filter(|(known, _)| *known > 0)
            .max_by_key(|(known, _)| *known)
            .map(|(_, named_by)| named_by)
    }

    /// Returns the seconds that a test took.
    pub(super) fn of(&self, test: &OsStr, named_by: TimingsType, place: &Place) -> Option<f64> {
        let name = place.name(test).to_str()?;
        // The full path of one slot; the name of a test may begin so too.
        if name.starts_with('/') && !name.contains(' ') {
            return None;
        }
        let seconds = match named_by {
            TimingsType::Class => self.classname.get(name),
            TimingsType::Test => self.testname.get(name),
            TimingsType::File | TimingsType::Autodetect => self.of_file(name, place),
        };
        seconds.copied().filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
    }

    /// Reports name files below the directory where their tool was called, or in full, which is
    /// stored as below the working directory; an older server kept `./`.
    fn of_file(&self, name: &str, place: &Place) -> Option<&f64> {
        let find = |name: &str| self.file.get(name).or_else(|| self.file.get(&format!("./{name}")));
        find(name).or_else(|| find(&place.below_root(name)?))
    }
}

#[cfg(test)]
mod tests {
    use super::{TIMINGS_FILE, Timings};
    use crate::helper::args::TimingsType;
    use crate::helper::place::Place;
    use std::path::Path;

    fn timings(text: &str) -> Timings {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_most_tests_are_known_by_is_found_out() {
        let known = timings(
            r#"{"file":{"a.py":1},"classname":{"A":1,"B":2},"testname":{"A":1,"B":2},"new":{}}"#,
        );
        let detect = |tests: &[&str]| known.detect(tests, &Place::default());
        assert_eq!(detect(&["A", "B", "a.py"]), Some(TimingsType::Class));
        assert_eq!(detect(&["a.py", "b.py"]), Some(TimingsType::File));
        assert_eq!(detect(&["c"]), None);
        assert_eq!(timings("{}").detect(&["a.py"], &Place::default()), None);
    }

    #[test]
    fn files_are_known_with_and_without_their_folder_and_by_no_path_of_a_slot() {
        let place = Place::of(Path::new("/slot/1"), Path::new("/slot/1/web"));
        let known = timings(
            r#"{"file":{"a.py":1,"/slot/1/b.py":2,"./c.py":3,"d":-1,"web/e.py":5,"/f g.py":6}}"#,
        );
        let of = |test: &str| known.of(test.as_ref(), TimingsType::File, &place);
        assert_eq!(of("./a.py"), Some(1.0));
        assert_eq!(of("/slot/1/a.py"), Some(1.0));
        assert_eq!(of("b.py"), None);
        assert_eq!(of("/slot/1/b.py"), None);
        assert_eq!(of("c.py"), Some(3.0));
        assert_eq!(of("e.py"), Some(5.0));
        assert_eq!(of("/slot/1/web/e.py"), Some(5.0));
        assert_eq!(of("d"), None);
    }

    #[test]
    fn a_failed_test_is_known_by_its_file_in_any_folder_its_class_or_its_name() {
        let place = Place::of(Path::new("/slot/1"), Path::new("/slot/1/web"));
        let known = timings(
            r#"{"failed":{"files":["a.py","web/e.py"],"classnames":["acme.T"],"testnames":["x y"]}}"#,
        );
        let failed = known.failed().unwrap();
        for test in ["a.py", "./a.py", "/slot/1/a.py", "e.py", "web/e.py", "acme.T", "x y"] {
            assert!(failed.has(test.as_ref(), &place), "{test}");
        }
        for test in ["b.py", "acme", "x", ""] {
            assert!(!failed.has(test.as_ref(), &place), "{test}");
        }
        assert!(timings("{}").failed().is_none());
    }

    #[test]
    fn no_file_is_told_from_an_empty_one_and_a_broken_one_is_an_error() {
        let data = tempfile::tempdir().unwrap();
        assert!(Timings::read(data.path()).unwrap().is_none());
        std::fs::write(data.path().join(TIMINGS_FILE), "{}").unwrap();
        assert!(Timings::read(data.path()).unwrap().is_some());
        std::fs::write(data.path().join(TIMINGS_FILE), "{").unwrap();
        assert!(Timings::read(data.path()).unwrap_err().to_string().contains(TIMINGS_FILE));
    }
}
