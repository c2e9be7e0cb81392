//! What a configuration may cost. The largest real configurations that we know of are a hundredth
//! of these.

/// Bytes of text. A larger file is refused before anything of it is read.
pub(crate) const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Size of the tree with all aliases followed, in the unit of [`super::Node::size`]. This is what
/// stops an alias bomb: nine lines of ten aliases each stand for a billion nodes.
pub(crate) const MAX_SIZE: usize = 32 * 1024 * 1024;

/// What a node counts for besides its text.
pub(crate) const NODE_SIZE: usize = 64;

/// Nesting, aliases followed. Everything that walks the tree recurses at most this deep.
pub(crate) const MAX_DEPTH: usize = 100;
