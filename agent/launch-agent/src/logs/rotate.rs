//! Writing: whole lines, appended, to a file that is renamed when it is full.
//!
//! Threats: root writes where a name could be a link to something else of root's, and a process
//! can be killed between any two steps. So no link is followed, what is written to is a file of
//! this user's with one name in a directory that nobody else can change, and each step of a
//! rotation is a rename of a whole file to a name that is free or whose file is due to go. Another
//! process that writes to the same file (a second agent that is about to notice the first) rotates
//! under the same lock, and whoever finds its file renamed goes on in the new one.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::numbered_path;

/// Mode of a new log: it names projects and hosts.
const MODE: u32 = 0o640;

/// Anybody in the group or everybody may write.
const OTHERS_WRITE: u32 = 0o022;

/// Names in a directory are changed by their owners only.
const STICKY: u32 = 0o1000;

/// Limits of the kept files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file; a longer line makes a longer file.
    pub size: u64,
    /// Files, the one that is written to included; at least two.
    pub files: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { size: 10_000_000, files: 5 }
    }
}

/// A log that is rotated. `&Rotated` is a writer, of one line or event at each call.
#[derive(Debug)]
pub struct Rotated {
    path: PathBuf,
    limits: Limits,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// The disk was full in the middle of a line.
    is_torn: bool,
}

impl Rotated {
    /// Opens the file to append to it, and makes it where it is absent.
    ///
    /// # Errors
    ///
    /// It cannot be written, is no file of this user's, or others could exchange it.
    pub fn open(path: &Path, limits: Limits) -> io::Result<Self> {
        check_directory(path)?;
        let open = Mutex::new(Open { file: open_log(path)?, is_torn: false });
        Ok(Self { path: path.to_owned(), limits, open })
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        // A panic while it was held can have torn a line, at most.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_ours(&open.file)? {
            // Somebody rotated or removed it.
            open.file = self::open_log(&self.path)?;
        }
        let length = open.file.metadata()?.len();
        let added = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if length > 0 && length.saturating_add(added) > self.limits.size {
            // A log that cannot be rotated (no room for another name) is written on.
            if let Some(file) = self.rotate(&open.file).ok().flatten() {
                open.file = file;
            }
        }
        let whole = if open.is_torn { [b"\n", line].concat() } else { line.to_vec() };
        let written = open.file.write_all(&whole);
        open.is_torn = written.is_err();
        written
    }

    /// Returns true if the path still means this file.
    fn is_ours(&self, file: &File) -> io::Result<bool> {
        match self.path.symlink_metadata() {
            Ok(there) => Ok(is_same(&there, &file.metadata()?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The new file. `None`: another process is at it, or just was.
    fn rotate(&self, file: &File) -> io::Result<Option<File>> {
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let rotated = if self.is_ours(file)? {
            self.shift().and_then(|()| successor_of(&self.path, &file.metadata()?)).map(Some)
        } else {
            open_log(&self.path).map(Some)
        };
        // Another process may have the file open for long; the lock must not outlive this.
        drop(file.unlock());
        rotated
    }

    /// Renames from the oldest to the newest. The numbers up to the first free one move, so after
    /// a kill in the middle the next rotation fills the gap and loses nothing.
    #[expect(
        clippy::disallowed_methods,
        reason = "the folder was checked: nobody else can exchange names in it"
    )]
    fn shift(&self) -> io::Result<()> {
        let older = self.limits.files.saturating_sub(1).max(1);
        let name = |number| numbered_path(&self.path, number);
        let is_free = |number: &u32| name(*number).symlink_metadata().is_err();
        let last = (1..=older).find(is_free).unwrap_or(older);
        for number in (0..last).rev() {
            std::fs::rename(name(number), name(number + 1))?;
        }
        // There were more files before the configuration changed.
        let surplus = (older + 1..).take_while(|number| !is_free(number));
        surplus.for_each(|number| drop(std::fs::remove_file(name(number))));
        Ok(())
    }
}

impl Write for &Rotated {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.append(line).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_same(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

/// Opens without following a link or waiting for the other end of a pipe.
fn open_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.append(true).mode(MODE).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    options
}

fn open_log(path: &Path) -> io::Result<File> {
    let denied = |text: &str| io::Error::new(io::ErrorKind::PermissionDenied, text.to_owned());
    let file = open_options().create(true).open(path).map_err(|error| {
        if error.raw_os_error() == Some(libc::ELOOP) {
            return denied("it is a link, which is not followed");
        }
        error
    })?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(denied("it is no file"));
    }
    if meta.uid() != nix::unistd::geteuid().as_raw() {
        return Err(denied("it belongs to another user"));
    }
    // Another name for a file of ours that somebody else made.
    if meta.nlink() != 1 {
        return Err(denied("the file has other names"));
    }
    Ok(file)
}

/// Makes the next file like the one before it: who may read logs was somebody's decision.
fn successor_of(path: &Path, before: &Metadata) -> io::Result<File> {
    let mode = before.mode() & 0o777;
    let file = match open_options().create_new(true).mode(mode).open(path) {
        // Another process needed it sooner.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return open_log(path),
        made => made?,
    };
    let meta = file.metadata()?;
    if meta.gid() != before.gid() {
        // It is ours to give to a group that we are in; else it stays as it is.
        let _given =
            nix::unistd::fchown(&file, None, Some(nix::unistd::Gid::from_raw(before.gid())));
    }
    if meta.mode() & 0o777 != mode {
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
    }
    Ok(file)
}

/// Returns true if nobody else can exchange names in the directory.
fn check_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let meta = parent.unwrap_or(Path::new(".")).metadata()?;
    let me = nix::unistd::geteuid().as_raw();
    let is_open = meta.mode() & OTHERS_WRITE != 0 && meta.mode() & STICKY == 0;
    if is_open || ![0, me].contains(&meta.uid()) {
        let message = "others can exchange files in its directory";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
