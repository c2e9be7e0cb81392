//! Header and table of contents of a xar archive, which signatures and tickets are about.

use anyhow::{Context as _, Result, ensure};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// Bytes of the checksum: SHA-1, which Apple's tools insist on.
pub const CHECKSUM_SIZE: usize = 20;

/// The table of contents in an archive's bytes.
#[derive(Clone, Copy, Debug)]
pub struct XarTable<'a> {
    /// The table, compressed.
    pub compressed: &'a [u8],
    /// Its checksum.
    pub checksum: &'a [u8],
    /// Position at which the heap begins: with the checksum, then the classic signature.
    pub heap: usize,
}

impl<'a> XarTable<'a> {
    /// Reads the header and checks the checksum.
    ///
    /// # Errors
    ///
    /// The bytes are not a xar archive, or the checksum is not that of the table.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let part = |from: usize, length: usize| {
            let end = from.checked_add(length).context("damaged: a size overflows")?;
            bytes.get(from..end).context("damaged: it ends too early")
        };
        ensure!(part(0, 4)? == b"xar!", "not a xar archive");
        let header = usize::from(u16::from_be_bytes(part(4, 2)?.try_into()?));
        let length = usize::try_from(u64::from_be_bytes(part(8, 8)?.try_into()?))?;
        let compressed = part(header, length)?;
        let heap = header.saturating_add(length);
        let checksum = part(heap, CHECKSUM_SIZE)?;
        ensure!(
            digest(&SHA1_FOR_LEGACY_USE_ONLY, compressed).as_ref() == checksum,
            "the checksum of the table is wrong"
        );
        Ok(Self { compressed, checksum, heap })
    }
}
