//! YAML as plain values: aliases followed, merge keys resolved, scalars as they are written.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle};

/// A value. A scalar is its text, and whether it stands without quotes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    Scalar(String, bool),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

use Tree::{List, Map, Scalar};

impl Tree {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Scalar(text.into(), false)
    }

    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Scalar(text.into(), true)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub(crate) fn entries(&self) -> &[(String, Self)] {
        if let Map(entries) = self { entries } else { &[] }
    }

    pub(crate) fn items(&self) -> &[Self] {
        if let List(items) = self { items } else { &[] }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        if let Scalar(text, _) = self { Some(text) } else { None }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Scalar(text, true) if ["", "~", "null", "Null", "NULL"].contains(&&**text))
    }

    /// The boolean that YAML 1.1 takes it for.
    pub(crate) fn boolean(&self) -> Option<bool> {
        let Scalar(text, true) = self else { return None };
        match text.to_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    pub(crate) fn number(&self) -> Option<f64> {
        let Scalar(text, true) = self else { return None };
        text.parse().ok().filter(|_| text.starts_with(|c: char| c.is_ascii_digit() || c == '-'))
    }

    /// True but for `false`, nothing, 0, an empty text, list or mapping.
    pub(crate) fn is_truthy(&self) -> bool {
        match self {
            List(items) => !items.is_empty(),
            Map(entries) => !entries.is_empty(),
            Scalar(text, _) => {
                !self.is_null()
                    && self.boolean() != Some(false)
                    && self.number() != Some(0.0)
                    && !text.is_empty()
            }
        }
    }

    /// Equality of values: a text is not the number that it looks like.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (List(a), List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.equals(b)),
            (Map(a), Map(b)) => {
                let has = |(key, value): &(String, Self)| {
                    other.get(key).is_some_and(|found| value.equals(found))
                };
                a.len() == b.len() && a.iter().all(has)
            }
            (Scalar(a, _), Scalar(b, _)) => {
                let kind =
                    |tree: &Self| (tree.is_null(), tree.boolean(), tree.number().map(f64::to_bits));
                let (left, right) = (kind(self), kind(other));
                let is_text = left == (false, None, None);
                left == right && (!is_text || a == b)
            }
            _ => false,
        }
    }
}

enum Frame {
    List(usize, Vec<Tree>),
    Map(usize, Vec<(String, Tree)>, Option<String>),
}

/// Reads a text. An error is no YAML.
pub(crate) fn load(text: &str) -> Result<Tree, String> {
    let mut stack: Vec<Frame> = Vec::new();
    let mut anchors: HashMap<usize, Tree> = HashMap::new();
    let mut root = None;
    for next in Parser::new_from_str(text) {
        let (event, _) = next.map_err(|error| error.to_string())?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                (Scalar(text.to_string(), plain), anchor)
            }
            Event::SequenceStart(_, anchor, _) => {
                stack.push(Frame::List(anchor, Vec::new()));
                continue;
            }
            Event::MappingStart(_, anchor, _) => {
                stack.push(Frame::Map(anchor, Vec::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match stack.pop() {
                Some(Frame::List(anchor, items)) => (List(items), anchor),
                Some(Frame::Map(anchor, entries, _)) => (Map(merge(entries)), anchor),
                None => return Err("unbalanced".to_owned()),
            },
            Event::Alias(id) => (anchors.get(&id).cloned().ok_or("alias")?, 0),
            _ => continue,
        };
        if anchor != 0 {
            anchors.insert(anchor, value.clone());
        }
        match stack.last_mut() {
            None => root = Some(value),
            Some(Frame::List(_, items)) => items.push(value),
            Some(Frame::Map(_, entries, key)) => match key.take() {
                None => *key = Some(value.as_str().ok_or("key")?.to_owned()),
                Some(key) => entries.push((key, value)),
            },
        }
    }
    root.ok_or_else(|| "empty".to_owned())
}

/// `<<`: what a mapping says itself wins, and of what it merges the first.
fn merge(entries: Vec<(String, Tree)>) -> Vec<(String, Tree)> {
    let (merges, mut own): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| key == "<<");
    let merged = merges.into_iter().flat_map(|(_, value)| match value {
        List(items) => items,
        other => vec![other],
    });
    for source in merged.collect::<Vec<_>>() {
        for (key, value) in source.entries() {
            if !own.iter().any(|(name, _)| name == key) {
                own.push((key.clone(), value.clone()));
            }
        }
    }
    own
}
