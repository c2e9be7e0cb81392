//! xar, the container of `.pkg`: a header, a zlib-compressed table of contents in XML, and a heap.
//!
//! Files in the heap are stored as they are: payloads are compressed already. The heap begins with
//! the checksum of the compressed table; a signature is added by [`crate::sign`], which writes
//! table and heap anew. The checksum of the table is SHA-1, as in the packages of Apple's tools,
//! and since bsdtar knows no other; whoever makes a package is the only one who could make a second
//! table for it. Files have SHA-256.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Result;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use quick_xml::escape::escape;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use crate::hash::{self, hex};

/// A file or a directory of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Member {
    /// A file with its content.
    File(String, Vec<u8>),
    /// A directory with what is in it.
    Directory(String, Vec<Member>),
}

/// Header's number of the checksum's algorithm.
const SHA1: u32 = 1;

/// Bytes of the header.
const HEADER: u16 = 28;

/// Bytes of a SHA-1.
const CHECKSUM: u64 = 20;

/// The archive. `time` is in RFC 3339, UTC.
///
/// # Errors
///
/// It does not fit into memory.
pub fn write(members: &[Member], time: &str) -> Result<Vec<u8>> {
    let mut table = Table { xml: String::new(), heap: Vec::new(), next: 1 };
    let creation = time.trim_end_matches('Z');
    write!(
        table.xml,
        r#"<?xml version="1.0" encoding="UTF-8"?>
<xar><toc><creation-time>{creation}</creation-time><checksum style="sha1"><offset>0</offset><size>{CHECKSUM}</size></checksum>"#
    )?;
    for member in members {
        table.add(member, time)?;
    }
    table.xml.push_str("</toc></xar>\n");
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    zlib.write_all(table.xml.as_bytes())?;
    let compressed = zlib.finish()?;

    let mut archive = Vec::with_capacity(compressed.len() + table.heap.len() + 128);
    archive.extend_from_slice(b"xar!");
    archive.extend_from_slice(&HEADER.to_be_bytes());
    archive.extend_from_slice(&1_u16.to_be_bytes());
    archive.extend_from_slice(&(compressed.len() as u64).to_be_bytes());
    archive.extend_from_slice(&(table.xml.len() as u64).to_be_bytes());
    archive.extend_from_slice(&SHA1.to_be_bytes());
    archive.extend_from_slice(&compressed);
    archive.extend_from_slice(digest(&SHA1_FOR_LEGACY_USE_ONLY, &compressed).as_ref());
    archive.extend_from_slice(&table.heap);
    Ok(archive)
}

/// A table under way, with the heap that it describes.
struct Table {
    xml: String,
    heap: Vec<u8>,
    next: u32,
}

impl Table {
    fn add(&mut self, member: &Member, time: &str) -> Result<()> {
        let (name, kind, mode) = match member {
            Member::File(name, _) => (name, "file", "0644"),
            Member::Directory(name, _) => (name, "directory", "0755"),
        };
        let name = escape(name.as_str());
        write!(
            self.xml,
            r#"<file id="{}"><name>{name}</name><type>{kind}</type><mode>{mode}</mode><uid>0</uid><gid>0</gid><mtime>{time}</mtime>"#,
            self.next
        )?;
        self.next += 1;
        match member {
            Member::Directory(_, members) => {
                for member in members {
                    self.add(member, time)?;
                }
            }
            Member::File(_, bytes) => {
                let (offset, length) = (CHECKSUM + self.heap.len() as u64, bytes.len());
                let sum = hex(&hash::sha256(bytes));
                write!(
                    self.xml,
                    r#"<data><archived-checksum style="sha256">{sum}</archived-checksum><extracted-checksum style="sha256">{sum}</extracted-checksum><encoding style="application/octet-stream"/><offset>{offset}</offset><size>{length}</size><length>{length}</length></data>"#
                )?;
                self.heap.extend_from_slice(bytes);
            }
        }
        self.xml.push_str("</file>");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use apple_xar::reader::XarReader;
    use proptest::prelude::*;

    use super::{Member, write};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_reader_that_is_not_ours_finds_every_file_with_its_content(
            files in proptest::collection::btree_map("[a-zA-Z0-9&<' .]{1,20}", proptest::collection::vec(any::<u8>(), 0..200), 0..12),
            nested in proptest::collection::vec(any::<u8>(), 1..50),
        ) {
            let mut members: Vec<Member> =
                files.iter().map(|(name, bytes)| Member::File(format!("f{name}e"), bytes.clone())).collect();
            members.push(Member::Directory("agent.pkg".to_owned(), vec![Member::File("Bom".to_owned(), nested.clone())]));
            let archive = write(&members, "2026-01-02T03:04:05Z").unwrap();
            let mut reader = XarReader::new(Cursor::new(archive)).unwrap();
            prop_assert!(reader.verify_table_of_contents_checksum().unwrap());
            for (name, bytes) in &files {
                let read = reader.get_file_data_from_path(&format!("f{name}e")).unwrap();
                prop_assert_eq!(read.as_ref(), Some(bytes));
            }
            prop_assert_eq!(reader.get_file_data_from_path("agent.pkg/Bom").unwrap(), Some(nested));
        }
    }
}
