//! The copies of archives that this machine keeps, so that what it had once is not fetched again.
//!
//! An archive is kept as it is. Where the file system can clone files, one that is used again is
//! also kept with its large contents apart ([`apart`]): from then on it is cloned into place,
//! without being read.
//!
//! Threats: content that one project's job wrote is never served to another, nor seen by it. So
//! there is a directory for each project, class and fork, in a directory of the slot that only root
//! may enter; the task agent is handed its own one open, before it gives up root, and can reach no
//! other. A job has the same user and still no way to it: the descriptor is not inherited, and the
//! task agent cannot be traced. And an archive is used only if its hash is the one that the
//! control plane has, so what was damaged or exchanged is fetched instead.

mod apart;
mod room;

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, fstatat, futimens};
use nix::sys::time::TimeSpec;

use crate::task::clean::files;

use self::room::{FREE_BYTES, free_bytes};

/// Time limit of removing a copy. The rest of it is removed another time.
const LONGEST: Duration = Duration::from_secs(20);

/// Prefix of the names of files that are not whole.
const DRAFT: &str = ".draft-";

/// The copies of one project, class and fork; or none, where this machine keeps none.
#[derive(Debug, Default)]
pub(crate) struct Local {
    dir: Option<OwnedFd>,
    drafts: AtomicU32,
}

/// Kind of a copy.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The archive, a file.
    Whole,
    /// A directory, with large contents apart.
    Apart,
}

/// A copy that is made.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    local: &'a Local,
    kind: Kind,
    /// Its name, until it has another one. `None`: it has none at all.
    name: Option<CString>,
}

impl Local {
    /// Takes a directory of this user, which was opened before.
    pub(crate) fn new(dir: OwnedFd) -> Self {
        Self { dir: Some(dir), drafts: AtomicU32::new(0) }
    }

    /// Removes what a task that was killed was about to write, and what is from another boot. Not
    /// for root to do.
    pub(crate) fn tidy(&self) {
        self.for_each(|dir, name| {
            if name.to_bytes().starts_with(DRAFT.as_bytes()) || apart::is_of_another_boot(name) {
                remove_copy(dir, name);
            }
        });
    }

    fn for_each(&self, mut what: impl FnMut(&OwnedFd, &CStr)) {
        let Some(dir) = &self.dir else { return };
        for name in files::list_names(dir).unwrap_or_default() {
            what(dir, &name);
        }
    }

    /// A new file: here, or in `elsewhere` without a name.
    pub(super) fn draft(&self, elsewhere: &Path) -> io::Result<(Draft<'_>, File)> {
        let Some(dir) = &self.dir else {
            let draft = Draft { local: self, kind: Kind::Whole, name: None };
            return Ok((draft, tempfile::tempfile_in(elsewhere)?));
        };
        let name = self.draft_name()?;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let file = openat(dir, name.as_c_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)?;
        Ok((Draft { local: self, kind: Kind::Whole, name: Some(name) }, File::from(file)))
    }

    fn draft_name(&self) -> io::Result<CString> {
        let number = self.drafts.fetch_add(1, Ordering::Relaxed);
        Ok(CString::new(format!("{DRAFT}{}-{number}", std::process::id()))?)
    }

    /// The archive with a hash, if it is here and whole.
    pub(super) fn open(&self, blake3: &str, size: u64) -> Option<File> {
        let dir = self.dir.as_ref()?;
        let name = file_name(blake3)?;
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = File::from(openat(dir, name.as_c_str(), flags, Mode::empty()).ok()?);
        let metadata = file.metadata().ok()?;
        if metadata.is_file() && metadata.len() == size && is_whole(&file, blake3) {
            mark_used(&file);
            return Some(file);
        }
        tracing::warn!(blake3, "a copy of an archive is damaged, and is removed");
        remove_copy(dir, &name);
        None
    }
}

impl Draft<'_> {
    /// Keeps it as a copy of the archive with this hash.
    pub(super) fn keep(mut self, blake3: &str) {
        let target = match self.kind {
            Kind::Whole => file_name(blake3),
            Kind::Apart => apart::directory_name(blake3),
        };
        let (Some(dir), Some(name), Some(target)) = (&self.local.dir, &self.name, target) else {
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
            remove_copy(dir, name);
        }
    }
}

/// Marks a copy as used: those stay longest.
fn mark_used(copy: impl std::os::fd::AsFd) {
    if let Err(error) = futimens(copy, &TimeSpec::UTIME_NOW, &TimeSpec::UTIME_NOW) {
        tracing::debug!(%error, "it is not noted that a copy was used");
    }
}

/// Removes a copy. One that cannot be removed only costs space.
fn remove_copy(dir: &OwnedFd, name: &CStr) {
    let removed = fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)
        .map_err(io::Error::from)
        .and_then(|stat| files::remove_entry(dir, name, &stat, Instant::now() + LONGEST));
    if let Err(error) = removed {
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
