//! Bounds of what a text may cost.

/// Bounds for reading a text that somebody else wrote.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of text.
    pub max_bytes: usize,
    /// Size of the tree with all aliases followed, in the unit of [`crate::Node::size`]. This is
    /// what stops an alias bomb: nine lines of ten aliases each stand for a billion nodes.
    pub max_size: usize,
    /// Nesting, aliases followed. Everything that walks the tree recurses at most this deep.
    pub max_depth: usize,
    /// Accepts aliases (`*name`) and merge keys (`<<`). Without, an alias is a fault and `<<` a key
    /// like others.
    pub aliases: bool,
}
