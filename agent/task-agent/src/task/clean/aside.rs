//! Emptying the directories of earlier tasks that root moved aside, since the system refused to
//! delete something in them.
//!
//! They lie where only root can enter, so they are opened before the process becomes their user, and
//! it has no path to them. What made the system refuse may be over (a data vault whose service has
//! ended, a flag that somebody took away), or stay for ever.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{fstat, fstatat};
use russet_protocol::supervise::{LEFT_SUM, exit};

use super::{files, refusal};
use crate::stderr::{print_error, print_to_stderr};

/// Time for emptying: the slot may have a task soon, and it goes on the next time.
const MAX_EMPTYING_TIME: Duration = Duration::from_secs(20);

/// Time for measuring what is left of each.
const MAX_MEASURING_TIME: Duration = Duration::from_secs(5);

/// Levels of directories that are measured. Each costs a descriptor.
const MAX_LEVELS: usize = 64;

/// Empties open directories, and says what is left of them. Returns the exit code.
pub(crate) fn empty_aside(dirs: &[(PathBuf, OwnedFd)]) -> i32 {
    let until = Instant::now() + MAX_EMPTYING_TIME;
    let (mut code, mut bytes) = (exit::REPORTED, 0_u64);
    for (path, dir) in dirs {
        let Err(error) = files::empty_opened(dir, until) else { continue };
        print_error(&format!("could not empty {}: {error}", path.display()));
        bytes = bytes.saturating_add(measure_opened(dir));
        if !refusal::is_refusal(&error) {
            code = exit::NOT_REPORTED;
        } else if code == exit::REPORTED {
            code = exit::REFUSED;
        }
    }
    if code != exit::REPORTED {
        print_sum(bytes);
    }
    code
}

/// Says how much is left, in the form that the launch agent reads.
pub(super) fn print_sum(bytes: u64) {
    print_to_stderr(&format!("{bytes}{LEFT_SUM}"));
}

/// Measures what is in a directory, as far as it can be seen in the time.
pub(super) fn measure_path(path: &Path) -> u64 {
    files::open_directory(AT_FDCWD, path).map_or(0, |dir| measure_opened(&dir))
}

fn measure_opened(dir: &OwnedFd) -> u64 {
    let Ok(stat) = fstat(dir) else { return 0 };
    let until = Instant::now() + MAX_MEASURING_TIME;
    let mut measure = Measure { device: stat.st_dev, until, bytes: 0 };
    // What is not seen is not counted.
    let _all_seen = measure.contents(dir, 0);
    measure.bytes
}

struct Measure {
    device: libc::dev_t,
    until: Instant,
    bytes: u64,
}

impl Measure {
    /// Returns an error when the time is over.
    fn contents(&mut self, dir: &OwnedFd, level: usize) -> Result<(), Errno> {
        let Ok(names) = files::list_names(dir) else { return Ok(()) };
        for name in names {
            if Instant::now() > self.until {
                return Err(Errno::ETIMEDOUT);
            }
            let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
            let Ok(stat) = fstatat(dir, name.as_c_str(), flags) else { continue };
            if stat.st_dev != self.device {
                continue;
            }
            self.bytes = self.bytes.saturating_add(files::allocated_bytes(&stat));
            if files::is_directory(&stat)
                && level < MAX_LEVELS
                && let Ok(sub) = files::open_directory(dir, name.as_c_str())
            {
                self.contents(&sub, level + 1)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{empty_aside, measure_path};
    use russet_protocol::supervise::exit;
    use std::os::unix::fs::PermissionsExt;

    fn opened(path: &std::path::Path) -> (std::path::PathBuf, std::os::fd::OwnedFd) {
        (path.to_owned(), std::fs::File::open(path).unwrap().into())
    }

    #[test]
    fn a_directory_is_emptied_by_its_descriptor_whatever_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("home");
        std::fs::create_dir_all(home.join("Library/Containers/box")).unwrap();
        std::fs::write(home.join("Library/Containers/box/file"), vec![1; 30_000]).unwrap();
        let open = opened(&home);
        assert!(measure_path(&home) >= 30_000);
        std::fs::set_permissions(&home, PermissionsExt::from_mode(0o000)).unwrap();
        assert_eq!(empty_aside(&[open]), exit::REPORTED);
        assert_eq!(std::fs::read_dir(&home).unwrap().count(), 0);
        assert_eq!(measure_path(&home), 0);
    }

    #[test]
    fn nothing_that_is_moved_aside_is_measured_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (home, other) = (dir.path().join("home"), dir.path().join("other"));
        for path in [&home, &other] {
            std::fs::create_dir(path).unwrap();
        }
        std::fs::write(other.join("file"), vec![1; 300_000]).unwrap();
        std::os::unix::fs::symlink(&other, home.join("link")).unwrap();
        assert!(measure_path(&home) < 100_000);
    }
}
