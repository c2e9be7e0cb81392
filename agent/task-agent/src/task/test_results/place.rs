//! Paths of test files below the working directory.
//!
//! Many reporters write the full path, which is that of one slot. Times that are kept under it
//! would be found in that slot alone.

use std::path::{Path, PathBuf};

use russet_protocol::runner::TestResult;

/// The job's working directory, as it is written and without links.
#[derive(Debug)]
pub(super) struct Roots(Vec<PathBuf>);

impl Roots {
    pub(super) fn of(work: &Path) -> Self {
        let mut roots = vec![work.to_owned()];
        roots.extend(work.canonicalize().ok().filter(|real| real != work));
        Self(roots)
    }

    /// Makes the names of a result that are paths below the working directory relative to it.
    pub(super) fn relative(&self, result: TestResult) -> TestResult {
        TestResult {
            file: result.file.map(|file| self.below(file)),
            classname: self.below(result.classname),
            name: self.below(result.name),
            ..result
        }
    }

    fn below(&self, name: String) -> String {
        let path = Path::new(&name);
        let below = self.0.iter().find_map(|root| path.strip_prefix(root).ok());
        match below.and_then(Path::to_str) {
            Some(below) if !below.is_empty() => below.to_owned(),
            _ => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Roots;
    use russet_protocol::runner::{TestOutcome, TestResult};

    #[test]
    fn full_paths_of_the_slot_become_relative_and_other_names_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let roots = Roots::of(&link);
        let result = TestResult {
            name: "/users answers".to_owned(),
            classname: link.join("test/a.js").display().to_string(),
            file: Some(real.canonicalize().unwrap().join("test/a.js").display().to_string()),
            result: TestOutcome::Success,
            run_time_s: 1.0,
            ..TestResult::default()
        };
        let result = roots.relative(result);
        assert_eq!(result.file.as_deref(), Some("test/a.js"));
        assert_eq!((&*result.classname, &*result.name), ("test/a.js", "/users answers"));
        assert_eq!(roots.below("/etc/a.js".to_owned()), "/etc/a.js");
    }
}
