//! The names in a directory, a part at a time: a job may have left millions, and a clean-up takes
//! no more memory for them.

use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;

use nix::dir::{Dir, OwningIter, Type};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{Whence, lseek};

/// Names that are read at once.
pub(super) const MAX_NAMES: usize = 1024;

/// A name in a directory.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) name: CString,
    /// Kind of the file, where the file system tells it with the name.
    kind: Option<Type>,
}

impl Name {
    /// Returns true if it may be a directory. A link to one is none.
    pub(super) fn may_be_directory(&self) -> bool {
        self.kind.is_none_or(|kind| kind == Type::Directory)
    }
}

/// One pass over the names in a directory. Where names are removed meanwhile, some systems skip
/// others, so another pass is needed.
pub(super) struct Listing(OwningIter);

impl Listing {
    /// Begins a pass over an open directory.
    pub(super) fn open(dir: &OwnedFd) -> io::Result<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        // A descriptor of its own, since the position in the listing is shared by clones.
        let own = match openat(dir, ".", flags, Mode::empty()) {
            // Root opened it, and its users may not.
            Err(Errno::EACCES) => {
                lseek(dir, 0, Whence::SeekSet)?;
                dir.try_clone()?
            }
            other => other?,
        };
        Ok(Self(Dir::from_fd(own)?.into_iter()))
    }

    /// Returns the next names, or none at the end.
    pub(super) fn next_names(&mut self) -> io::Result<Vec<Name>> {
        let mut names = Vec::new();
        for entry in self.0.by_ref() {
            let entry = entry?;
            let name = entry.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") {
                names.push(Name { name: name.to_owned(), kind: entry.file_type() });
            }
            if names.len() == MAX_NAMES {
                break;
            }
        }
        Ok(names)
    }
}
