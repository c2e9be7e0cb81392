//! Archives of files: what caches and workspaces are stored as.
//!
//! A tar archive compressed with zstd, made and taken apart as a stream: nothing here keeps more in
//! memory than a few pieces of it. What a name in an archive means is up to its first part, the
//! base: `home/.cache/pip` is below the task's home, wherever that is on the machine.
//!
//! Whoever made an archive may have made it by hand, so taking it apart believes nothing:
//! `unpack` reads, with a limit on everything, and `place` writes, relative to open
//! directories and through no link. Making one (`pack`) follows no link either: the
//! tree is the job's.

mod apart;
#[cfg(test)]
mod apart_tests;
mod attributes;
mod channel;
mod limits;
mod pack;
mod pax;
mod place;
#[cfg(test)]
mod tests;
mod unpack;

pub use apart::{Recorder, Room, unpack_apart, unpack_recorded};
pub(crate) use attributes::is_kept;
pub use channel::{compress, decompressed};
pub use limits::Limits;
pub use pack::{Packed, Root, pack};
pub use place::Bases;
pub(crate) use place::write_with_holes;
pub use unpack::{Unpacked, unpack, unpack_with};

/// Level of compression: zstd's own default.
pub const LEVEL: i32 = 3;

/// Bytes of one block of a tar archive.
const BLOCK: usize = 512;

/// Directories in directories, at most. Each costs a descriptor and stack.
const MOST_LEVELS: usize = 200;

/// The longest name in an archive, in bytes.
const LONGEST_NAME: usize = 4096;

/// The largest record of extended headers, in bytes: name, link and attributes of one entry.
const LARGEST_PAX: usize = 1024 * 1024;

/// Bytes that are handed on at once.
const PIECE: usize = 256 * 1024;

/// The attribute that marks a file which others in the archive are links to.
const LINKED: &str = "RUSSET.linked";

/// Prefix of the names of extended attributes, as star and GNU tar write them.
const XATTR: &str = "SCHILY.xattr.";
