//! The YAML of a project: the reader of `russet-yaml`, within limits for what anybody can push.

pub(crate) use russet_yaml::{Entry, Kind, Mapping, Node, Value};

use crate::problem::Problem;
use crate::source::Span;

/// Limits of a configuration. The largest real configurations that we know of are a hundredth
/// of these.
pub(crate) mod limits {
    pub(crate) use russet_yaml::NODE_SIZE;

    /// Bytes of text. A larger file is refused before anything of it is read.
    pub(crate) const MAX_BYTES: usize = 4 * 1024 * 1024;

    /// Size of the tree with all aliases followed, in the unit of [`russet_yaml::Node::size`].
    pub(crate) const MAX_SIZE: usize = 32 * 1024 * 1024;

    /// Nesting, aliases followed. Everything that walks the tree recurses at most this deep.
    pub(crate) const MAX_DEPTH: usize = 100;
}

const LIMITS: russet_yaml::Limits = russet_yaml::Limits {
    max_bytes: limits::MAX_BYTES,
    max_size: limits::MAX_SIZE,
    max_depth: limits::MAX_DEPTH,
    aliases: true,
};

/// Parses a text whose first byte counts as `base` in spans. The tree is absent only where the text
/// is empty or cannot be read on; the problems are what is wrong with it so far.
pub(crate) fn parse(text: &str, base: usize) -> (Option<Node>, Vec<Problem>) {
    let (root, faults) = russet_yaml::parse(text, base, &LIMITS);
    let mut problems: Vec<Problem> = faults.into_iter().map(Problem::from).collect();
    if root.is_none() && problems.is_empty() {
        problems.push(Problem::error(Span::new(base, base), "the configuration is empty"));
    }
    (root, problems)
}
