//! Locks that a killed git left in a lasting working directory.
//!
//! git makes `index.lock` and the like next to what it writes, and removes them when it is done.
//! One that was killed leaves them, and every later one fails with "File exists". When a task
//! begins, no process of the slot is alive, so a lock that is older than the task is nobody's.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Most entries that are looked at: refs are few files, and a repository is the job's.
const MAX_ENTRIES: usize = 1_000_000;

/// Directories of a repository in which git locks nothing by a file of its own name, and which
/// hold most of its files.
const UNLOCKED: [&str; 4] = ["hooks", "lfs", "logs", "pack"];

/// Removes locks below `git` that were there before `begun`, and returns a line for each.
pub(super) fn remove_stale(git: &Path, begun: SystemTime) -> Vec<String> {
    let (mut lines, mut seen) = (Vec::new(), 0);
    let mut open = vec![git.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            seen += 1;
            let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
            // Links are followed nowhere: one could lead out of the repository.
            if kind.is_dir() && seen < MAX_ENTRIES && is_locked_in(&path) {
                open.push(path);
            } else if kind.is_file() && path.extension().is_some_and(|name| name == "lock") {
                let changed = entry.metadata().and_then(|metadata| metadata.modified());
                if changed.is_ok_and(|changed| changed < begun) {
                    lines.push(remove(&path));
                }
            }
        }
    }
    lines.sort();
    lines
}

fn remove(path: &PathBuf) -> String {
    let shown = path.display();
    match std::fs::remove_file(path) {
        Ok(()) => format!("removed {shown}, which a git of an earlier task left"),
        Err(error) => format!("could not remove {shown}, which an earlier task left: {error}"),
    }
}

/// Decides whether git may lock something in a directory of a repository.
fn is_locked_in(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let of_objects = path.parent().is_some_and(|parent| parent.ends_with("objects"));
    !(UNLOCKED.contains(&name.as_ref()) || (of_objects && name.len() == 2))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::remove_stale;

    #[test]
    fn locks_that_are_older_than_the_task_are_removed_wherever_git_makes_them() {
        let dir = tempfile::tempdir().unwrap();
        let git = dir.path();
        let stale = [
            "index.lock",
            "refs/heads/feature/x.lock",
            "modules/vendor/sub/index.lock",
            "objects/info/commit-graphs/commit-graph-chain.lock",
        ];
        for path in stale.iter().chain(&["index", "objects/ab/x.lock"]) {
            std::fs::create_dir_all(git.join(path).parent().unwrap()).unwrap();
            std::fs::write(git.join(path), "").unwrap();
        }
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("index.lock"), "").unwrap();
        std::os::unix::fs::symlink(outside.path(), git.join("linked")).unwrap();
        let hour = Duration::from_secs(3600);
        assert!(remove_stale(git, SystemTime::now() - hour).is_empty(), "of a git that may run");
        let lines = remove_stale(git, SystemTime::now() + hour);
        assert_eq!(lines.len(), stale.len(), "{lines:?}");
        assert!(stale.iter().all(|path| !git.join(path).exists()));
        assert!(git.join("index").exists() && git.join("objects/ab/x.lock").exists());
        assert!(outside.path().join("index.lock").exists());
    }
}
