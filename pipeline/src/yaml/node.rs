//! The tree.

use std::rc::Rc;

use crate::source::Span;

/// A value and its place. Cheap to clone: aliases share what they stand for.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Where it is written.
    pub(crate) span: Span,
    /// Where it is used, if that is through an alias.
    pub(crate) alias: Option<Span>,
    pub(crate) value: Value,
    /// Bytes that the tree below would take if aliases were written out, roughly.
    pub(crate) size: usize,
    /// Levels of the tree below, itself included.
    pub(crate) depth: usize,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A text. `plain` where it stands without quotes, so that it may be a number, a boolean or
    /// nothing.
    Scalar {
        text: Rc<str>,
        plain: bool,
    },
    List(Rc<[Node]>),
    Mapping(Rc<Mapping>),
    /// What an alias without an anchor would have stood for. That was reported; all that follows
    /// from it is not.
    Unknown,
}

/// Keys and values in the order of the text, keys unique, merge keys resolved.
#[derive(Debug, Default)]
pub(crate) struct Mapping {
    pub(crate) entries: Vec<Entry>,
    /// Whether something was to be merged that is not there, so that a key that is missing may
    /// be no mistake of its own.
    pub(crate) is_incomplete: bool,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: Rc<str>,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

/// What a node is, as messages call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nothing,
    Boolean(bool),
    Number,
    Text,
    List,
    Mapping,
    Unknown,
}

impl Kind {
    /// With an article.
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Boolean(_) => "a boolean",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::List => "a list",
            Self::Mapping => "a mapping",
            Self::Unknown => "something unknown",
        }
    }
}

impl Node {
    /// What it is. Plain scalars are told apart as YAML 1.1 does, which CircleCI's parser
    /// follows.
    pub(crate) fn kind(&self) -> Kind {
        match &self.value {
            Value::Scalar { text, plain: true } => plain_kind(text),
            Value::Scalar { .. } => Kind::Text,
            Value::List(_) => Kind::List,
            Value::Mapping(_) => Kind::Mapping,
            Value::Unknown => Kind::Unknown,
        }
    }

    /// Where the reader should look first: where it is used.
    pub(crate) fn used_at(&self) -> Span {
        self.alias.unwrap_or(self.span)
    }
}

/// The kind of a scalar without quotes.
fn plain_kind(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Kind::Nothing,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            Kind::Boolean(true)
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            Kind::Boolean(false)
        }
        // `parse` also takes words such as `inf` and `nan`, which are texts in YAML.
        _ if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
            && text.ends_with(|c: char| c.is_ascii_digit() || c == '.')
            && text.parse::<f64>().is_ok() =>
        {
            Kind::Number
        }
        _ => Kind::Text,
    }
}

impl Mapping {
    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of a key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| &*entry.key == key)
    }
}
