//! Archives whose large contents lie apart, where they can be cloned from.
//!
//! While an archive is unpacked, a [`Recorder`] writes down what is read: the archive as it is,
//! uncompressed, but for the contents of large files, which become files of their own, numbered as
//! they come. [`unpack_apart`] reads that as it would the archive and clones those files into their
//! places. So there is one reader and one writer, which believe nothing in either case; what an
//! archive can hold comes back; and no name of an archive is one here.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::os::fd::OwnedFd;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::place::{Place, write_with_holes};
use super::unpack::{Entry, Source, Unpacked, inline, skip_padding, unpack_from};
use super::{Bases, Limits};

/// Contents of at least this many bytes lie apart. Writing fewer costs less than cloning them.
const LARGE: u64 = 32 * 1024;

/// The file of everything else.
const STREAM: &str = "archive";

/// After so many bytes in that, it is looked whether there is room for more.
const LOOK: u64 = 64 << 20;

/// Asked whether there is room for so many bytes more.
pub type Room = Box<dyn FnMut(u64) -> bool + Send>;

/// Writes an archive down in a directory while it is unpacked. A failure of that is none of the
/// unpacking: [`Recorder::finish`] tells it.
pub struct Recorder {
    dir: OwnedFd,
    stream: BufWriter<File>,
    /// Number of contents that lie apart so far.
    count: u64,
    /// Bytes in the stream since room was looked for.
    noted: u64,
    room: Room,
    failed: Option<io::Error>,
}

impl Recorder {
    /// Begins in an empty directory.
    ///
    /// # Errors
    /// No file can be made in it.
    pub fn new(dir: OwnedFd, room: Room) -> io::Result<Self> {
        let stream = BufWriter::new(make(&dir, STREAM)?);
        Ok(Self { dir, stream, count: 0, noted: 0, room, failed: None })
    }

    /// Everything was unpacked.
    ///
    /// # Errors
    /// Something was not written down, so the directory is worth nothing.
    pub fn finish(mut self) -> io::Result<()> {
        self.failed.map_or_else(|| self.stream.flush(), Err)
    }

    /// Does something, unless something failed before.
    fn attempt<T>(&mut self, what: impl FnOnce(&mut Self) -> io::Result<T>) -> Option<T> {
        if self.failed.is_some() {
            return None;
        }
        what(self).map_err(|error| self.failed = Some(error)).ok()
    }

    fn note(&mut self, bytes: &[u8]) {
        self.attempt(|this| {
            this.noted += bytes.len() as u64;
            if this.noted > LOOK {
                this.noted = 0;
                this.look(0)?;
            }
            this.stream.write_all(bytes)
        });
    }

    fn look(&mut self, more: u64) -> io::Result<()> {
        if (self.room)(more) { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    /// The file of the next content.
    fn next(&mut self, size: u64) -> io::Result<File> {
        self.look(size)?;
        let file = make(&self.dir, &self.count.to_string())?;
        self.count += 1;
        Ok(file)
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { count, failed, .. } = self;
        formatter
            .debug_struct("Recorder")
            .field("count", count)
            .field("failed", failed)
            .finish_non_exhaustive()
    }
}

/// Unpacks a tar archive and has it written down.
///
/// # Errors
/// As [`super::unpack_with`].
pub fn unpack_recorded(
    input: &mut dyn Read,
    recorder: &mut Recorder,
    bases: Bases,
    limits: Limits,
    admit: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Unpacked> {
    unpack_from(&mut Recorded { input, recorder }, bases, limits, admit)
}

/// Unpacks what was written down in a directory.
///
/// # Errors
/// As [`super::unpack_with`]; or something is not there, or not what was written.
pub fn unpack_apart(
    dir: OwnedFd,
    bases: Bases,
    limits: Limits,
    admit: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Unpacked> {
    let stream = BufReader::with_capacity(super::PIECE, open(&dir, STREAM)?);
    unpack_from(&mut Apart { dir, stream, count: 0 }, bases, limits, admit)
}

/// An archive that is written down as it is read.
struct Recorded<'a> {
    input: &'a mut dyn Read,
    recorder: &'a mut Recorder,
}

impl Read for Recorded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.recorder.note(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

impl Source for Recorded<'_> {
    fn file(&mut self, place: &mut Place, entry: &Entry) -> io::Result<()> {
        if entry.size < LARGE {
            return inline(self, place, entry);
        }
        let file = self.recorder.attempt(|recorder| recorder.next(entry.size));
        let Self { input, recorder } = self;
        let mut tee = Tee { input: *input, recorder, file, ends_in_hole: false };
        place.file(&entry.name, &entry.meta, entry.size, &mut tee)?;
        tee.end(entry.size);
        skip_padding(self.input, entry.size)
    }
}

/// A content on its way to two files.
struct Tee<'a> {
    input: &'a mut dyn Read,
    recorder: &'a mut Recorder,
    file: Option<File>,
    ends_in_hole: bool,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        if let Some(file) = &mut self.file {
            let piece = buffer.get(..count).unwrap_or_default();
            let written = self.recorder.attempt(|_| write_with_holes(file, piece));
            self.ends_in_hole = written.unwrap_or(false);
        }
        Ok(count)
    }
}

impl Tee<'_> {
    fn end(self, size: u64) {
        if let Some(file) = self.file.filter(|_| self.ends_in_hole) {
            self.recorder.attempt(|_| file.set_len(size));
        }
    }
}

/// Archive written apart.
struct Apart {
    dir: OwnedFd,
    stream: BufReader<File>,
    count: u64,
}

impl Read for Apart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.read(buffer)
    }
}

impl Source for Apart {
    fn file(&mut self, place: &mut Place, entry: &Entry) -> io::Result<()> {
        if entry.size < LARGE {
            return inline(self, place, entry);
        }
        let content = open(&self.dir, &self.count.to_string())?;
        self.count += 1;
        if content.metadata()?.len() != entry.size {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its copy has another size"));
        }
        place.clone_of(&entry.name, &entry.meta, &content)
    }
}

fn make(dir: &OwnedFd, name: &str) -> io::Result<File> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    Ok(File::from(openat(dir, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?))
}

fn open(dir: &OwnedFd, name: &str) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    Ok(File::from(openat(dir, name, flags, Mode::empty())?))
}
