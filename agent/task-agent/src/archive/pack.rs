//! Making an archive.

use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat};
use tar::{EntryType, Header};
use xattr::FileExt as _;

use super::attributes::is_kept;
use super::{BLOCK, LARGEST_PAX, LINKED, LONGEST_NAME, MOST_LEVELS, PIECE, XATTR, pax};

/// Files with several names that are remembered. Beyond that each name is stored as a file.
const MOST_LINKED: usize = 1_000_000;

/// More than this is not told.
const MOST_NOTES: usize = 20;

/// Something to pack, with all that is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Name in the archive: a base and a path below it.
    pub name: Vec<u8>,
    /// Path of the source. Links on the way to it are followed, it itself is not.
    pub path: PathBuf,
}

/// Summary of a packed archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Number of entries.
    pub entries: u64,
    /// Bytes in files.
    pub bytes: u64,
    /// Remarks for people.
    pub notes: Vec<String>,
}

/// Writes an archive of `roots`.
///
/// # Errors
/// Something cannot be read, or the archive not be written. A device, FIFO or socket is left out
/// with a note.
pub fn pack(roots: &[Root], out: &mut dyn Write) -> io::Result<Packed> {
    let mut packer =
        Packer { out, links: HashMap::new(), packed: Packed::default(), buffer: vec![0; PIECE] };
    for root in roots {
        packer.root(root)?;
    }
    packer.out.write_all(&[0; 2 * BLOCK])?;
    packer.out.flush()?;
    Ok(packer.packed)
}

struct Packer<'a> {
    out: &'a mut dyn Write,
    /// Names in the archive of files that have several, by device and inode.
    links: HashMap<(u64, u64), Vec<u8>>,
    packed: Packed,
    buffer: Vec<u8>,
}

impl Packer<'_> {
    fn root(&mut self, root: &Root) -> io::Result<()> {
        let failed = |error: io::Error| named(&root.path.display(), &error);
        let (parent, name) = match (root.path.parent(), root.path.file_name()) {
            (Some(parent), Some(name)) => (parent, name),
            _ => (root.path.as_path(), OsStr::new(".")),
        };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let parent =
            openat(AT_FDCWD, parent, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
        let name = CString::new(name.as_bytes()).map_err(io::Error::other)?;
        self.entry(&parent, &name, &root.name, 0)
    }

    fn entry(&mut self, dir: &OwnedFd, name: &CStr, full: &[u8], level: usize) -> io::Result<()> {
        let shown = || String::from_utf8_lossy(full).into_owned();
        let stat = match fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // It went away since the directory was listed: as if it had never been there.
            Err(Errno::ENOENT) if level > 0 => return Ok(()),
            Err(error) => return Err(named(&shown(), &error.into())),
        };
        if full.len() > LONGEST_NAME || level > MOST_LEVELS {
            let why = "its path is longer, or deeper, than an archive can hold";
            return Err(named(&shown(), &io::Error::other(why)));
        }
        let result = match kind(&stat) {
            SFlag::S_IFREG => self.file(dir, name, full, &stat),
            SFlag::S_IFDIR => return self.directory(dir, name, full, level),
            SFlag::S_IFLNK => self.symlink(dir, name, full, &stat),
            _ => {
                self.note(format!("{} is no file, directory or link, and was left out", shown()));
                Ok(())
            }
        };
        result.map_err(|error| named(&shown(), &error))
    }

    fn note(&mut self, text: String) {
        if self.packed.notes.len() < MOST_NOTES {
            self.packed.notes.push(text);
        }
    }

    fn file(&mut self, dir: &OwnedFd, name: &CStr, full: &[u8], seen: &FileStat) -> io::Result<()> {
        // A FIFO that is put there now must not hold us up, nor a link lead elsewhere.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let mut file = match openat(dir, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::ENOENT) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let stat = fstat(&file)?;
        if kind(&stat) != SFlag::S_IFREG || inode(&stat) != inode(seen) {
            return Err(io::Error::other("it changed while it was looked at"));
        }
        let mut records = Vec::new();
        if stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&inode(&stat)) {
                let first = first.clone();
                return self.header(EntryType::Link, full, &stat, 0, Some(&first), records);
            }
            if self.links.len() < MOST_LINKED {
                self.links.insert(inode(&stat), full.to_owned());
                pax::add(&mut records, LINKED, b"1");
            }
        }
        self.attributes(&file, full, &mut records);
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        self.header(EntryType::Regular, full, &stat, size, None, records)?;
        let short = self.content(&mut file, size)?;
        if short > 0 {
            let shown = String::from_utf8_lossy(full).into_owned();
            self.note(format!("{shown} shrank by {short} bytes while it was read"));
        }
        self.packed.bytes += size;
        Ok(())
    }

    /// Exactly `size` bytes: what the header says. Answers how many of them the file lacked.
    fn content(&mut self, file: &mut File, size: u64) -> io::Result<u64> {
        let mut left = size;
        while left > 0 {
            let most = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let piece = self.buffer.get_mut(..most).unwrap_or_default();
            let count = match file.read(piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.out.write_all(piece.get(..count).unwrap_or_default())?;
            left -= count as u64;
        }
        if left > 0 {
            io::copy(&mut io::repeat(0).take(left), &mut self.out)?;
        }
        self.pad(size)?;
        Ok(left)
    }

    fn directory(
        &mut self,
        dir: &OwnedFd,
        name: &CStr,
        full: &[u8],
        level: usize,
    ) -> io::Result<()> {
        let shown = || String::from_utf8_lossy(full).into_owned();
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let sub = match openat(dir, name, flags, Mode::empty()) {
            Ok(sub) => sub,
            Err(Errno::ENOENT) if level > 0 => return Ok(()),
            Err(error) => return Err(named(&shown(), &error.into())),
        };
        let failed = |error: io::Error| named(&shown(), &error);
        let stat = fstat(&sub).map_err(|error| failed(error.into()))?;
        let file = File::from(sub);
        let mut records = Vec::new();
        self.attributes(&file, full, &mut records);
        let sub = OwnedFd::from(file);
        self.header(EntryType::Directory, full, &stat, 0, None, records).map_err(failed)?;
        let mut names = names(&sub).map_err(failed)?;
        // The same tree makes the same archive.
        names.sort_unstable();
        for name in names {
            let mut inner = Vec::with_capacity(full.len() + 1 + name.as_bytes().len());
            inner.extend_from_slice(full);
            inner.push(b'/');
            inner.extend_from_slice(name.as_bytes());
            self.entry(&sub, &name, &inner, level + 1)?;
        }
        Ok(())
    }

    fn symlink(
        &mut self,
        dir: &OwnedFd,
        name: &CStr,
        full: &[u8],
        stat: &FileStat,
    ) -> io::Result<()> {
        let target = readlinkat(dir.as_fd(), name)?;
        self.header(EntryType::Symlink, full, stat, 0, Some(target.as_bytes()), Vec::new())
    }

    fn header(
        &mut self,
        kind: EntryType,
        full: &[u8],
        stat: &FileStat,
        size: u64,
        link: Option<&[u8]>,
        mut records: Vec<u8>,
    ) -> io::Result<()> {
        let mut header = Header::new_ustar();
        let fits = |bytes: &[u8]| bytes.len() <= 100;
        let place = header.as_old_mut();
        let count = full.len().min(100);
        place.name[..count].copy_from_slice(&full[..count]);
        if !fits(full) {
            pax::add(&mut records, "path", full);
        }
        if let Some(link) = link {
            let count = link.len().min(100);
            place.linkname[..count].copy_from_slice(&link[..count]);
            if !fits(link) {
                pax::add(&mut records, "linkpath", link);
            }
        }
        let (seconds, nanoseconds) = (stat.st_mtime, stat.st_mtime_nsec);
        if nanoseconds != 0 || seconds < 0 {
            let time = format!("{seconds}.{nanoseconds:09}");
            pax::add(&mut records, "mtime", time.as_bytes());
        }
        header.set_entry_type(kind);
        header.set_mode(permissions(stat));
        header.set_mtime(u64::try_from(seconds).unwrap_or(0));
        header.set_size(size);
        header.set_cksum();
        if !records.is_empty() {
            let mut extended = Header::new_ustar();
            extended.set_entry_type(EntryType::XHeader);
            extended.as_old_mut().name[..3].copy_from_slice(b"pax");
            extended.set_mode(0o644);
            extended.set_size(records.len() as u64);
            extended.set_cksum();
            self.out.write_all(extended.as_bytes())?;
            self.out.write_all(&records)?;
            self.pad(records.len() as u64)?;
        }
        self.packed.entries += 1;
        self.out.write_all(header.as_bytes())
    }

    /// The extended attributes that belong to the file rather than to its place. A file system
    /// without them has none; one that is too large for an archive is told.
    fn attributes(&mut self, file: &File, full: &[u8], records: &mut Vec<u8>) {
        let Ok(names) = file.list_xattr() else { return };
        for name in names {
            let Some(text) = name.to_str().filter(|text| is_kept(text)) else { continue };
            let Ok(Some(value)) = file.get_xattr(&name) else { continue };
            if records.len() + value.len() + text.len() < LARGEST_PAX / 2 {
                pax::add(records, &format!("{XATTR}{text}"), &value);
            } else {
                let shown = String::from_utf8_lossy(full).into_owned();
                self.note(format!(
                    "the attribute {text} of {shown} is too large, and was left out"
                ));
            }
        }
    }

    /// Fills the last block of something.
    fn pad(&mut self, size: u64) -> io::Result<()> {
        let rest = usize::try_from(size % BLOCK as u64).unwrap_or(0);
        if rest > 0 {
            self.out.write_all(&[0; BLOCK][rest..])?;
        }
        Ok(())
    }
}

#[cfg_attr(
    target_os = "linux",
    expect(clippy::useless_conversion, reason = "it has 16 bits on macOS")
)]
fn permissions(stat: &FileStat) -> u32 {
    u32::from(stat.st_mode) & 0o777
}

/// An error with the name of what it is about.
fn named(name: &dyn std::fmt::Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

fn kind(stat: &FileStat) -> SFlag {
    SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT
}

#[cfg_attr(
    target_os = "linux",
    expect(clippy::unnecessary_cast, reason = "it is another integer on macOS")
)]
fn inode(stat: &FileStat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino)
}

fn names(dir: &OwnedFd) -> io::Result<Vec<CString>> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let mut listing = nix::dir::Dir::openat(dir, ".", flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in listing.iter() {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}
