//! The copies of archives that this machine keeps, so that what it had once is not fetched again.
//!
//! Threats: content that one project's job wrote is never served to another, nor seen by it. So
//! there is a directory for each project, class and fork, in a directory of the slot that only root
//! may enter; the task agent is handed its own one open, before it gives up root, and can reach no
//! other. A job has the same user and still no way to it: the descriptor is not inherited, and the
//! task agent can not be traced. And an archive is used only if its hash is the one that the control
//! plane has, so what was damaged or exchanged is fetched instead.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, SFlag, fstatat, futimens};
use nix::sys::statvfs::fstatvfs;
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::task::clean::files;

/// Bytes of one project, class and fork, at most; what was used least recently goes first.
const MOST_BYTES: u64 = 20 << 30;

/// Where less than this is free afterwards, nothing is kept.
const FREE_BYTES: u64 = 5 << 30;

/// What names of files begin with that are not whole.
const DRAFT: &str = ".draft-";

/// The copies of one project, class and fork; or none, where this machine keeps none.
#[derive(Debug, Default)]
pub(crate) struct Local {
    dir: Option<OwnedFd>,
    drafts: AtomicU32,
}

/// A file that an archive is written to.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    local: &'a Local,
    /// Its name, until it has another one. `None`: it has none at all.
    name: Option<CString>,
}

impl Local {
    /// Takes a directory of this user, which was opened before.
    pub(crate) fn new(dir: OwnedFd) -> Self {
        Self { dir: Some(dir), drafts: AtomicU32::new(0) }
    }

    /// Removes what a task that was killed was about to write. Not for root to do.
    pub(crate) fn tidy(&self) {
        self.for_each(|dir, name| {
            if name.to_bytes().starts_with(DRAFT.as_bytes()) {
                remove(dir, name);
            }
        });
    }

    fn for_each(&self, mut what: impl FnMut(&OwnedFd, &CStr)) {
        let Some(dir) = &self.dir else { return };
        for name in files::names(dir).unwrap_or_default() {
            what(dir, &name);
        }
    }

    /// A new file: here, or in `elsewhere` without a name.
    pub(super) fn draft(&self, elsewhere: &Path) -> io::Result<(Draft<'_>, File)> {
        let Some(dir) = &self.dir else {
            return Ok((Draft { local: self, name: None }, tempfile::tempfile_in(elsewhere)?));
        };
        let number = self.drafts.fetch_add(1, Ordering::Relaxed);
        let name = CString::new(format!("{DRAFT}{}-{number}", std::process::id()))?;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let file = openat(dir, name.as_c_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        Ok((Draft { local: self, name: Some(name) }, File::from(file)))
    }

    /// The archive with a hash, if it is here and whole.
    pub(super) fn open(&self, blake3: &str, size: u64) -> Option<File> {
        let dir = self.dir.as_ref()?;
        let name = file_name(blake3)?;
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = File::from(openat(dir, name.as_c_str(), flags, Mode::empty()).ok()?);
        let metadata = file.metadata().ok()?;
        if metadata.is_file() && metadata.len() == size && is_whole(&file, blake3) {
            // What is used stays longest.
            if let Err(error) = futimens(&file, &TimeSpec::UTIME_NOW, &TimeSpec::UTIME_NOW) {
                tracing::debug!(%error, "it is not noted that a copy was used");
            }
            return Some(file);
        }
        tracing::warn!(blake3, "a copy of an archive is damaged, and is removed");
        remove(dir, &name);
        None
    }

    /// Removes what was used least recently until there is room for what is kept now.
    fn make_room(&self, dir: &OwnedFd) {
        let mut all: Vec<(i64, u64, CString)> = Vec::new();
        self.for_each(|dir, name| {
            if let Ok(stat) = fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)
                && SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG
            {
                all.push((stat.st_mtime, files::allocated(&stat), name.to_owned()));
            }
        });
        all.sort_unstable_by(|one, other| other.cmp(one));
        let mut sum = 0_u64;
        for (_, bytes, name) in all {
            sum = sum.saturating_add(bytes);
            if sum > MOST_BYTES {
                remove(dir, &name);
            }
        }
    }
}

impl Draft<'_> {
    /// Keeps the file as the archive with this hash.
    pub(super) fn keep(mut self, blake3: &str) {
        let (Some(dir), Some(name), Some(target)) =
            (&self.local.dir, &self.name, file_name(blake3))
        else {
            return;
        };
        if free_bytes(dir) < FREE_BYTES {
            return;
        }
        if renameat(dir, name.as_c_str(), dir, target.as_c_str()).is_ok() {
            self.local.make_room(dir);
            self.name = None;
        }
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if let (Some(dir), Some(name)) = (&self.local.dir, &self.name) {
            remove(dir, name);
        }
    }
}

#[cfg_attr(
    target_os = "linux",
    expect(clippy::useless_conversion, reason = "it counts in 32 bits on macOS")
)]
fn free_bytes(dir: &OwnedFd) -> u64 {
    let free = |room: nix::sys::statvfs::Statvfs| {
        u64::from(room.blocks_available()).saturating_mul(room.fragment_size())
    };
    fstatvfs(dir).map_or(0, free)
}

/// What can not be removed costs room only.
fn remove(dir: &OwnedFd, name: &CStr) {
    if let Err(error) = unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
        tracing::debug!(%error, "a copy of an archive stays");
    }
}

/// A hash as a name, if it is one.
fn file_name(blake3: &str) -> Option<CString> {
    let is_hash = blake3.len() == 64 && blake3.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| CString::new(blake3).ok()).flatten()
}

fn is_whole(file: &File, blake3: &str) -> bool {
    let (mut hash, mut buffer, mut file) = (blake3::Hasher::new(), vec![0; 256 * 1024], file);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                hash.update(buffer.get(..count).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    let rewound = io::Seek::rewind(&mut file);
    rewound.is_ok() && hash.finalize().to_hex().as_str() == blake3
}

/// Opens the directory of the copies, while this process is still root.
///
/// Its parent is root's and nobody else may enter it, so nobody can have put anything else there;
/// that it is a directory of the slot's user is looked at again all the same.
pub(crate) fn open(path: &Path, uid: u32) -> Result<OwnedFd, Errno> {
    let dir = files::open_directory(nix::fcntl::AT_FDCWD, path)?;
    let stat = nix::sys::stat::fstat(&dir)?;
    if stat.st_uid == uid { Ok(dir) } else { Err(Errno::EACCES) }
}

#[cfg(test)]
mod tests {
    use super::{Local, open};
    use std::io::{Read as _, Write as _};
    use std::path::Path;

    fn local(dir: &Path) -> Local {
        Local::new(open(dir, nix::unistd::geteuid().as_raw()).unwrap())
    }

    #[test]
    fn what_is_kept_is_found_by_its_hash_and_what_is_damaged_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let local = local(dir.path());
        let hash = blake3::hash(b"archive").to_hex().to_string();
        let (draft, mut file) = local.draft(Path::new("/")).unwrap();
        file.write_all(b"archive").unwrap();
        assert!(local.open(&hash, 7).is_none());
        draft.keep(&hash);
        if std::fs::read_dir(dir.path()).unwrap().count() == 0 {
            // This disk is full.
            return;
        }
        let mut text = String::new();
        local.open(&hash, 7).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "archive");
        std::fs::write(dir.path().join(&hash), "Archive").unwrap();
        assert!(local.open(&hash, 7).is_none());
        assert!(!dir.path().join(&hash).exists());
        assert!(local.open("../../etc/passwd", 7).is_none());
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join(&hash)).unwrap();
        assert!(local.open(&hash, 7).is_none());
    }

    #[test]
    fn drafts_do_not_stay() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(".draft-1-1"), "x").unwrap();
        let local = local(dir.path());
        local.tidy();
        drop(local.draft(Path::new("/")).unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let none = Local::default();
        let (draft, mut file) = none.draft(dir.path()).unwrap();
        file.write_all(b"x").unwrap();
        draft.keep(&"0".repeat(64));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
