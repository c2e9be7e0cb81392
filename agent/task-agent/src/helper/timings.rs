//! Earlier durations of tests, as the task agent left them in the directory of the task's data.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::Path;

use serde::Deserialize;

use super::args::TimingsType;

/// The file, next to [`super::HALT_FILE`].
pub(crate) const TIMINGS_FILE: &str = "timings.json";

/// Seconds by what a test is known by. Fields are only added.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Timings {
    /// By the path of its file.
    file: HashMap<String, f64>,
    /// By the name of its class.
    classname: HashMap<String, f64>,
    /// By its own name.
    testname: HashMap<String, f64>,
}

impl Timings {
    /// What is known. Nothing where the file is not there, as before the first results.
    pub(super) fn read(data: Option<&Path>) -> Result<Self, String> {
        let Some(data) = data else { return Ok(Self::default()) };
        let path = data.join(TIMINGS_FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(format!("could not read {}: {error}", path.display())),
        };
        serde_json::from_slice(&text)
            .map_err(|error| format!("{} holds no times of tests: {error}", path.display()))
    }

    /// What the tests are known by, where it is to be found out: what most of them are found
    /// under, and of several the first. `None`: no time of any of them is known.
    pub(super) fn detect(&self, tests: &[impl AsRef<OsStr>]) -> Option<TimingsType> {
        let types = [TimingsType::File, TimingsType::Class, TimingsType::Test];
        let known = |named_by: TimingsType| {
            tests.iter().filter(|test| self.of(test.as_ref(), named_by).is_some()).count()
        };
        types
            .map(|named_by| (known(named_by), named_by))
            .into_iter()
            .rev()
            .filter(|(known, _)| *known > 0)
            .max_by_key(|(known, _)| *known)
            .map(|(_, named_by)| named_by)
    }

    /// How many seconds a test took.
    pub(super) fn of(&self, test: &OsStr, named_by: TimingsType) -> Option<f64> {
        let test = test.to_str()?;
        let seconds = match named_by {
            TimingsType::Class => self.classname.get(test),
            TimingsType::Test => self.testname.get(test),
            TimingsType::File | TimingsType::Autodetect => self.of_file(test),
        };
        seconds.copied().filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
    }

    /// Reports name files with and without `./`, and in full.
    fn of_file(&self, test: &str) -> Option<&f64> {
        let plain = test.trim_start_matches("./");
        self.file.get(test).or_else(|| self.file.get(plain)).or_else(|| {
            let here = std::env::current_dir().ok()?;
            match Path::new(test).strip_prefix(&here) {
                Ok(below) => self.file.get(below.to_str()?),
                Err(_) => {
                    let full = here.join(plain);
                    let dotted = format!("./{plain}");
                    self.file.get(full.to_str()?).or_else(|| self.file.get(&dotted))
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{TIMINGS_FILE, Timings};
    use crate::helper::args::TimingsType;

    fn timings(text: &str) -> Timings {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_most_tests_are_known_by_is_found_out() {
        let known = timings(
            r#"{"file":{"a.py":1},"classname":{"A":1,"B":2},"testname":{"A":1,"B":2},"new":{}}"#,
        );
        assert_eq!(known.detect(&["A", "B", "a.py"]), Some(TimingsType::Class));
        assert_eq!(known.detect(&["a.py", "b.py"]), Some(TimingsType::File));
        assert_eq!(known.detect(&["c"]), None);
        assert_eq!(timings("{}").detect(&["a.py"]), None);
    }

    #[test]
    fn files_are_known_with_and_without_their_folder() {
        let here = std::env::current_dir().unwrap();
        let full = here.join("b.py").to_str().unwrap().to_owned();
        let known = timings(&format!(r#"{{"file":{{"a.py":1,"{full}":2,"./c.py":3,"d":-1}}}}"#));
        let of = |test: &str| known.of(test.as_ref(), TimingsType::File);
        assert_eq!(of("./a.py"), Some(1.0));
        assert_eq!(of(here.join("a.py").to_str().unwrap()), Some(1.0));
        assert_eq!(of("b.py"), Some(2.0));
        assert_eq!(of("c.py"), Some(3.0));
        assert_eq!(of("d"), None);
    }

    #[test]
    fn no_file_is_no_error_and_a_broken_one_is() {
        let data = tempfile::tempdir().unwrap();
        Timings::read(None).unwrap();
        Timings::read(Some(data.path())).unwrap();
        std::fs::write(data.path().join(TIMINGS_FILE), "{").unwrap();
        assert!(Timings::read(Some(data.path())).unwrap_err().contains(TIMINGS_FILE));
    }
}
