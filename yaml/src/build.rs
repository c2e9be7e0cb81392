//! The parser's events to a tree.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle, Tag};

use super::explain::explain_error;
use super::limits::Limits;
use super::merge::{self, RawEntry};
use super::node::{Entry, NODE_SIZE, Node, Value};
use crate::fault::{self, Fault};
use crate::source::{Span, Text, quoted};
use crate::suggest::Suggestions;

/// Parses a text whose first byte counts as `base` in spans. The tree is absent where the text is
/// empty, or where a fault prevents reading on; a tree may come with faults as well.
#[must_use]
pub fn parse(text: &str, base: usize, limits: &Limits) -> (Option<Node>, Vec<Fault>) {
    if text.len() > limits.max_bytes {
        let message = format!("the text is longer than {} bytes", limits.max_bytes);
        return (None, vec![Fault::new(Span::new(base, base), message)]);
    }
    let source = Text { text, base };
    let mut options = granit_parser::options! {
        emit_anchor_events: true,
        emit_unresolved_aliases: true,
    };
    options.set_emit_comments(false);
    let mut builder = Builder::new(*limits);
    for next in Parser::new_from_str_with_options(source.text, options) {
        let step = match next {
            Ok((event, span)) => {
                let tag_span =
                    span.tag_span().map_or_else(Span::default, |tag| byte_span(source, &tag));
                builder.event(event, byte_span(source, &span), tag_span)
            }
            Err(error) => Err(Box::new(explain_error(source, &error, builder.open_flow()))),
        };
        if let Err(fatal) = step {
            builder.faults.push(*fatal);
            return (None, builder.faults);
        }
    }
    (builder.root, builder.faults)
}

/// A span in bytes, without the white space that the parser leaves at the end of block scalars.
fn byte_span(source: Text<'_>, span: &granit_parser::Span) -> Span {
    let start = span.start.byte_offset().unwrap_or(0);
    let end = span.end.byte_offset().unwrap_or(start);
    let text = source.text.get(start..end).unwrap_or("");
    Span::new(source.base + start, source.base + start + text.trim_end().len())
}

/// A fault that ends the reading.
type Fatal = Box<Fault>;

/// A collection that is not closed yet.
#[derive(Debug)]
struct Frame {
    span: Span,
    anchor: usize,
    /// Set if it is written in brackets.
    is_flow: bool,
    kind: FrameKind,
}

#[derive(Debug)]
enum FrameKind {
    List(Vec<Node>),
    Mapping { entries: Vec<RawEntry>, key: Option<Node> },
}

#[derive(Debug)]
struct Builder {
    limits: Limits,
    stack: Vec<Frame>,
    root: Option<Node>,
    /// Nodes by the parser's number of their anchor; a name that is given twice has two numbers,
    /// and an alias means the last before it.
    anchors: HashMap<usize, Node>,
    /// Names of anchors, for suggestions.
    names: BTreeMap<String, Span>,
    faults: Vec<Fault>,
    suggestions: Suggestions,
    /// Size of the tree built so far, in the unit of sizes.
    work: usize,
}

impl Builder {
    fn new(limits: Limits) -> Self {
        Self {
            limits,
            stack: Vec::new(),
            root: None,
            anchors: HashMap::new(),
            names: BTreeMap::new(),
            faults: Vec::new(),
            suggestions: Suggestions::default(),
            work: 0,
        }
    }

    /// Takes one event. An error ends the reading.
    fn event(&mut self, event: Event<'_>, span: Span, tag_span: Span) -> Result<(), Fatal> {
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                let fault = Fault::new(span, "a configuration is one YAML document")
                    .hint("remove the `---` and what follows, or what precedes it");
                return Err(Box::new(fault));
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = self.tagged(tag.as_deref(), style == ScalarStyle::Plain, tag_span);
                self.scalar(&text, plain, anchor, span)?;
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.tagged(tag.as_deref(), true, tag_span);
                self.open(span, anchor, style, FrameKind::List(Vec::new()))?;
            }
            Event::MappingStart(style, anchor, tag) => {
                self.tagged(tag.as_deref(), true, tag_span);
                let kind = FrameKind::Mapping { entries: Vec::new(), key: None };
                self.open(span, anchor, style, kind)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span)?,
            Event::Anchor(_, name) => {
                self.names.insert(name.to_string(), span);
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) if !self.limits.aliases => {
                let fault = Fault::new(span, "aliases (`*name`) are not supported here")
                    .hint("write the value out");
                return Err(Box::new(fault));
            }
            Event::Alias(id) => self.alias(id, span)?,
            Event::UnresolvedAlias(name) => {
                let known = self.names.keys().map(String::as_str);
                let suggestion = self.suggestions.did_you_mean(&name, known);
                let hint = suggestion.unwrap_or_else(|| {
                    format!(
                        "an anchor is given with `&{}` before it is used; a text that starts with `*` needs quotes",
                        quoted(&name)
                    )
                });
                let message = format!("there is no anchor `{}` before this", quoted(&name));
                fault::add_fault(&mut self.faults, Fault::new(span, message).hint(hint));
                let (value, size) = (Value::Unknown, NODE_SIZE);
                self.spend(size, span)?;
                self.place(Node { span, alias: None, value, size, depth: 1 }, 0)?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns true if a scalar may be more than a text, given its tag. Tags that mean nothing here
    /// are reported.
    fn tagged(&mut self, tag: Option<&Tag>, plain: bool, span: Span) -> bool {
        let Some(tag) = tag else { return plain };
        match tag.core_suffix() {
            Some("str") => false,
            Some(_) => true,
            None => {
                let message =
                    format!("the YAML tag `{}` has no meaning here", quoted(&tag.original()));
                let fault = Fault::new(span, message).hint("remove the tag");
                fault::add_fault(&mut self.faults, fault);
                plain
            }
        }
    }

    fn scalar(&mut self, text: &str, plain: bool, anchor: usize, span: Span) -> Result<(), Fatal> {
        let size = NODE_SIZE + text.len();
        self.spend(size, span)?;
        let value = Value::Scalar { text: Rc::from(text), plain };
        let node = Node { span, alias: None, value, size, depth: 1 };
        self.place(node, anchor)
    }

    /// The innermost collection that was opened with a bracket and is not closed.
    fn open_flow(&self) -> Option<Span> {
        self.stack.last().filter(|frame| frame.is_flow).map(|frame| frame.span)
    }

    fn open(
        &mut self,
        span: Span,
        anchor: usize,
        style: StructureStyle,
        kind: FrameKind,
    ) -> Result<(), Fatal> {
        if self.stack.len() >= self.limits.max_depth {
            return Err(self.too_deep(span));
        }
        self.spend(NODE_SIZE, span)?;
        let is_flow = style == StructureStyle::Flow;
        self.stack.push(Frame { span, anchor, is_flow, kind });
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Fatal> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let (mut size, mut depth) = (NODE_SIZE, 0);
        let mut add = |node: &Node, key: usize| {
            size = size.saturating_add(node.size).saturating_add(key);
            depth = depth.max(node.depth);
        };
        let value = match frame.kind {
            FrameKind::List(items) => {
                items.iter().for_each(|item| add(item, 0));
                Value::List(items.into())
            }
            FrameKind::Mapping { entries, .. } => {
                let mapping = merge::resolve_merges(
                    entries,
                    &mut self.faults,
                    &mut self.work,
                    self.limits.max_size,
                );
                mapping.entries.iter().for_each(|entry| add(&entry.value, entry.key.len()));
                Value::Mapping(Rc::new(mapping))
            }
        };
        self.spend(0, frame.span)?;
        let span = Span::new(frame.span.start, end.end.max(frame.span.end));
        let node = Node { span, alias: None, value, size, depth: depth + 1 };
        self.place(node, frame.anchor)
    }

    /// Follows an alias.
    fn alias(&mut self, id: usize, span: Span) -> Result<(), Fatal> {
        let Some(node) = self.anchors.get(&id) else {
            let fault = Fault::new(span, "this alias stands within what it stands for")
                .hint("a configuration cannot contain itself");
            return Err(Box::new(fault));
        };
        let mut node = node.clone();
        node.alias = Some(span);
        self.place(node, 0)
    }

    /// Puts a finished node where it belongs: into the open collection, as key or value, or at
    /// the root.
    fn place(&mut self, node: Node, anchor: usize) -> Result<(), Fatal> {
        if node.size > self.limits.max_size {
            return Err(self.too_large(node.used_at()));
        }
        if self.stack.len() + node.depth > self.limits.max_depth {
            return Err(self.too_deep(node.used_at()));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.stack.last_mut().map(|frame| &mut frame.kind) {
            None => self.root = Some(node),
            Some(FrameKind::List(items)) => items.push(node),
            Some(FrameKind::Mapping { entries, key }) => match key.take() {
                None => *key = Some(node),
                Some(key) => match raw_entry(key, node, self.limits.aliases) {
                    Ok(entry) => entries.push(entry),
                    Err(fault) => fault::add_fault(&mut self.faults, *fault),
                },
            },
        }
        Ok(())
    }

    fn too_large(&self, span: Span) -> Fatal {
        let limit = self.limits.max_size / 1024 / 1024;
        let fault = Fault::new(
            span,
            format!("the configuration grows beyond {limit} MiB here, with its aliases followed"),
        )
        .hint("an alias of a list of aliases multiplies; write less that stands for less");
        Box::new(fault)
    }

    fn too_deep(&self, span: Span) -> Fatal {
        let limit = self.limits.max_depth;
        Box::new(Fault::new(span, format!("this is nested more than {limit} levels deep")))
    }

    fn spend(&mut self, size: usize, span: Span) -> Result<(), Fatal> {
        self.work = self.work.saturating_add(size);
        if self.work > self.limits.max_size { Err(self.too_large(span)) } else { Ok(()) }
    }
}

/// An entry as it is written. Keys are texts; numbers and such count as what is written.
fn raw_entry(key: Node, value: Node, merges: bool) -> Result<RawEntry, Fatal> {
    let key_span = key.used_at();
    match key.value {
        Value::Scalar { text, .. } if text.is_empty() => {
            Err(Box::new(Fault::new(key_span, "a key is missing before the `:`")))
        }
        Value::Scalar { text, plain } => {
            let is_merge = merges && plain && &*text == "<<" && key.alias.is_none();
            Ok(RawEntry { entry: Entry { key: text, key_span, value }, is_merge })
        }
        Value::List(_) | Value::Mapping(_) | Value::Unknown => {
            let found = key.kind().describe();
            let message = format!("a key is a text, but this is {found}");
            let hint = "a value that starts with `{`, `[` or `<<` may need quotes";
            Err(Box::new(Fault::new(key_span, message).hint(hint)))
        }
    }
}
