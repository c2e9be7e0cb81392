//! YAML as a tree that remembers places.
//!
//! A launch agent that is root reads this file, so the tree is small by construction: one
//! document, no aliases (with which a few lines become gigabytes), a limit on size and depth,
//! and no key twice.

use std::path::Path;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span};

use super::error::{ConfigError, Place};

/// A file larger than this is no configuration of a launch agent.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// Nesting beyond what any key has.
const MAX_DEPTH: usize = 16;

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

/// Reads a document. An empty one is an empty mapping.
pub(super) fn parse(file: &Path, text: &str) -> Result<Node, ConfigError> {
    if text.len() > MAX_BYTES {
        let message = format!("the file is larger than {MAX_BYTES} bytes");
        return Err(ConfigError::new(file, None, message, None));
    }
    let options = granit_parser::options! { emit_comments: false };
    let mut builder = Builder { file, parser: Parser::new_from_str_with_options(text, options) };
    let mut root = None;
    loop {
        let (event, span) = builder.next()?;
        match event {
            Event::StreamStart | Event::DocumentEnd => {}
            Event::StreamEnd => break,
            Event::DocumentStart(..) if root.is_some() => {
                return Err(builder.error(
                    &span,
                    "a second document begins here",
                    Some("a configuration is one document; remove the `---` before this line"),
                ));
            }
            Event::DocumentStart(..) => {
                let (event, span) = builder.next()?;
                root = Some(builder.node(event, &span, 0)?);
            }
            _ => return Err(builder.error(&span, "unexpected content", None)),
        }
    }
    let empty = Node { place: Place { line: 1, column: 1 }, kind: NodeKind::Map(Vec::new()) };
    Ok(match root {
        Some(Node { kind: NodeKind::Null, .. }) | None => empty,
        Some(root) => root,
    })
}

struct Builder<'a> {
    file: &'a Path,
    parser: Parser<'a, granit_parser::StrInput<'a>>,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), ConfigError> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => {
                let message = format!("this is not YAML: {}", error.info());
                let place = place(error.marker());
                Err(ConfigError::new(self.file, Some(place), message, None))
            }
            None => Ok((Event::StreamEnd, Span::empty(Marker::new(0, 1, 0)))),
        }
    }

    fn error(&self, span: &Span, message: &str, hint: Option<&str>) -> ConfigError {
        let place = Some(place(&span.start));
        ConfigError::new(self.file, place, message.to_owned(), hint.map(str::to_owned))
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, ConfigError> {
        if depth > MAX_DEPTH {
            return Err(self.error(span, "this is nested too deeply", None));
        }
        let kind = match event {
            Event::Scalar(text, style, _, _) => scalar(text.into_owned(), style),
            Event::SequenceStart(..) => NodeKind::List(self.list(depth)?),
            Event::MappingStart(..) => NodeKind::Map(self.map(depth)?),
            Event::Alias(_) => {
                return Err(self.error(
                    span,
                    "aliases (`*name`) are not supported here",
                    Some("write the value out"),
                ));
            }
            _ => return Err(self.error(span, "a value is missing here", None)),
        };
        Ok(Node { place: place(&span.start), kind })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, ConfigError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, &span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, ConfigError> {
        let mut entries: Vec<Entry> = Vec::new();
        loop {
            let (name, span) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(entries),
                (Event::Scalar(name, ..), span) => (name.into_owned(), span),
                (_, span) => return Err(self.error(&span, "a key must be plain text", None)),
            };
            if let Some(first) = entries.iter().find(|entry| entry.name == name) {
                let message =
                    format!("`{name}` is given twice; the first is on line {}", first.place.line);
                return Err(self.error(&span, &message, Some("remove one of them")));
            }
            let (event, value_span) = self.next()?;
            let value = self.node(event, &value_span, depth + 1)?;
            entries.push(Entry { name, place: place(&span.start), value });
        }
    }
}

fn scalar(text: String, style: ScalarStyle) -> NodeKind {
    let quoted = style != ScalarStyle::Plain;
    if !quoted && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL") {
        return NodeKind::Null;
    }
    NodeKind::Scalar { text, quoted }
}

fn place(marker: &Marker) -> Place {
    Place { line: marker.line(), column: marker.col() + 1 }
}
