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

use crate::files::open_directory;

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

    /// That of a slot in the state directory `state`. The directories on the way are root's.
    pub(crate) fn open(state: &Path, slot: u32) -> io::Result<Self> {
        let slots = open_directory(open_directory(AT_FDCWD, state)?, Path::new("slots"))?;
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
        let number = |name: &str| name.strip_suffix(".log")?.parse().ok();
        let names = dir.iter().filter_map(|entry| number(entry.ok()?.file_name().to_str().ok()?));
        let mut numbers: Vec<u32> = names.take(most).collect();
        numbers.sort_unstable();
        Ok(numbers)
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
