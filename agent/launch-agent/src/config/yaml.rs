//! The agent's configuration as a tree whose values know their lines.
//!
//! A launch agent that is root reads this file, so the limits are narrow: no aliases (with which a
//! few lines become gigabytes), 1 MiB, little nesting. The tree is one that can be changed, for
//! [`super::convert`].

use std::path::Path;

use russet_yaml::{Fault, Kind, Limits, Source, Span, Value};

use super::error::{ConfigError, Place};

/// A file larger than this is no configuration of a launch agent.
pub(super) const MAX_BYTES: usize = 1 << 20;

const LIMITS: Limits = Limits {
    max_bytes: MAX_BYTES,
    max_size: 128 * MAX_BYTES,
    // More than any key has.
    max_depth: 16,
    aliases: false,
};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) kind: NodeKind,
}

#[derive(Clone, Debug)]
pub(super) enum NodeKind {
    /// Nothing, `~` or `null`.
    Null,
    /// Text as it stands; `quoted` where it can be nothing but text.
    Scalar {
        text: String,
        quoted: bool,
    },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) value: Node,
}

impl NodeKind {
    /// Describes it, for messages.
    pub(super) fn describe(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar { .. } => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Parses a document. An empty one is an empty mapping.
pub(super) fn parse(file: &Path, text: &str) -> Result<Node, ConfigError> {
    let (root, faults) = russet_yaml::parse(text, 0, &LIMITS);
    let source = Source::new("", text);
    if let Some(fault) = faults.into_iter().next() {
        return Err(error(file, &source, fault));
    }
    let root = root.filter(|root| root.kind() != Kind::Nothing);
    let empty = || Node { place: Place { line: 1, column: 1 }, kind: NodeKind::Map(Vec::new()) };
    Ok(root.map_or_else(empty, |root| node(&source, &root)))
}

fn node(source: &Source<'_>, written: &russet_yaml::Node) -> Node {
    let kind = match &written.value {
        _ if written.kind() == Kind::Nothing => NodeKind::Null,
        Value::Scalar { text, plain } => {
            NodeKind::Scalar { text: text.to_string(), quoted: !plain }
        }
        Value::List(items) => NodeKind::List(items.iter().map(|item| node(source, item)).collect()),
        Value::Mapping(mapping) => {
            let entries = mapping.entries.iter().map(|entry| Entry {
                name: entry.key.to_string(),
                place: place(source, entry.key_span),
                value: node(source, &entry.value),
            });
            NodeKind::Map(entries.collect())
        }
        // Stands for aliases, which are refused.
        Value::Unknown => NodeKind::Null,
    };
    Node { place: place(source, written.span), kind }
}

fn error(file: &Path, source: &Source<'_>, fault: Fault) -> ConfigError {
    let related = fault
        .related
        .map(|(span, message)| format!(" (line {}: {message})", place(source, span).line));
    let message = format!("{}{}", fault.message, related.unwrap_or_default());
    ConfigError::new(file, Some(place(source, fault.span)), message, fault.hint)
}

fn place(source: &Source<'_>, span: Span) -> Place {
    let (line, column) = source.position(span);
    Place { line, column }
}
