//! Directories that a job works in.

use std::io;
use std::path::{Path, PathBuf};

use russet_protocol::supervise::SlotDirs;

/// Directories of a job: those of its slot, and its working directory.
#[derive(Clone, Debug)]
pub(crate) struct JobDirs {
    pub(crate) slot: SlotDirs,
    /// Working directory of the job: the slot's, or one that the configuration names.
    pub(crate) work: PathBuf,
}

impl JobDirs {
    /// Directories of a job whose configuration names its working directory as `written`.
    pub(crate) fn new(slot: SlotDirs, written: Option<&str>) -> Self {
        let work = resolve(written.unwrap_or("."), &slot.home, &slot.work);
        Self { slot, work }
    }

    /// Returns the path that a configuration writes so: `~` is the task's home, and relative paths
    /// start at the working directory.
    pub(crate) fn resolve(&self, written: &str) -> PathBuf {
        resolve(written, &self.slot.home, &self.work)
    }
}

fn resolve(written: &str, home: &Path, base: &Path) -> PathBuf {
    match written.strip_prefix('~') {
        Some("") => home.to_owned(),
        Some(rest) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
        _ if written.is_empty() || written == "." => base.to_owned(),
        _ => base.join(written),
    }
}

/// Makes a directory that a configuration names, where it is not there yet.
pub(crate) fn make_directory(directory: &Path) -> Result<(), MakeDirectoryError> {
    std::fs::create_dir_all(directory)
        .map_err(|source| MakeDirectoryError { path: directory.to_owned(), source })
}

/// Reason why a directory that a configuration names was not made.
#[derive(Debug, thiserror::Error)]
#[error(
    "could not make the working directory {}: {source}\nhint: tasks run as a user of their own; a \
     directory below `~` always works",
    path.display()
)]
pub(crate) struct MakeDirectoryError {
    path: PathBuf,
    source: io::Error,
}

#[cfg(test)]
mod tests {
    use super::JobDirs;
    use crate::task::testing;
    use std::path::Path;

    #[test]
    fn directories_are_resolved_as_written() {
        let (assignment, _) = testing::assignment_and_config();
        let dirs = JobDirs::new(assignment.dirs, Some("~/job"));
        assert_eq!(dirs.work, Path::new("/slot/home/job"));
        for (written, wanted) in [
            ("~", "/slot/home"),
            ("~/project", "/slot/home/project"),
            ("/srv", "/srv"),
            ("sub/dir", "/slot/home/job/sub/dir"),
            (".", "/slot/home/job"),
            ("", "/slot/home/job"),
            ("~other", "/slot/home/job/~other"),
        ] {
            assert_eq!(dirs.resolve(written), Path::new(wanted), "{written}");
        }
    }
}
