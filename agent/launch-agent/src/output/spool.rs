//! The spool of a slot, read by root although it belongs to the slot's user.
//!
//! Threat: a job may put anything in the place of its output. A file is opened without following
//! links and without waiting, and read only if it is a regular file of the slot's user that has no
//! other name.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstat};

use russet_protocol::task::SETUP_STEP;

use crate::files::open_directory;

/// Most names in the spool of a task of which no step has begun.
const MAX_UNBEGUN_NAMES: usize = 1_000;

/// The spool of a slot, as somebody reads it who is not its user: nothing in it is believed to be
/// what its name says.
#[derive(Debug)]
pub(crate) struct Spool {
    fd: OwnedFd,
    /// Whose it is.
    uid: u32,
}

impl Spool {
    /// The spool at an open directory, if it belongs to `uid`.
    pub(crate) fn at(fd: OwnedFd, uid: u32) -> Self {
        Self { fd, uid }
    }

    /// That of a slot in the directory `data`. The directories on the way are root's.
    pub(crate) fn open(data: &Path, slot: u32) -> io::Result<Self> {
        let slots = open_directory(open_directory(AT_FDCWD, data)?, Path::new("slots"))?;
        let fd = open_directory(
            open_directory(slots, Path::new(&slot.to_string()))?,
            Path::new("spool"),
        )?;
        let uid = fstat(&fd)?.st_uid;
        Ok(Self { fd, uid })
    }

    /// The numbers of the steps that have output, in their order; no more than `most`.
    pub(crate) fn steps(&self, most: usize) -> io::Result<Vec<u32>> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut dir = nix::dir::Dir::openat(&self.fd, ".", flags, Mode::empty())?;
        let names =
            dir.iter().filter_map(|entry| step_number(entry.ok()?.file_name().to_str().ok()?));
        let mut numbers: Vec<u32> = names.take(most).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Returns true if a step of the job has begun: the file of its output is made before it runs.
    /// Preparations of the task agent itself do not count.
    pub(crate) fn has_begun(&self) -> io::Result<bool> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut dir = nix::dir::Dir::openat(&self.fd, ".", flags, Mode::empty())?;
        for (count, entry) in dir.iter().enumerate() {
            let number = entry?.file_name().to_str().ok().and_then(step_number);
            // More names than any task agent makes: a job made them.
            if count >= MAX_UNBEGUN_NAMES || number.is_some_and(|number| number != SETUP_STEP) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The output of a step.
    pub(crate) fn step(&self, number: u32) -> io::Result<std::fs::File> {
        self.file(&format!("{number}.log"))
    }

    /// A file of the slot's user, and no link, no FIFO that would hold root up, and nothing that
    /// has another name elsewhere.
    pub(crate) fn file(&self, name: &str) -> io::Result<std::fs::File> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = openat(&self.fd, name, flags, Mode::empty())?;
        let stat = fstat(&file)?;
        let regular = stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits();
        if !regular || stat.st_uid != self.uid || stat.st_nlink != 1 {
            return Err(io::Error::other(format!("{name} is not what it should be")));
        }
        Ok(file.into())
    }
}

/// Returns the number of the step whose output a file of this name is.
fn step_number(name: &str) -> Option<u32> {
    name.strip_suffix(".log")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::Spool;

    #[test]
    fn a_step_has_begun_once_its_output_is_there_and_what_cannot_be_told_counts_as_begun() {
        let dir = tempfile::tempdir().unwrap();
        let spool = || Spool { fd: std::fs::File::open(dir.path()).unwrap().into(), uid: 0 };
        assert!(!spool().has_begun().unwrap());
        for name in ["0.log", "events.jsonl", "1.log.new", "x.log"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        assert!(!spool().has_begun().unwrap());
        std::fs::write(dir.path().join("1.log"), "").unwrap();
        assert!(spool().has_begun().unwrap());
        std::fs::remove_file(dir.path().join("1.log")).unwrap();
        for number in 0..super::MAX_UNBEGUN_NAMES {
            std::fs::write(dir.path().join(format!("junk-{number}")), "").unwrap();
        }
        assert!(spool().has_begun().unwrap());
    }
}
