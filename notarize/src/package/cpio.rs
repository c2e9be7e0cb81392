//! `Payload` and `Scripts` of a component package: cpio in the portable ASCII format, gzipped.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use cpio_archive::odc::OdcBuilder;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::tree::{Kind, Node};

/// The nodes as an archive. The same nodes and time always give the same bytes.
///
/// # Errors
///
/// A value does not fit into the format, as a file of more than 8 GiB.
pub fn write(nodes: &[Node], time: u32) -> Result<Vec<u8>> {
    let mut builder = OdcBuilder::new(Vec::new());
    builder.auto_write_dirs(false);
    for node in nodes {
        let mut header = builder.next_header();
        header.name = if node.path == "." { ".".to_owned() } else { format!("./{}", node.path) };
        header.mode = u32::from(node.full_mode());
        header.mtime = time;
        header.nlink = if node.kind == Kind::Directory { 2 } else { 1 };
        header.file_size = node.bytes().len() as u64;
        builder
            .append_header_with_data(header, node.bytes())
            .with_context(|| format!("could not put {} into the payload", node.path))?;
    }
    builder.finish().context("could not end the payload")?;
    let cpio = builder.into_inner().context("could not end the payload")?;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&cpio)?;
    Ok(gzip.finish()?)
}
