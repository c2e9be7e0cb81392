//! Taking an archive apart.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::place::{Meta, Place};
use super::{BLOCK, Bases, LARGEST_PAX, LINKED, Limits, XATTR, pax};

/// Summary of an unpacked archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Number of entries.
    pub entries: u64,
    /// Bytes in files.
    pub bytes: u64,
    /// Extended attributes that the file system did not take.
    pub lost_attributes: u64,
}

/// Unpacks a tar archive into `bases`.
///
/// # Errors
/// The archive is none, holds what has no place in one, leads elsewhere, or a file cannot be
/// written; the error names the entry. What came before it is there then.
pub fn unpack(input: &mut dyn Read, bases: Bases) -> io::Result<Unpacked> {
    unpack_with(input, bases, Limits::default(), |_| Ok(()))
}

/// The same within `limits`, asking `admit` before each entry that is no directory, with its name.
///
/// # Errors
/// Also what `admit` says, and that a limit is exceeded.
pub fn unpack_with(
    input: &mut dyn Read,
    bases: Bases,
    limits: Limits,
    admit: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Unpacked> {
    unpack_from(&mut Plain(input), bases, limits, admit)
}

/// Source from which an archive is read, entry by entry.
pub(super) trait Source: Read {
    /// Puts a file into its place. Its header was read; its content, with what fills its last
    /// block, is read here.
    fn file(&mut self, place: &mut Place, entry: &Entry) -> io::Result<()>;
}

/// An archive as it is.
struct Plain<'a>(&'a mut dyn Read);

impl Read for Plain<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Source for Plain<'_> {
    fn file(&mut self, place: &mut Place, entry: &Entry) -> io::Result<()> {
        inline(&mut self.0, place, entry)
    }
}

/// Puts a file into its place whose content comes next.
pub(super) fn inline(mut input: &mut dyn Read, place: &mut Place, entry: &Entry) -> io::Result<()> {
    place.file(&entry.name, &entry.meta, entry.size, &mut input)?;
    skip_padding(input, entry.size)
}

/// Reads what fills the last block of something.
pub(super) fn skip_padding(input: &mut dyn Read, size: u64) -> io::Result<()> {
    let rest = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    if rest > 0 {
        input.read_exact(&mut [0; BLOCK][rest..])?;
    }
    Ok(())
}

/// Unpacks what `source` reads.
pub(super) fn unpack_from(
    source: &mut dyn Source,
    bases: Bases,
    limits: Limits,
    mut admit: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<Unpacked> {
    let mut unpacked = Unpacked::default();
    let mut place = Place::new(bases, limits.room());
    let mut reader = Reader { source };
    while let Some(entry) = reader.next()? {
        unpacked.entries += 1;
        unpacked.bytes = unpacked.bytes.saturating_add(entry.size);
        limits.check(unpacked.entries, unpacked.bytes)?;
        let done = if entry.kind == EntryType::Directory { Ok(()) } else { admit(&entry.name) };
        done.and_then(|()| put(&mut place, &mut reader, &entry)).map_err(|error| {
            let name = String::from_utf8_lossy(&entry.name).escape_debug().to_string();
            io::Error::new(error.kind(), format!("`{name}`: {error}"))
        })?;
    }
    unpacked.lost_attributes = place.lost_attributes;
    place.finish()?;
    Ok(unpacked)
}

fn put(place: &mut Place, reader: &mut Reader<'_>, entry: &Entry) -> io::Result<()> {
    place.take_entry(entry.size, &entry.meta)?;
    match entry.kind {
        EntryType::Regular => reader.source.file(place, entry),
        EntryType::Directory => place.directory(&entry.name, entry.meta.clone()),
        EntryType::Symlink => place.symlink(&entry.name, &entry.link, &entry.meta),
        EntryType::Link => place.link(&entry.name, &entry.link),
        _ => Err(broken("it is neither a file nor a directory nor a link")),
    }
}

/// One entry, before its content is read.
#[derive(Debug)]
pub(super) struct Entry {
    kind: EntryType,
    pub(super) name: Vec<u8>,
    link: Vec<u8>,
    pub(super) size: u64,
    pub(super) meta: Meta,
}

struct Reader<'a> {
    source: &'a mut dyn Source,
}

impl Reader<'_> {
    /// The next entry, with the extended header before it.
    fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut records = Vec::new();
        loop {
            let Some(header) = self.header()? else {
                return if records.is_empty() {
                    Ok(None)
                } else {
                    Err(broken("the archive ends after an extended header"))
                };
            };
            let size = header.entry_size().map_err(|_| broken("a size is malformed"))?;
            if header.entry_type() != EntryType::XHeader {
                return entry(&header, size, &records).map(Some);
            }
            if !records.is_empty() {
                return Err(broken("there are two extended headers for one entry"));
            }
            let length = usize::try_from(size).ok().filter(|length| *length <= LARGEST_PAX);
            let length = length.ok_or_else(|| broken("an extended header is too large"))?;
            records = vec![0; length];
            self.source.read_exact(&mut records)?;
            skip_padding(&mut self.source, size)?;
        }
    }

    /// The next header. `None` at the end.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        let block = header.as_mut_bytes();
        self.source.read_exact(block).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => broken("the archive breaks off"),
            _ => error,
        })?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // The sum counts its own field as spaces.
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
            .sum();
        match header.cksum() {
            Ok(said) if said == sum => Ok(Some(header)),
            _ => Err(broken("this is no archive: a header has a wrong checksum")),
        }
    }
}

fn entry(header: &Header, size: u64, records: &[u8]) -> io::Result<Entry> {
    let old = header.as_old();
    let kind = header.entry_type();
    let mut entry = Entry {
        kind,
        name: until_zero(&old.name).to_owned(),
        link: until_zero(&old.linkname).to_owned(),
        size,
        meta: Meta {
            mode: header.mode().map_err(|_| broken("a mode is malformed"))?,
            mtime: (header.mtime().ok().and_then(|time| i64::try_from(time).ok()).unwrap_or(0), 0),
            ..Meta::default()
        },
    };
    for (key, value) in pax::read(records)? {
        match key {
            "path" => entry.name = value.to_owned(),
            "linkpath" => entry.link = value.to_owned(),
            "mtime" => {
                let time = pax::time(value).ok_or_else(|| broken("a time is malformed"))?;
                entry.meta.mtime = time;
            }
            LINKED => entry.meta.is_linked = true,
            key if key.starts_with(XATTR) => {
                let name = key.trim_start_matches(XATTR).to_owned();
                entry.meta.attributes.push((name, value.to_owned()));
            }
            // Sizes of sparse files and the like: nothing that `pack` writes.
            _ => return Err(broken("an extended header holds what has no place there")),
        }
    }
    if kind != EntryType::Regular && size != 0 {
        return Err(broken("an entry that is no file has content"));
    }
    Ok(entry)
}

fn until_zero(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}
