//! Bom: the list of what a component package installs, which Installer and `pkgutil` read.
//!
//! Apple has never described the format. What is written here is what is known from the readers
//! and writers that others made (the crate apple-bom, `bomutils`): a heap of numbered blocks,
//! an index of them, and named variables that point at blocks. `Paths` is a B-tree whose leaves
//! are chained; a path is a block with its attributes, and one with its name and the number of its
//! parent. Everything is big-endian.

use std::collections::HashMap;

use anyhow::{Context as _, Result};

use crate::tree::{Kind, Node};

/// Size of a node of the tree, bytes.
const TREE_BLOCK: u32 = 4096;

/// Maximum number of paths in one: 12 bytes of header, 8 for each.
const PER_LEAF: usize = (TREE_BLOCK as usize - 12) / 8;

/// Offset of the first block, as in Apple's files.
const HEADER: usize = 512;

/// The list of these nodes, parents before children. `time` is in seconds since 1970.
///
/// # Errors
///
/// A node has no parent among those before it, or something is larger than the format can hold.
pub fn write(nodes: &[Node], time: u32) -> Result<Vec<u8>> {
    let mut store = Store::default();
    let mut variables = Vec::new();
    let mut info = Bytes::default();
    info.u32(1).u32(u32::try_from(nodes.len())?).u32(1).u32(0).u32(0).u32(0).u32(0);
    variables.push(("BomInfo", store.add(info)));
    let paths = paths(&mut store, nodes, time)?;
    variables.push(("Paths", paths));
    let links = empty_tree(&mut store, TREE_BLOCK);
    variables.push(("HLIndex", links));
    let tree = empty_tree(&mut store, 128);
    let mut index = Bytes::default();
    index.u32(1).u32(tree).u32(0).u8(0);
    variables.push(("VIndex", store.add(index)));
    let sizes = empty_tree(&mut store, TREE_BLOCK);
    variables.push(("Size64", sizes));
    store.finish(&variables)
}

/// Adds what is known of each node, and the tree over it; returns the block of the tree.
fn paths(store: &mut Store, nodes: &[Node], time: u32) -> Result<u32> {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut entries = Vec::with_capacity(nodes.len());
    for (number, node) in (1_u32..).zip(nodes) {
        let parent = match node.parent() {
            None => 0,
            Some(parent) => *numbers
                .get(parent)
                .with_context(|| format!("{} comes before its directory", node.path))?,
        };
        numbers.insert(&node.path, number);
        let record = store.add(record(node, time)?);
        let mut info = Bytes::default();
        info.u32(number).u32(record);
        let mut file = Bytes::default();
        file.u32(parent).text(node.name());
        entries.push((store.add(info), store.add(file)));
    }
    let root = levels(store, &entries)?;
    Ok(tree(store, root, TREE_BLOCK, u32::try_from(entries.len())?))
}

/// Encodes the facts about a path.
fn record(node: &Node, time: u32) -> Result<Bytes> {
    let kind = match node.kind {
        Kind::File(_) => 1,
        Kind::Directory => 2,
        Kind::Link(_) => 3,
    };
    let bytes = node.bytes();
    let mut record = Bytes::default();
    record.u8(kind).u8(1).u16(3).u16(node.full_mode()).u32(0).u32(0).u32(time);
    record.u32(u32::try_from(bytes.len()).context("a file of more than 4 GiB")?).u8(1);
    record.u32(if node.kind == Kind::Directory { 0 } else { checksum(bytes) });
    match &node.kind {
        Kind::Link(target) => record.u32(u32::try_from(target.len() + 1)?).text(target),
        _ => record.u32(0),
    };
    Ok(record)
}

/// The nodes of the tree: leaves, and as many levels above as it takes to have one at the top.
fn levels(store: &mut Store, entries: &[(u32, u32)]) -> Result<u32> {
    let mut level = nodes_of(store, entries, true)?;
    while level.len() > 1 {
        level = nodes_of(store, &level, false)?;
    }
    level.first().map(|(block, _)| *block).context("a Bom without a path")
}

/// One level of the tree, chained. Returns each node with the last file in it, which is what the
/// level above knows it by.
fn nodes_of(store: &mut Store, entries: &[(u32, u32)], leaf: bool) -> Result<Vec<(u32, u32)>> {
    let first = store.next();
    let count = entries.len().div_ceil(PER_LEAF);
    let mut level = Vec::with_capacity(count);
    for (number, chunk) in entries.chunks(PER_LEAF).enumerate() {
        let at = |number: usize| -> Result<u32> { Ok(first + u32::try_from(number)?) };
        let mut node = Bytes::default();
        node.u16(u16::from(leaf)).u16(u16::try_from(chunk.len())?);
        node.u32(if number + 1 < count { at(number + 1)? } else { 0 });
        node.u32(if number > 0 { at(number - 1)? } else { 0 });
        for (block, file) in chunk {
            node.u32(*block).u32(*file);
        }
        node.0.resize(TREE_BLOCK as usize, 0);
        let last = chunk.last().map_or(0, |(_, file)| *file);
        level.push((store.add(node), last));
    }
    Ok(level)
}

fn tree(store: &mut Store, root: u32, size: u32, count: u32) -> u32 {
    let mut tree = Bytes::default();
    tree.0.extend_from_slice(b"tree");
    tree.u32(1).u32(root).u32(size).u32(count).u8(0);
    store.add(tree)
}

fn empty_tree(store: &mut Store, size: u32) -> u32 {
    let mut leaf = Bytes::default();
    leaf.u16(1);
    leaf.0.resize(size as usize, 0);
    let leaf = store.add(leaf);
    tree(store, leaf, size, 0)
}

/// The checksum of POSIX's `cksum`, which a Bom has for files and for where links lead.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: u8| {
        let mut crc = crc ^ (u32::from(byte) << 24);
        for _ in 0..8 {
            crc = if crc & 0x8000_0000 == 0 { crc << 1 } else { (crc << 1) ^ 0x04C1_1DB7 };
        }
        crc
    };
    let mut table = [0_u32; 256];
    for (byte, entry) in (0_u8..=255).zip(&mut table) {
        *entry = step(0, byte);
    }
    let mut crc = 0_u32;
    let mut length = bytes.len();
    let mut tail = Vec::new();
    while length > 0 {
        tail.push(length.to_le_bytes()[0]);
        length >>= 8;
    }
    for byte in bytes.iter().chain(&tail) {
        let index = usize::from(crc.to_be_bytes()[0] ^ byte);
        crc = (crc << 8) ^ table.get(index).copied().unwrap_or_default();
    }
    !crc
}

/// Blocks, by number. Number 0 is none.
#[derive(Default)]
struct Store {
    blocks: Vec<Vec<u8>>,
}

impl Store {
    /// The number that the next block gets.
    fn next(&self) -> u32 {
        u32::try_from(self.blocks.len() + 1).unwrap_or(u32::MAX)
    }

    fn add(&mut self, block: Bytes) -> u32 {
        let number = self.next();
        self.blocks.push(block.0);
        number
    }

    /// Header, blocks, variables, index.
    fn finish(self, variables: &[(&str, u32)]) -> Result<Vec<u8>> {
        let mut heap = vec![0; HEADER];
        let mut index = Bytes::default();
        let count = u32::try_from(self.blocks.len())?;
        index.u32(count + 1).u32(0).u32(0);
        for block in &self.blocks {
            let offset = u32::try_from(heap.len()).context("a Bom of more than 4 GiB")?;
            index.u32(offset).u32(u32::try_from(block.len())?);
            heap.extend_from_slice(block);
        }
        // A list of free blocks follows, of which there are none.
        index.u32(0);
        let mut vars = Bytes::default();
        vars.u32(u32::try_from(variables.len())?);
        for (name, block) in variables {
            vars.u32(*block).u8(u8::try_from(name.len())?);
            vars.0.extend_from_slice(name.as_bytes());
        }
        let vars_at = u32::try_from(heap.len())?;
        heap.extend_from_slice(&vars.0);
        let index_at = u32::try_from(heap.len())?;
        heap.extend_from_slice(&index.0);
        let mut header = Bytes::default();
        header.0.extend_from_slice(b"BOMStore");
        header.u32(1).u32(count).u32(index_at).u32(u32::try_from(index.0.len())?);
        header.u32(vars_at).u32(u32::try_from(vars.0.len())?);
        heap.splice(..header.0.len(), header.0);
        Ok(heap)
    }
}

/// Bytes that grow, big-endian.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    fn u16(&mut self, value: u16) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Text with a zero at its end.
    fn text(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self.0.push(0);
        self
    }
}

#[cfg(test)]
mod tests {
    use apple_bom::{BomPathType, ParsedBom};
    use proptest::prelude::*;

    use super::{checksum, write};
    use crate::tree::{Kind, Node};

    fn node(path: &str, kind: Kind) -> Node {
        Node { path: path.to_owned(), kind, mode: 0o755 }
    }

    #[test]
    fn the_checksum_is_that_of_cksum() {
        // `printf 123456789 | cksum`, and of nothing.
        assert_eq!(checksum(b"123456789"), 930_766_865);
        assert_eq!(checksum(b""), 4_294_967_295);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_reader_that_is_not_ours_finds_every_path_with_what_is_known_of_it(
            files in 0_usize..1400,
            content in proptest::collection::vec(any::<u8>(), 0..64),
            target in "[a-z./]{1,40}",
        ) {
            let mut nodes = vec![node(".", Kind::Directory), node("opt", Kind::Directory)];
            nodes.push(node("opt/link", Kind::Link(target.clone())));
            nodes.extend((0..files).map(|n| {
                node(&format!("opt/z{n:05}"), Kind::File(content.clone()))
            }));
            let bytes = write(&nodes, 1_700_000_000).unwrap();
            let bom = ParsedBom::parse(&bytes).unwrap();
            let mut paths = bom.paths().unwrap();
            prop_assert_eq!(paths.len(), nodes.len());
            paths.sort_by(|a, b| a.path().cmp(b.path()));
            let mut expected: Vec<String> = nodes.iter().map(|node| match node.path.as_str() {
                "." => ".".to_owned(),
                path => format!("./{path}"),
            }).collect();
            expected.sort();
            for (path, expected) in paths.iter().zip(&expected) {
                prop_assert_eq!(path.path(), expected);
                prop_assert_eq!((path.user_id(), path.group_id()), (0, 0));
                match path.path_type() {
                    BomPathType::File => {
                        prop_assert_eq!(path.size(), content.len());
                        prop_assert_eq!(path.crc32(), Some(checksum(&content)));
                    }
                    BomPathType::Link => prop_assert_eq!(path.link_name(), Some(target.as_str())),
                    _ => prop_assert_eq!(path.file_mode(), 0o040_755),
                }
            }
        }
    }
}
