//! Deleting what a job left on disk.
//!
//! The tree was made by somebody who may have wanted to make deleting it hard or dangerous:
//! links to elsewhere, directories without permissions, a path of ten thousand levels, a process
//! that swaps a directory for a link while we look. So everything is relative to an open
//! directory, links are never followed, permissions are given back first, and deep directories
//! are moved up before they are entered, other file systems are not entered at all, and flags and
//! access lists that forbid deletion are taken away where the owner may do that. This runs as the
//! slot's user, so even a mistake stays with its own files.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Instant;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, SFlag, fchmod, fchmodat, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use russet_platform::os;

use super::listing::{Listing, MAX_NAMES};
use super::refusal::graver_error;

/// Directories below this depth are moved to the top before they are entered: each level costs
/// a descriptor and stack.
const MOST_LEVELS: usize = 64;

/// Empties a directory that belongs to this process's user. One that is not there is empty.
pub(super) fn empty_directory(dir: &Path, until: Instant) -> io::Result<()> {
    let Some((top, stat)) = open_own(AT_FDCWD, &c_path(dir)?)? else { return Ok(()) };
    empty_open(&top, &stat, until, None)
}

/// Empties a directory of this process's user that was opened by somebody who can reach it.
pub(super) fn empty_opened(top: &OwnedFd, until: Instant) -> io::Result<()> {
    // Its mode is whatever a job made of it.
    fchmod(top, Mode::S_IRWXU)?;
    empty_open(top, &fstat(top)?, until, None)
}

/// Empties an open directory, and adds up what was in it where `bytes` is asked for.
fn empty_open(
    top: &OwnedFd,
    stat: &FileStat,
    until: Instant,
    mut bytes: Option<&mut u64>,
) -> io::Result<()> {
    let device = stat.st_dev;
    let mut moved = 0;
    loop {
        let before = moved;
        let bytes = bytes.as_deref_mut();
        let mut sweep = Sweep { top: top.try_clone()?, device, until, moved, error: None, bytes };
        sweep.contents(top.try_clone()?, 0)?;
        if let Some(error) = sweep.error {
            return Err(error.into());
        }
        // What was moved up is emptied in the next round; time is what bounds them.
        moved = sweep.moved;
        if moved == before {
            return Ok(());
        }
    }
}

/// Leaves only files in a directory of this process's user, and rights to read and write them.
///
/// Threat: the directory is a spool that a job could write to. A FIFO in the place of a log would
/// hold its reader up for ever, and with it the slot; a link would send a file of somebody else; a
/// mode without rights would keep what is there from being sent. A directory that stays is in the
/// way of nothing but its own name.
pub(in crate::task) fn keep_files(dir: &Path, until: Instant) -> io::Result<()> {
    let Some((top, _)) = open_own(AT_FDCWD, &c_path(dir)?)? else { return Ok(()) };
    let rights = Mode::S_IRUSR | Mode::S_IWUSR;
    for name in list_names(&top)? {
        let stat = fstatat(&top, name.as_c_str(), AtFlags::AT_SYMLINK_NOFOLLOW)?;
        let removed = match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
            SFlag::S_IFREG if Mode::from_bits_truncate(stat.st_mode).contains(rights) => Ok(0),
            SFlag::S_IFREG => {
                let follow = FchmodatFlags::FollowSymlink;
                Ok(fchmodat(&top, name.as_c_str(), rights, follow).map(|()| 0)?)
            }
            _ => remove_entry(&top, &name, &stat, until),
        };
        if let Err(error) = removed
            && !is_directory(&stat)
        {
            return Err(error);
        }
    }
    Ok(())
}

/// Removes one entry of an open directory, with everything in it. Says how many bytes it had.
pub(crate) fn remove_entry(
    dir: &OwnedFd,
    name: &CStr,
    stat: &FileStat,
    until: Instant,
) -> io::Result<u64> {
    let mut bytes = allocated_bytes(stat);
    if is_directory(stat) {
        if let Some((sub, stat)) = open_own(dir, name)? {
            empty_open(&sub, &stat, until, Some(&mut bytes))?;
        }
        unlink_entry(dir, name, UnlinkatFlags::RemoveDir)?;
    } else {
        unlink_entry(dir, name, UnlinkatFlags::NoRemoveDir)?;
    }
    Ok(bytes)
}

struct Sweep<'a> {
    top: OwnedFd,
    /// The file system that is emptied; others that are mounted in it are not.
    device: libc::dev_t,
    until: Instant,
    /// Number of deep directories that were moved to the top, to be emptied in the next round.
    moved: u64,
    /// The gravest error so far.
    error: Option<Errno>,
    bytes: Option<&'a mut u64>,
}

impl Sweep<'_> {
    fn contents(&mut self, dir: OwnedFd, level: usize) -> io::Result<()> {
        loop {
            let (mut count, mut failed) = (0, 0);
            let mut listing = Listing::open(&dir)?;
            loop {
                let names = listing.next_names()?;
                if names.is_empty() {
                    break;
                }
                count += names.len();
                for name in names {
                    if Instant::now() > self.until {
                        let text = "there is too much in it";
                        return Err(io::Error::new(io::ErrorKind::TimedOut, text));
                    }
                    if let Err(error) = self.entry(&dir, &name.name, level)? {
                        failed += 1;
                        self.error = Some(graver_error(self.error, error));
                    }
                }
            }
            // Where names are removed while the rest is read, some systems skip names.
            if count <= MAX_NAMES || failed == count {
                return Ok(());
            }
        }
    }

    /// The outer error ends everything, the inner one is about this entry only.
    fn entry(&mut self, dir: &OwnedFd, name: &CStr, level: usize) -> io::Result<Result<(), Errno>> {
        if let Some(bytes) = self.bytes.as_deref_mut()
            && let Ok(stat) = fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)
        {
            *bytes = bytes.saturating_add(allocated_bytes(&stat));
        }
        match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => return Ok(Ok(())),
            // Linux says EISDIR for a directory, POSIX and macOS EPERM; EPERM and EACCES are also
            // what a file says that is protected.
            Err(Errno::EISDIR | Errno::EPERM | Errno::EACCES) => {}
            Err(error) => return Ok(Err(error)),
        }
        match fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) if is_directory(&stat) => {}
            Ok(_) => return Ok(unlink_entry(dir, name, UnlinkatFlags::NoRemoveDir)),
            Err(Errno::ENOENT) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        }
        if level >= MOST_LEVELS {
            self.moved += 1;
            let target = format!(".deep-{}-{}", std::process::id(), self.moved);
            return Ok(renameat(dir, name, &self.top, target.as_str()));
        }
        let (sub, stat) = match open_own(dir, name) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Ok(())),
            Err(error) => return Ok(Err(errno(&error))),
        };
        if stat.st_dev != self.device {
            // What is mounted here may be the owner's, and is not the task's to empty.
            return Ok(Err(Errno::EBUSY));
        }
        // What the system does not let its user list leaves the rest to be deleted.
        match self.contents(sub, level + 1) {
            Err(error) if error.raw_os_error().is_some() => return Ok(Err(errno(&error))),
            other => other?,
        }
        // It can fail: something deep in it was moved out and something else could not be removed.
        Ok(unlink_entry(dir, name, UnlinkatFlags::RemoveDir))
    }
}

/// Removes a name. One that is protected by flags or an access list loses them first, and so
/// does the directory that it is in.
fn unlink_entry(dir: &OwnedFd, name: &CStr, flags: UnlinkatFlags) -> Result<(), Errno> {
    let removed = retry_unprotected(
        || unlinkat(dir, name, flags),
        || os::unprotect(dir.as_fd(), name) | os::unprotect(dir.as_fd(), c"."),
    );
    match removed {
        Err(Errno::ENOENT) => Ok(()),
        other => other,
    }
}

/// Tries something; where it is forbidden, takes the protection away and tries once more.
fn retry_unprotected<T>(
    mut attempt: impl FnMut() -> Result<T, Errno>,
    unprotect: impl Fn() -> bool,
) -> Result<T, Errno> {
    match attempt() {
        Err(Errno::EPERM | Errno::EACCES) if unprotect() => attempt(),
        other => other,
    }
}

/// Opens a directory, with permissions to read and empty it. `None`: it is not there.
fn open_own(dir: impl AsFd + Copy, name: &CStr) -> io::Result<Option<(OwnedFd, FileStat)>> {
    let stat = match fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => stat,
        Err(Errno::ENOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !is_directory(&stat) {
        return Err(Errno::ENOTDIR.into());
    }
    if stat.st_mode & 0o700 != 0o700 {
        // A link that is swapped in now leads to a file of the same user at worst, since only
        // an owner may change permissions.
        retry_unprotected(
            || fchmodat(dir, name, Mode::S_IRWXU, FchmodatFlags::FollowSymlink),
            || os::unprotect(dir.as_fd(), name),
        )?;
    }
    let sub = retry_unprotected(|| open_directory(dir, name), || os::unprotect(dir.as_fd(), name))?;
    Ok(Some((sub, stat)))
}

/// Opens a directory, following no link at its end.
pub(crate) fn open_directory<P: ?Sized + nix::NixPath>(
    dir: impl AsFd,
    name: &P,
) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    openat(dir, name, flags, Mode::empty())
}

pub(crate) fn is_directory(stat: &FileStat) -> bool {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR
}

/// Returns the space that a file takes on disk. A file with other names frees nothing.
pub(crate) fn allocated_bytes(stat: &FileStat) -> u64 {
    if stat.st_nlink > 1 && !is_directory(stat) {
        return 0;
    }
    u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512)
}

/// The names in a directory. Collected first: deleting while listing skips entries on some
/// systems.
pub(crate) fn list_names(dir: &OwnedFd) -> io::Result<Vec<CString>> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    // A descriptor of its own, since the position in the listing is shared by clones.
    let listing = openat(dir, ".", flags, Mode::empty())?;
    let mut dir = Dir::from_fd(listing)?;
    let mut names = Vec::new();
    for entry in dir.iter() {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{empty_directory, keep_files, retry_unprotected};
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::time::{Duration, Instant};

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn a_tree_that_does_not_want_to_go_goes_and_nothing_else() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("keep"), b"x").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let sub = dir.path().join("sub");
        std::fs::create_dir(&sub).unwrap();
        std::fs::write(sub.join("file"), b"x").unwrap();
        symlink(outside.path(), sub.join("link")).unwrap();
        std::fs::set_permissions(&sub, std::fs::Permissions::from_mode(0o000)).unwrap();
        empty_directory(dir.path(), soon()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(outside.path().join("keep").exists());
        empty_directory(&dir.path().join("none"), soon()).unwrap();
        let link = outside.path().join("link");
        symlink("/etc", &link).unwrap();
        empty_directory(&link, soon()).unwrap_err();
    }

    #[test]
    fn more_names_than_are_read_at_once_all_go() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..3 * super::MAX_NAMES {
            std::fs::write(dir.path().join(number.to_string()), b"").unwrap();
        }
        empty_directory(dir.path(), soon()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_spool_without_rights_keeps_its_files_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let spool = dir.path().join("spool");
        let closed = |path: &std::path::Path| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o000)).unwrap();
        };
        std::fs::create_dir_all(spool.join("2.log/sub")).unwrap();
        std::fs::write(spool.join("2.log/sub/file"), b"x").unwrap();
        std::fs::write(spool.join("1.log"), b"output").unwrap();
        symlink("/etc/passwd", spool.join("3.log")).unwrap();
        nix::unistd::mkfifo(&spool.join("4.log"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        [spool.join("2.log/sub"), spool.join("1.log"), spool.clone()]
            .iter()
            .for_each(|path| closed(path));
        keep_files(&spool, soon()).unwrap();
        let names: Vec<_> =
            std::fs::read_dir(&spool).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["1.log"]);
        let mode = std::fs::metadata(spool.join("1.log")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_thousand_levels_are_no_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join(["d"; 1000].join("/"));
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("end"), b"x").unwrap();
        empty_directory(dir.path(), soon()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_forbids_it_is_taken_away_once() {
        use nix::errno::Errno;
        use std::cell::Cell;
        let (tries, locked) = (Cell::new(0), Cell::new(true));
        let attempt = || {
            tries.set(tries.get() + 1);
            if locked.get() { Err(Errno::EPERM) } else { Ok(()) }
        };
        let unlock = || {
            locked.set(false);
            true
        };
        retry_unprotected(attempt, unlock).unwrap();
        assert_eq!(tries.get(), 2);
        locked.set(true);
        assert_eq!(retry_unprotected(attempt, || true), Err(Errno::EPERM));
        assert_eq!(retry_unprotected(attempt, || false), Err(Errno::EPERM));
        assert_eq!(tries.get(), 5);
        // Another error is not about protection.
        let gone = || -> Result<(), Errno> { Err(Errno::ENOENT) };
        assert_eq!(retry_unprotected(gone, || panic!("nothing to take away")), Err(Errno::ENOENT));
    }

    #[test]
    fn a_file_system_that_is_mounted_inside_is_left_alone() {
        if !russet_test_skip::can_be_root("to have files of others") {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let mounted = dir.path().join("mounted");
        std::fs::create_dir(&mounted).unwrap();
        let status = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "tmpfs"])
            .arg(&mounted)
            .stderr(std::process::Stdio::null())
            .status();
        if !status.is_ok_and(|status| status.success()) {
            // A container may forbid it.
            return;
        }
        std::fs::write(mounted.join("keep"), b"x").unwrap();
        let error = empty_directory(dir.path(), soon()).unwrap_err();
        let kept = mounted.join("keep").exists();
        std::process::Command::new("umount").arg(&mounted).status().unwrap();
        assert_eq!(error.raw_os_error(), Some(libc::EBUSY));
        assert!(kept);
    }
}
