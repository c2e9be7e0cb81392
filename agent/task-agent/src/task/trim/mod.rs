//! Trimming caches of the owner's by age and by room, as the user that they belong to.
//!
//! The launch agent names directories and starts this as their owner, when no task uses them. The
//! entries of such a directory (the project directories of DerivedData, the devices of a
//! simulator set) are measured and go as a whole, the least recently changed first.

mod plan;

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{FileStat, fstat, fstatat};
use nix::sys::statvfs::fstatvfs;
use russet_protocol::supervise::{TRIMMED_SUM, Trim, exit};

use self::plan::{Entry, Rules, plan_removal};
use super::clean::files;
use crate::stderr::{print_error, print_to_stderr};
use russet_text::format_size as size;

/// Time limit of measuring and of deleting, for all directories.
const LONGEST: Duration = Duration::from_secs(45);

/// Trims everything that is asked for, and returns the exit code.
pub(crate) fn trim_all(asked: &Trim, copies: &[(PathBuf, OwnedFd)]) -> i32 {
    let until = Instant::now() + LONGEST;
    let mut code = exit::REPORTED;
    let mut sum = 0_u64;
    let own = asked.paths.iter().map(|path| (path, trim_directory(path, asked, until)));
    let copies = copies.iter().map(|(path, dir)| (path, trim_contents(dir, asked, until)));
    for (path, done) in own.chain(copies) {
        match done {
            Ok(None) => {}
            Ok(Some((count, bytes))) => {
                sum = sum.saturating_add(bytes);
                print_to_stderr(&format!("removed {count} of {}: {}", path.display(), size(bytes)));
            }
            Err(error) => {
                print_error(&format!("could not trim {}: {error}", path.display()));
                code = exit::NOT_REPORTED;
            }
        }
    }
    if sum > 0 {
        print_to_stderr(&format!("removed {sum}{TRIMMED_SUM}"));
    }
    code
}

#[cfg_attr(
    target_os = "linux",
    expect(clippy::useless_conversion, reason = "it counts in 32 bits on macOS")
)]
fn free_bytes(top: &OwnedFd) -> io::Result<u64> {
    let room = fstatvfs(top)?;
    Ok(u64::from(room.blocks_available()).saturating_mul(room.fragment_size()))
}

/// Trims a directory; returns the number and size of removed entries. `None`: there was no reason.
fn trim_directory(path: &Path, asked: &Trim, until: Instant) -> io::Result<Option<(usize, u64)>> {
    trim_contents(&files::open_directory(AT_FDCWD, path)?, asked, until)
}

fn trim_contents(top: &OwnedFd, asked: &Trim, until: Instant) -> io::Result<Option<(usize, u64)>> {
    let stat = fstat(top)?;
    if stat.st_uid != nix::unistd::geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to somebody else"));
    }
    let rules = Rules {
        free: free_bytes(top)?,
        watermark: asked.watermark_bytes,
        max_age: asked.max_age_ms.map(Duration::from_millis),
    };
    if asked.everything {
        return remove_all(top, until);
    }
    if rules.max_age.is_none() && rules.watermark.is_none_or(|watermark| rules.free >= watermark) {
        return Ok(None);
    }
    let names = measure_entry(top, stat.st_dev, until)?;
    let entries: Vec<Entry> = names.iter().map(|(_, entry)| *entry).collect();
    let going = plan_removal(&entries, rules);
    // Deleting has as much time again: what was measured for nothing would be measured again.
    let until = Instant::now() + LONGEST;
    let (mut count, mut bytes) = (0, 0);
    for (name, _) in going.iter().filter_map(|index| names.get(*index)) {
        let Ok(stat) = fstatat(top, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) else {
            continue;
        };
        bytes += files::remove_entry(top, name, &stat, until)?;
        count += 1;
    }
    Ok((count > 0).then_some((count, bytes)))
}

/// Removes everything, whatever its age.
fn remove_all(top: &OwnedFd, until: Instant) -> io::Result<Option<(usize, u64)>> {
    let (mut count, mut bytes) = (0, 0);
    for name in files::list_names(top)? {
        let stat = fstatat(top, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        bytes += files::remove_entry(top, &name, &stat, until)?;
        count += 1;
    }
    Ok((count > 0).then_some((count, bytes)))
}

/// The entries, each with everything that is in it.
fn measure_entry(
    top: &OwnedFd,
    device: libc::dev_t,
    until: Instant,
) -> io::Result<Vec<(CString, Entry)>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut found = Vec::new();
    for name in files::list_names(top)? {
        let Ok(stat) = fstatat(top, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) else {
            continue;
        };
        let mut sum = Sum { bytes: 0, changed: 0, device, until };
        sum.add(top, &name, &stat)?;
        let changed = Duration::from_secs(u64::try_from(sum.changed).unwrap_or(0));
        found.push((name, Entry { bytes: sum.bytes, age: now.saturating_sub(changed) }));
    }
    Ok(found)
}

struct Sum {
    bytes: u64,
    /// The latest change, in seconds since 1970.
    changed: i64,
    device: libc::dev_t,
    until: Instant,
}

impl Sum {
    fn add(&mut self, dir: &OwnedFd, name: &std::ffi::CStr, stat: &FileStat) -> io::Result<()> {
        if Instant::now() > self.until {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it takes too long to measure"));
        }
        self.bytes = self.bytes.saturating_add(files::allocated_bytes(stat));
        self.changed = self.changed.max(stat.st_mtime);
        if !files::is_directory(stat) || stat.st_dev != self.device {
            return Ok(());
        }
        // What cannot be read is not measured, and fails when it is to be removed.
        let Ok(sub) = files::open_directory(dir, name) else { return Ok(()) };
        for name in files::list_names(&sub)? {
            if let Ok(stat) = fstatat(&sub, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
                self.add(&sub, &name, &stat)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::trim_directory;
    use russet_protocol::supervise::Trim;
    use std::path::Path;
    use std::time::{Duration, Instant, SystemTime};

    fn entry(top: &Path, name: &str, hours: u64) {
        let dir = top.join(name).join("deep");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("file"), vec![1; 50_000]).unwrap();
        let then = SystemTime::now() - Duration::from_secs(hours * 3600);
        for path in [&dir.join("file"), &dir, &top.join(name)] {
            std::fs::File::open(path).unwrap().set_modified(then).unwrap();
        }
    }

    fn trim(top: &Path, watermark: Option<u64>, hours: Option<u64>) -> Option<(usize, u64)> {
        let asked = Trim {
            paths: Vec::new(),
            copies: Vec::new(),
            watermark_bytes: watermark,
            max_age_ms: hours.map(|hours| hours * 3_600_000),
            everything: false,
        };
        trim_directory(top, &asked, Instant::now() + Duration::from_secs(60)).unwrap()
    }

    #[test]
    fn old_entries_go_with_all_that_is_in_them_and_what_was_used_lately_stays() {
        let top = tempfile::tempdir().unwrap();
        for (name, hours) in [("old", 800), ("recent", 5), ("used", 800)] {
            entry(top.path(), name, hours);
        }
        // One file deep in it was changed just now.
        std::fs::write(top.path().join("used/deep/file"), "x").unwrap();
        assert_eq!(trim(top.path(), None, None), None);
        assert_eq!(trim(top.path(), Some(0), None), None);
        let (count, bytes) = trim(top.path(), None, Some(700)).unwrap();
        assert_eq!(count, 1);
        assert!(bytes >= 50_000, "{bytes}");
        assert!(!top.path().join("old").exists());
        // No disk has that much room, so everything goes that is not in use.
        assert_eq!(trim(top.path(), Some(u64::MAX), None).unwrap().0, 1);
        assert!(!top.path().join("recent").exists() && top.path().join("used").exists());
    }

    #[test]
    fn a_link_in_the_place_of_a_cache_is_not_followed() {
        let (top, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        entry(other.path(), "old", 800);
        let link = top.path().join("link");
        std::os::unix::fs::symlink(other.path(), &link).unwrap();
        let asked = Trim {
            paths: vec![],
            copies: vec![],
            watermark_bytes: Some(u64::MAX),
            max_age_ms: None,
            everything: false,
        };
        trim_directory(&link, &asked, Instant::now() + Duration::from_secs(60)).unwrap_err();
        // Nor is one inside.
        std::os::unix::fs::symlink(other.path(), top.path().join("inside")).unwrap();
        trim(top.path(), Some(u64::MAX), None);
        assert!(other.path().join("old").exists());
    }
}
