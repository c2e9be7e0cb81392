//! The tree.

use std::collections::HashMap;
use std::rc::Rc;

use crate::source::Span;

/// Size that a node counts besides its text.
pub const NODE_SIZE: usize = 64;

/// A value and its place. Cheap to clone: aliases share what they stand for.
#[derive(Clone, Debug)]
pub struct Node {
    /// Place at which it is written.
    pub span: Span,
    /// Place of its use, if that is through an alias.
    pub alias: Option<Span>,
    /// Contents.
    pub value: Value,
    /// Bytes that the tree below would take if aliases were written out, roughly.
    pub size: usize,
    /// Levels of the tree below, itself included.
    pub depth: usize,
}

/// Contents of a node.
#[derive(Clone, Debug)]
pub enum Value {
    /// A text. `plain` where it stands without quotes, so that it may be a number, a boolean or
    /// nothing.
    Scalar {
        /// The text, without quotes and with escapes resolved.
        text: Rc<str>,
        /// Set where it stands without quotes.
        plain: bool,
    },
    /// A sequence.
    List(Rc<[Node]>),
    /// Keys with values.
    Mapping(Rc<Mapping>),
    /// Value of an alias without an anchor. That was reported; all that follows
    /// from it is not.
    Unknown,
}

/// Keys and values in the order of the text, keys unique, merge keys resolved.
#[derive(Debug, Default)]
pub struct Mapping {
    /// The entries, in the order of the text.
    pub entries: Vec<Entry>,
    /// Set if something was to be merged that is not there, so that a key that is missing may
    /// be no mistake of its own.
    pub is_incomplete: bool,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: Rc<str>,
    /// Place of the key.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

/// Type of a node, as messages call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing, `~` or `null`.
    Nothing,
    /// `true`, `no` and such.
    Boolean(bool),
    /// A number without quotes.
    Number,
    /// A text.
    Text,
    /// A sequence.
    List,
    /// A mapping.
    Mapping,
    /// Value of a faulty alias.
    Unknown,
}

impl Kind {
    /// With an article.
    pub fn describe(self) -> &'static str {
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
    /// Returns its type. Plain scalars are told apart as YAML 1.1 does, which CircleCI's parser
    /// follows.
    pub fn kind(&self) -> Kind {
        match &self.value {
            Value::Scalar { text, plain: true } => plain_kind(text),
            Value::Scalar { .. } => Kind::Text,
            Value::List(_) => Kind::List,
            Value::Mapping(_) => Kind::Mapping,
            Value::Unknown => Kind::Unknown,
        }
    }

    /// A text that is written nowhere as such.
    pub fn made_text(text: &str, span: Span) -> Self {
        let value = Value::Scalar { text: Rc::from(text), plain: false };
        Self { span, alias: None, value, size: NODE_SIZE + text.len(), depth: 1 }
    }

    /// A boolean or a number that is written nowhere as such.
    pub fn made_plain(text: &str, span: Span) -> Self {
        let value = Value::Scalar { text: Rc::from(text), plain: true };
        Self { value, ..Self::made_text(text, span) }
    }

    /// A list that is written nowhere as such.
    pub fn made_list(items: Vec<Self>, span: Span) -> Self {
        let size = items.iter().fold(NODE_SIZE, |sum, item| sum.saturating_add(item.size));
        let depth = items.iter().map(|item| item.depth).max().unwrap_or(0) + 1;
        Self { span, alias: None, value: Value::List(items.into()), size, depth }
    }

    /// A mapping that is written nowhere as such.
    pub fn made_mapping(entries: Vec<Entry>, span: Span, is_incomplete: bool) -> Self {
        let size = entries.iter().fold(NODE_SIZE, |sum, entry| {
            sum.saturating_add(entry.value.size).saturating_add(entry.key.len())
        });
        let depth = entries.iter().map(|entry| entry.value.depth).max().unwrap_or(0) + 1;
        let value = Value::Mapping(Rc::new(Mapping { entries, is_incomplete }));
        Self { span, alias: None, value, size, depth }
    }

    /// Something of which nothing is known, so that nothing that follows from it is reported.
    pub fn unknown(span: Span) -> Self {
        Self { value: Value::Unknown, ..Self::made_text("", span) }
    }

    /// Returns this node as used through an alias or a parameter that stands at `place`.
    pub fn used(&self, place: Span) -> Self {
        Self { alias: Some(place), ..self.clone() }
    }

    /// The text of a scalar, as it is written.
    pub fn scalar(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The entries of a mapping.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Mapping(mapping) => &mapping.entries,
            _ => &[],
        }
    }

    /// Returns true if two trees say the same, wherever they are written. A text is not the number
    /// that it looks like.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Scalar { text: a, .. }, Value::Scalar { text: b, .. }) => {
                match (self.kind(), other.kind()) {
                    (Kind::Number, Kind::Number) => {
                        a == b || a.parse::<f64>().ok() == b.parse::<f64>().ok()
                    }
                    (Kind::Text, Kind::Text) => a == b,
                    (a, b) => a == b,
                }
            }
            (Value::List(a), Value::List(b)) => {
                Rc::ptr_eq(a, b)
                    || (a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| a.is_same(b)))
            }
            (Value::Mapping(a), Value::Mapping(b)) => {
                Rc::ptr_eq(a, b)
                    || (a.entries.len() == b.entries.len() && {
                        let b: HashMap<&str, &Self> =
                            b.entries.iter().map(|entry| (&*entry.key, &entry.value)).collect();
                        a.entries.iter().all(|entry| {
                            b.get(&*entry.key).is_some_and(|value| entry.value.is_same(value))
                        })
                    })
            }
            _ => false,
        }
    }

    /// Returns the place at which the reader should look first: that of its use.
    pub fn used_at(&self) -> Span {
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
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The entry of a key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| &*entry.key == key)
    }
}
