//! Names of tests that are the same in every slot.
//!
//! Each slot has a working directory of its own, so the full path of a test file is another one in
//! every task of a job. Tests are compared and looked up by their paths below it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Variable with the job's working directory.
const WORK_VARIABLE: &str = "CIRCLE_WORKING_DIRECTORY";

/// Working directory of the job, and the directory below it in which the command was called.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    /// The working directory, as it is written and without links.
    roots: Vec<PathBuf>,
    /// The current directory.
    here: PathBuf,
    /// The current directory below the working directory; empty there, and elsewhere.
    below: PathBuf,
}

impl Place {
    /// Returns the place of this process.
    pub(super) fn here() -> Self {
        let here = std::env::current_dir().unwrap_or_default();
        let work = std::env::var_os(WORK_VARIABLE).map_or_else(|| here.clone(), PathBuf::from);
        Self::of(&work, &here)
    }

    pub(super) fn of(work: &Path, here: &Path) -> Self {
        let mut roots = vec![work.to_owned()];
        roots.extend(work.canonicalize().ok().filter(|real| real != work));
        let below = roots.iter().find_map(|root| here.strip_prefix(root).ok());
        let below = below.unwrap_or(Path::new("")).to_owned();
        Self { roots, here: here.to_owned(), below }
    }

    /// Returns the name of a test: a path below the working directory, or below the current one,
    /// without `./`, and anything else as it is.
    pub(super) fn name<'a>(&self, test: &'a OsStr) -> &'a OsStr {
        let path = Path::new(test);
        match self.roots.iter().find_map(|root| path.strip_prefix(root).ok()) {
            Some(below) if path.is_absolute() => below.as_os_str(),
            _ => plain(test),
        }
    }

    /// Returns the size of a test's file in bytes. `None`: it is not a file here.
    pub(super) fn file_size(&self, test: &OsStr) -> Option<u64> {
        let metadata = self.here.join(test).metadata().ok()?;
        metadata.is_file().then_some(metadata.len())
    }

    /// Returns the path of a test below the working directory, where it is relative to a directory
    /// below that.
    pub(super) fn below_root(&self, name: &str) -> Option<String> {
        if self.below.as_os_str().is_empty() || name.starts_with('/') {
            return None;
        }
        Some(self.below.join(name).to_str()?.to_owned())
    }
}

fn plain(test: &OsStr) -> &OsStr {
    let Some(mut text) = test.to_str() else { return test };
    while let Some(rest) = text.strip_prefix("./") {
        text = rest;
    }
    OsStr::new(text)
}

#[cfg(test)]
mod tests {
    use super::Place;
    use std::path::Path;

    #[test]
    fn a_test_has_one_name_in_every_slot() {
        for slot in ["/slots/1/work", "/slots/2/work"] {
            let place = Place::of(Path::new(slot), &Path::new(slot).join("web"));
            let name = |test: &str| place.name(test.as_ref()).to_str().unwrap().to_owned();
            assert_eq!(name(&format!("{slot}/web/a.js")), "web/a.js");
            assert_eq!(name("././a.js"), "a.js");
            assert_eq!(name("/etc/a.js"), "/etc/a.js");
            assert_eq!(name("Suite one"), "Suite one");
            assert_eq!(place.below_root("a.js").as_deref(), Some("web/a.js"));
            assert_eq!(place.below_root("/etc/a.js"), None);
        }
    }
}
