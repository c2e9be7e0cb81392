//! Trimming caches of the owner's by age and by room, as the user that they belong to.
//!
//! The launch agent names directories and starts this as their owner, when no task uses them. The
//! entries of such a directory (the project directories of DerivedData, the devices of a
//! simulator set) are measured and go as a whole, the least recently changed first. A look that runs
//! out of time is gone on with by the next one.

mod memory;
mod plan;

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::fcntl::{AT_FDCWD, AtFlags, Flock};
use nix::sys::stat::{FileStat, fstat, fstatat};
use nix::sys::statvfs::fstatvfs;
use russet_protocol::supervise::{TRIMMED_SUM, Trim, exit};

use self::memory::Memory;
use self::plan::{Known, Next, Queue, Rules};
use super::clean::files;
use crate::stderr::{print_error, print_to_stderr};
use russet_text::format_size as size;

/// Time limit of measuring and of deleting, for all directories.
const LONGEST: Duration = Duration::from_secs(45);

/// Time limit of emptying sets that go: their slot waits for it.
const GONE_TIMEOUT: Duration = Duration::from_secs(20);

/// Trims everything that is asked for, and returns the exit code.
pub(crate) fn trim_all(
    asked: &Trim,
    copies: &[(PathBuf, OwnedFd)],
    gone: &[(PathBuf, Flock<OwnedFd>)],
    memory: Option<File>,
) -> i32 {
    empty_gone(gone);
    let (until, memory) = (Instant::now() + LONGEST, Memory::read(memory));
    let mut trimming = Trimming { asked, until, memory };
    let mut code = exit::REPORTED;
    let mut sum = 0_u64;
    let mut tell = |path: &Path, done: io::Result<Option<(usize, u64)>>| match done {
        Ok(None) => {}
        Ok(Some((count, bytes))) => {
            sum = sum.saturating_add(bytes);
            print_to_stderr(&format!("removed {count} of {}: {}", path.display(), size(bytes)));
        }
        Err(error) => {
            print_error(&format!("could not trim {}: {error}", path.display()));
            code = exit::NOT_REPORTED;
        }
    };
    for path in &asked.paths {
        tell(path, trim_directory(path, &mut trimming));
    }
    for (path, dir) in copies {
        tell(path, trimming.trim_contents(path, dir));
    }
    if let Err(error) = trimming.memory.write() {
        print_error(&format!("the next look at caches begins anew: {error}"));
    }
    if sum > 0 {
        print_to_stderr(&format!("removed {sum}{TRIMMED_SUM}"));
    }
    code
}

/// Empties sets that go. What takes longer goes on the next time.
fn empty_gone(gone: &[(PathBuf, Flock<OwnedFd>)]) {
    let until = Instant::now() + GONE_TIMEOUT;
    for (path, dir) in gone {
        match remove_all(dir, until) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return,
            Err(error) => print_error(&format!("could not empty {}: {error}", path.display())),
        }
    }
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
fn trim_directory(path: &Path, trimming: &mut Trimming<'_>) -> io::Result<Option<(usize, u64)>> {
    trimming.trim_contents(path, &files::open_directory(AT_FDCWD, path)?)
}

/// A run over all caches of a user.
struct Trimming<'a> {
    asked: &'a Trim,
    /// Time at which measuring ends.
    until: Instant,
    memory: Memory,
}

impl Trimming<'_> {
    fn trim_contents(&mut self, path: &Path, top: &OwnedFd) -> io::Result<Option<(usize, u64)>> {
        let stat = fstat(top)?;
        if stat.st_uid != nix::unistd::geteuid().as_raw() {
            let text = "it belongs to somebody else";
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        let rules = Rules {
            free: free_bytes(top)?,
            watermark: self.asked.watermark_bytes,
            max_age: self.asked.max_age_ms.map(Duration::from_millis),
        };
        if self.asked.everything {
            return remove_all(top, self.until);
        }
        let is_short = rules.watermark.is_some_and(|watermark| rules.free < watermark);
        if rules.max_age.is_none() && !is_short {
            return Ok(None);
        }
        let mut entries = self.list_entries(path, top)?;
        let removed = remove_oldest(top, stat.st_dev, &mut entries, rules, self.until);
        let left = entries.iter().filter(|entry| !entry.is_gone);
        let left: Vec<_> = left.map(|entry| (entry.name.as_c_str(), entry.known)).collect();
        self.memory.note(path, &left);
        let (count, bytes) = removed?;
        Ok((count > 0).then_some((count, bytes)))
    }

    /// Lists the entries, with what is known of them before they are measured.
    fn list_entries(&self, path: &Path, top: &OwnedFd) -> io::Result<Vec<CacheEntry>> {
        let entry = |name: CString| {
            let stat = fstatat(top, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW).ok()?;
            let known = self.memory.known(path, &name, stat.st_mtime);
            Some(CacheEntry { name, known, is_gone: false })
        };
        Ok(files::list_names(top)?.into_iter().filter_map(entry).collect())
    }
}

/// Entry of a cache.
struct CacheEntry {
    name: CString,
    known: Known,
    is_gone: bool,
}

/// Measures and removes entries, the oldest first, as long as there are reason and time. Returns the
/// number and size of those that it removed.
fn remove_oldest(
    top: &OwnedFd,
    device: libc::dev_t,
    entries: &mut [CacheEntry],
    rules: Rules,
    until: Instant,
) -> io::Result<(usize, u64)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let known: Vec<Known> = entries.iter().map(|entry| entry.known).collect();
    let mut queue = Queue::new(&known, rules, i64::try_from(now).unwrap_or(i64::MAX));
    let (mut count, mut bytes) = (0, 0);
    loop {
        let (index, is_removed) = match queue.next_step() {
            Next::Measure(index) => (index, false),
            Next::Remove(index) => (index, true),
            Next::Done => return Ok((count, bytes)),
        };
        let Some(entry) = entries.get_mut(index) else { continue };
        // It may be gone by itself.
        let Ok(stat) = fstatat(top, entry.name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW) else {
            entry.is_gone = true;
            continue;
        };
        if is_removed {
            // Deleting has as much time again: what was measured for nothing would be measured again.
            let freed = files::remove_entry(top, &entry.name, &stat, until + LONGEST)?;
            entry.is_gone = true;
            queue.note_removed(freed);
            (count, bytes) = (count + 1, bytes + freed);
            continue;
        }
        let mut latest = Latest { changed: entry.known.changed, device, until };
        let is_whole = latest.look(top, &entry.name, &stat)?;
        entry.known = Known { changed: latest.changed, is_unfinished: !is_whole };
        if !is_whole {
            // The next run goes on.
            return Ok((count, bytes));
        }
        queue.note_measured(index, latest.changed);
    }
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

/// Latest change in an entry.
struct Latest {
    /// In seconds since 1970.
    changed: i64,
    device: libc::dev_t,
    until: Instant,
}

impl Latest {
    /// Looks at everything in it. False: there is not time enough.
    fn look(&mut self, dir: &OwnedFd, name: &std::ffi::CStr, stat: &FileStat) -> io::Result<bool> {
        if Instant::now() > self.until {
            return Ok(false);
        }
        self.changed = self.changed.max(stat.st_mtime);
        if !files::is_directory(stat) || stat.st_dev != self.device {
            return Ok(true);
        }
        // What cannot be read is not measured, and fails when it is to be removed.
        let Ok(sub) = files::open_directory(dir, name) else { return Ok(true) };
        for name in files::list_names(&sub)? {
            if let Ok(stat) = fstatat(&sub, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW)
                && !self.look(&sub, &name, &stat)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::{Memory, Trimming, trim_directory};
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
            gone: Vec::new(),
            memory: None,
        };
        trim_directory(top, &mut trimming(&asked, Duration::from_secs(60))).unwrap()
    }

    fn trimming(asked: &Trim, time: Duration) -> Trimming<'_> {
        Trimming { asked, until: Instant::now() + time, memory: Memory::default() }
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
    fn a_look_that_runs_out_of_time_is_gone_on_with() {
        let top = tempfile::tempdir().unwrap();
        for (name, hours) in [("a", 900), ("b", 800)] {
            entry(top.path(), name, hours);
        }
        let asked = Trim {
            paths: Vec::new(),
            copies: Vec::new(),
            watermark_bytes: None,
            max_age_ms: Some(3_600_000),
            everything: false,
            gone: Vec::new(),
            memory: None,
        };
        let mut run = trimming(&asked, Duration::ZERO);
        run.until = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        assert_eq!(trim_directory(top.path(), &mut run).unwrap(), None);
        // The one that time ran out for is not in the way of the other.
        run.until = Instant::now() + Duration::from_secs(60);
        let removed = trim_directory(top.path(), &mut run).unwrap();
        assert_eq!(removed.unwrap().0, 2);
        assert_eq!(std::fs::read_dir(top.path()).unwrap().count(), 0);
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
            gone: Vec::new(),
            memory: None,
        };
        trim_directory(&link, &mut trimming(&asked, Duration::from_secs(60))).unwrap_err();
        // Nor is one inside.
        std::os::unix::fs::symlink(other.path(), top.path().join("inside")).unwrap();
        trim(top.path(), Some(u64::MAX), None);
        assert!(other.path().join("old").exists());
    }
}
