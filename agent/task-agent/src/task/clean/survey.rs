//! Looking for the directories of this machine where everybody may write, for the clean-up.
//!
//! It is done by a process that became nobody: it sees what every user of a slot sees, and nothing
//! that it meets on the way can do harm. A directory in one that is listed is not listed, where the
//! clean-up comes to it by itself.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::stat::{FileStat, fstat, fstatat};
use nix::unistd::{Pid, getppid};
use russet_platform::os;
use russet_platform::shared_directories::{MAX_DIRECTORIES, SharedDirectory};
use russet_protocol::supervise::exit;

use super::files;
use super::listing::Listing;
use crate::stderr::print_error;

/// Levels of directories that are looked into. Each costs a descriptor.
const MAX_LEVELS: usize = 200;

/// Device and number of a directory.
type Identity = (u64, u64);

/// Writes the list of this machine into `draft`. Returns the exit code.
pub(crate) fn list_shared_directories(draft: File) -> i32 {
    os::lower_priority();
    let written = find_in(os::local_mounts()).and_then(|found| {
        let mut out = BufWriter::new(draft);
        found.iter().try_for_each(|shared| shared.write(&mut out))?;
        out.flush()
    });
    match written {
        Ok(()) => exit::REPORTED,
        Err(error) => {
            print_error(&format!("could not list the directories where all may write: {error}"));
            exit::NOT_REPORTED
        }
    }
}

/// Finds the directories on the file systems that are mounted at `mounts`.
fn find_in(mounts: Vec<PathBuf>) -> io::Result<Vec<SharedDirectory>> {
    let mut survey = Survey { parent: Some(getppid()), ..Survey::default() };
    for path in mounts {
        // What this user may not reach, no user of a slot may.
        let Ok(top) = files::open_directory(AT_FDCWD, &path) else { continue };
        let stat = fstat(&top)?;
        // The same file system may be mounted at several places.
        if !survey.mounts.contains(&identity(&stat)) {
            survey.mounts.push(identity(&stat));
            survey.device = stat.st_dev;
            let is_listed = survey.note(&path, &stat)?;
            survey.look_into(&top, &path, is_listed, 0)?;
        }
    }
    Ok(survey.found)
}

#[derive(Default)]
struct Survey {
    found: Vec<SharedDirectory>,
    /// The roots of file systems that were looked at.
    mounts: Vec<Identity>,
    /// The file system that is looked at.
    device: libc::dev_t,
    /// The process that wants to know.
    parent: Option<Pid>,
}

impl Survey {
    /// Looks at the directories in one. `is_listed`: the clean-up comes to this one.
    fn look_into(
        &mut self,
        dir: &OwnedFd,
        path: &Path,
        is_listed: bool,
        level: usize,
    ) -> io::Result<()> {
        if self.parent.is_some_and(|parent| getppid() != parent) {
            return Err(io::Error::other("the launch agent has ended"));
        }
        // One that goes away meanwhile has nothing in it.
        let Ok(mut listing) = Listing::open(dir) else { return Ok(()) };
        while let Ok(names) = listing.next_names() {
            if names.is_empty() {
                break;
            }
            for name in names.iter().filter(|name| name.may_be_directory()) {
                let name = name.name.as_c_str();
                let stat = fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW);
                let Ok(stat) = stat else { continue };
                if !files::is_directory(&stat) || stat.st_dev != self.device {
                    continue;
                }
                let path = path.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
                let is_listed = match is_listed && is_open(&stat) && is_readable(&stat) {
                    true => true,
                    false => self.note(&path, &stat)?,
                };
                if level < MAX_LEVELS {
                    self.enter(dir, name, &path, is_listed, level)?;
                }
            }
        }
        Ok(())
    }

    fn enter(
        &mut self,
        dir: &OwnedFd,
        name: &std::ffi::CStr,
        path: &Path,
        is_listed: bool,
        level: usize,
    ) -> io::Result<()> {
        match files::open_directory(dir, name) {
            Ok(sub) => self.look_into(&sub, path, is_listed, level + 1),
            Err(error @ (Errno::EMFILE | Errno::ENFILE)) => Err(error.into()),
            // It is not for everybody, or has gone.
            Err(_) => Ok(()),
        }
    }

    /// Lists a directory, if everybody may write to it. Returns true if it is listed.
    fn note(&mut self, path: &Path, stat: &FileStat) -> io::Result<bool> {
        if !is_open(stat) {
            return Ok(false);
        }
        if self.found.len() >= MAX_DIRECTORIES {
            return Err(io::Error::other(format!("there are more than {MAX_DIRECTORIES}")));
        }
        let is_readable = is_readable(stat);
        self.found.push(SharedDirectory { path: path.to_owned(), is_readable });
        Ok(is_readable)
    }
}

/// Returns true if everybody may make files in a directory.
fn is_open(stat: &FileStat) -> bool {
    stat.st_mode & 0o003 == 0o003
}

/// Returns true if everybody may list a directory.
fn is_readable(stat: &FileStat) -> bool {
    stat.st_mode & 0o004 != 0
}

#[cfg_attr(
    target_os = "linux",
    expect(clippy::useless_conversion, reason = "macOS has another type")
)]
fn identity(stat: &FileStat) -> Identity {
    (u64::try_from(stat.st_dev).unwrap_or_default(), stat.st_ino)
}

#[cfg(test)]
mod tests {
    use super::{SharedDirectory, Survey, files, fstat};
    use nix::fcntl::AT_FDCWD;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn directories_where_all_may_write_are_listed_but_not_those_that_the_clean_up_comes_to() {
        let dir = tempfile::tempdir().unwrap();
        for (path, mode) in [
            ("screen", 0o1777),
            ("screen/in-it", 0o777),
            ("screen/apart", 0o755),
            ("screen/apart/open", 0o777),
            ("closed", 0o755),
            ("closed/deep", 0o755),
            ("closed/deep/drop", 0o1733),
            ("read-only-for-others", 0o775),
            ("without-entry", 0o776),
        ] {
            let path = dir.path().join(path);
            std::fs::create_dir(&path).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        std::os::unix::fs::symlink("/tmp", dir.path().join("link")).unwrap();
        let top = files::open_directory(AT_FDCWD, dir.path()).unwrap();
        let device = fstat(&top).unwrap().st_dev;
        let mut survey = Survey { device, ..Survey::default() };
        survey.look_into(&top, dir.path(), false, 0).unwrap();
        let mut found = survey.found;
        found.sort_by(|one, other| one.path.cmp(&other.path));
        let wanted = [("closed/deep/drop", false), ("screen", true), ("screen/apart/open", true)];
        let wanted = wanted.map(|(path, is_readable)| SharedDirectory {
            path: dir.path().join(path),
            is_readable,
        });
        assert_eq!(found, wanted);
    }
}
