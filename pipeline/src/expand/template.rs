//! `<< … >>` in texts.
//!
//! A text that is nothing but one expression keeps the type of what it stands for; in all others
//! expressions are replaced by text. `\<<` is a plain `<<`. What is put in is not read again.
//! `<<# x >> … << / x >>` is left out unless `x` is something, `<<^ x >> … << / x >>` if it is.
//! An expression may stand between the brackets too; see [`super::expression`].

use std::rc::Rc;

use super::tag::{Piece, has_namespace, is_plain_name, next_piece, section_end, whole_name};
use super::value_text::{expression_node, write_json};
use super::{Expander, Scope, condition, pipeline};
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::yaml::limits::{MAX_DEPTH, NODE_SIZE};
use crate::yaml::{Entry, Kind, Node, Value};

/// Sections within sections, at most.
const MOST_SECTIONS: usize = 20;

/// A text with its expressions replaced, as far as it was read.
#[derive(Debug)]
struct Filled {
    text: String,
    /// Bytes of what is written that were searched for the places of expressions; `None` once one
    /// was not found in it.
    written: Option<usize>,
}

impl Expander<'_, '_> {
    /// Returns whether `<<` has a meaning in a text of this scope.
    fn is_template(&self, text: &str, scope: Scope<'_>) -> bool {
        !scope.is_filled
            && text.contains("<<")
            && self.packages.get(scope.package).is_none_or(|package| package.is_2_1)
    }

    /// A tree with its expressions replaced. What has none is shared, not copied.
    pub(super) fn fill_templates(&mut self, node: &Node, scope: Scope<'_>) -> Node {
        let filled = self.fill_changed(node, scope).unwrap_or_else(|| node.clone());
        if filled.depth > MAX_DEPTH {
            let message = format!("this is nested more than {MAX_DEPTH} levels deep");
            self.report(Problem::error(node.used_at(), message));
            return Node::unknown(node.span);
        }
        filled
    }

    fn fill_changed(&mut self, node: &Node, scope: Scope<'_>) -> Option<Node> {
        if scope.is_filled || !self.count_work(NODE_SIZE, node.used_at()) {
            return None;
        }
        match &node.value {
            Value::Scalar { text, .. } if self.is_template(text, scope) => {
                Some(self.fill_text(text, node, scope))
            }
            Value::Scalar { .. } | Value::Unknown => None,
            Value::List(items) => {
                let changed: Vec<Option<Node>> =
                    items.iter().map(|item| self.fill_changed(item, scope)).collect();
                if changed.iter().all(Option::is_none) {
                    return None;
                }
                let items = items.iter().zip(changed);
                let items = items.map(|(old, new)| new.unwrap_or_else(|| old.clone())).collect();
                Some(Node { alias: node.alias, ..Node::made_list(items, node.span) })
            }
            Value::Mapping(mapping) => {
                let (mut is_changed, mut is_incomplete) = (false, mapping.is_incomplete);
                let mut entries: Vec<Entry> = Vec::with_capacity(mapping.entries.len());
                for entry in &mapping.entries {
                    let value = self.fill_changed(&entry.value, scope.within(&entry.key));
                    let Some(key) = self.fill_key(entry, scope) else {
                        (is_changed, is_incomplete) = (true, true);
                        continue;
                    };
                    is_changed |= value.is_some() || !Rc::ptr_eq(&key, &entry.key);
                    let value = value.unwrap_or_else(|| entry.value.clone());
                    entries.push(Entry { key, key_span: entry.key_span, value });
                }
                if !is_changed {
                    return None;
                }
                let made = Node::made_mapping(entries, node.span, is_incomplete);
                Some(Node { alias: node.alias, ..made })
            }
        }
    }

    /// A key with its expressions replaced. `None` where that is not known.
    pub(super) fn fill_key(&mut self, entry: &Entry, scope: Scope<'_>) -> Option<Rc<str>> {
        if !self.is_template(&entry.key, scope) {
            return Some(Rc::clone(&entry.key));
        }
        let node = Node::made_text(&entry.key, entry.key_span);
        self.fill_text(&entry.key, &node, scope).scalar().map(Rc::from)
    }

    /// The argument that a node stands for, if it is nothing but a reference to a parameter.
    pub(super) fn argument_of<'s>(
        &self,
        node: &Node,
        scope: Scope<'s>,
    ) -> Option<&'s super::Argument> {
        let text = node.scalar()?;
        if !self.is_template(text, scope) {
            return None;
        }
        let name = whole_name(text)?.strip_prefix("parameters.")?;
        scope.parameters?.get(name)
    }

    fn fill_text(&mut self, text: &str, node: &Node, scope: Scope<'_>) -> Node {
        let place = node.used_at();
        if let Some(name) = whole_name(text) {
            let at = self.place_of(text, 0..text.len(), node.span);
            return match self.look_up(name, at, scope) {
                Some(found) => environment_value(found, scope).used(place),
                None => Node::unknown(place),
            };
        }
        let mut filled = Filled { text: String::new(), written: Some(0) };
        let is_known = self.render_part(text, 0..text.len(), node.span, scope, &mut filled, 0);
        let out = filled.text;
        if !is_known || !self.count_work(out.len(), place) {
            return Node::unknown(place);
        }
        let (span, alias) = (node.span, node.alias);
        Node { alias, ..Node::made_text(&out, span) }
    }

    /// Writes a part of a text with its expressions replaced. False where one is not known.
    fn render_part(
        &mut self,
        text: &str,
        part: std::ops::Range<usize>,
        span: Span,
        scope: Scope<'_>,
        out: &mut Filled,
        level: usize,
    ) -> bool {
        let mut is_known = true;
        let mut at = part.start;
        loop {
            let piece = next_piece(text, at, part.end);
            let (start, after) = match &piece {
                Piece::Tag(tag) => (tag.start, tag.end),
                Piece::Escape(start) => (*start, start + 3),
                Piece::Open(start) => (*start, part.end),
                Piece::End => (part.end, part.end),
            };
            out.text.push_str(text.get(at..start).unwrap_or(""));
            at = after;
            match piece {
                Piece::End => return is_known,
                Piece::Escape(_) => out.text.push_str("<<"),
                Piece::Open(start) => {
                    self.report_open(text, start, span);
                    return false;
                }
                Piece::Tag(tag) => {
                    let place = self.place_after(text, tag.start..tag.end, span, out);
                    let Some((end, after)) = section_end(text, tag, part.end) else {
                        let name = quoted(tag.name);
                        let message = format!("`<<# {name} >>` has no `<</ {name} >>`");
                        self.report(Problem::error(place, message));
                        return false;
                    };
                    at = after;
                    match (tag.mark, self.look_up(tag.name, place, scope)) {
                        (_, None) => is_known = false,
                        (None, Some(found)) => {
                            is_known &= self.put_value(&found, place, &mut out.text)
                        }
                        (Some('/'), _) => {
                            let message =
                                format!("`<</ {} >>` ends what was not begun", quoted(tag.name));
                            self.report(Problem::error(place, message));
                            return false;
                        }
                        (Some(mark), Some(found)) => {
                            let Some(holds) = condition::is_truthy(&found) else {
                                is_known = false;
                                continue;
                            };
                            if level >= MOST_SECTIONS {
                                let message = "sections are nested too deep";
                                self.report(Problem::error(place, message));
                                return false;
                            }
                            if holds == (mark == '#') {
                                let inner = tag.end..end;
                                is_known &=
                                    self.render_part(text, inner, span, scope, out, level + 1);
                            }
                            self.place_after(text, end..after, span, out);
                        }
                    }
                }
            }
        }
    }

    /// Writes a value into a text. False where that is not known.
    fn put_value(&mut self, found: &Node, place: Span, out: &mut String) -> bool {
        // A long value in a text that repeats it would otherwise cost before it is counted.
        let size = match &found.value {
            Value::Scalar { text, .. } => text.len(),
            _ => found.size,
        };
        if !self.count_work(size, place) {
            return false;
        }
        match &found.value {
            Value::Scalar { .. } if found.kind() == Kind::Nothing => true,
            Value::Scalar { text, .. } => {
                out.push_str(text);
                true
            }
            Value::Unknown => false,
            // An executor with arguments goes by its name.
            Value::Mapping(mapping) if mapping.get("name").and_then(Node::scalar).is_some() => {
                out.push_str(mapping.get("name").and_then(Node::scalar).unwrap_or_default());
                true
            }
            Value::Mapping(_) | Value::List(_) => {
                write_json(found, out);
                true
            }
        }
    }

    /// Returns what stands for a name or an expression between brackets. Mistakes are reported.
    pub(super) fn look_up(&mut self, name: &str, place: Span, scope: Scope<'_>) -> Option<Node> {
        if !is_plain_name(name) && has_namespace(name) {
            let (value, is_boolean) = self.evaluate_expression(name, place, scope)?;
            return Some(expression_node(&value, is_boolean, place));
        }
        let found = self.look_up_name(name, place, scope)?;
        // A value that the pipeline does not have is nothing in a text.
        Some(if found.kind() == Kind::Nothing { Node::made_text("", place) } else { found })
    }

    /// Returns what stands for a name: nothing for a value that this pipeline does not have.
    pub(super) fn look_up_name(
        &mut self,
        name: &str,
        place: Span,
        scope: Scope<'_>,
    ) -> Option<Node> {
        if let Some(parameter) = name.strip_prefix("parameters.") {
            let Some(parameters) = scope.parameters else {
                let problem = Problem::error(place, "there are no `parameters` here");
                let is_pipeline = self.pipeline.contains_key(parameter);
                let hint = format!("did you mean `pipeline.parameters.{}`?", quoted(parameter));
                self.report(problem.maybe_hint(is_pipeline.then_some(hint)));
                return None;
            };
            if let Some(argument) = parameters.get(parameter) {
                // Steps cannot be a part of a text, but be the whole of one.
                return Some(argument.node.clone());
            }
            // In an order of their own, so that the same mistake always has the same message.
            let mut known: Vec<&str> = parameters.keys().map(|key| &**key).collect();
            known.sort_unstable();
            let hint = self.suggest_near(parameter, known);
            let message = format!("there is no parameter `{}` here", quoted(parameter));
            self.report(Problem::error(place, message).maybe_hint(hint));
            return None;
        }
        if let Some(parameter) = name.strip_prefix("matrix.") {
            let found =
                scope.matrix.and_then(|row| row.iter().find(|(key, _)| **key == *parameter));
            if found.is_none() {
                let known: Vec<String> = scope
                    .matrix
                    .unwrap_or_default()
                    .iter()
                    .map(|(key, _)| key.to_string())
                    .collect();
                let hint = self.suggest_near(parameter, known.iter().map(String::as_str));
                let message = if scope.matrix.is_some() {
                    format!("the matrix has no parameter `{}`", quoted(parameter))
                } else {
                    "there is no `matrix` here".to_owned()
                };
                self.report(Problem::error(place, message).maybe_hint(hint));
            }
            return found.map(|(_, value)| value.clone());
        }
        if name == "pipeline" || name.starts_with("pipeline.") {
            return pipeline::look_up(self, name, place, scope);
        }
        let known = scope.parameters.into_iter().flat_map(|all| all.keys());
        let is_parameter = known.into_iter().any(|key| **key == *name);
        let hint = if is_parameter {
            format!("did you mean `parameters.{}`?", quoted(name))
        } else {
            "a name starts with `parameters.`, `pipeline.` or `matrix.`, and a text stands in \
             double quotes; a plain `<<` is written `\\<<`"
                .to_owned()
        };
        let message = format!("`{}` is not a name that has a value here", quoted(name));
        self.report(Problem::error(place, message).hint(hint));
        None
    }

    /// Reports a `<<` that has no end.
    fn report_open(&mut self, text: &str, start: usize, span: Span) {
        let rest = text.get(start..).unwrap_or("");
        let line = rest.lines().next().unwrap_or("").trim_end();
        let place = self.place_of(text, start..start + line.len(), span);
        let message = "`<<` starts an expression in version 2.1, but it has no `>>`";
        self.report(Problem::error(place, message).hint("for a here-document write `\\<<`"));
    }

    /// As [`Self::place_of`] for what comes after the part that was asked for before: a text may
    /// have as many expressions as bytes, and searching all of it for each would take too long.
    fn place_after(
        &self,
        text: &str,
        part: std::ops::Range<usize>,
        span: Span,
        filled: &mut Filled,
    ) -> Span {
        let wanted = text.get(part).unwrap_or("");
        let written = self.context.source.written(span);
        let rest = filled.written.and_then(|from| Some((from, written.get(from..)?)));
        let found = rest.and_then(|(from, rest)| Some(from + rest.find(wanted)?));
        filled.written = found.map(|at| at + wanted.len());
        match found {
            Some(at) => Span::new(span.start + at, span.start + at + wanted.len()),
            None => span,
        }
    }

    /// Returns where a part of a text is written. The text may be written otherwise than it reads,
    /// with escapes or folded; where the part is not found in that, all of it is meant.
    fn place_of(&self, text: &str, part: std::ops::Range<usize>, span: Span) -> Span {
        let Some(wanted) = text.get(part.clone()) else { return span };
        let before = text.get(..part.start).unwrap_or("").matches(wanted).count();
        let written = self.context.source.written(span);
        match written.match_indices(wanted).nth(before) {
            Some((at, _)) => Span::new(span.start + at, span.start + at + wanted.len()),
            None => span,
        }
    }
}

/// Returns a value as `environment` has it: booleans are `1` and `0` there, as CircleCI's own
/// orbs test for.
fn environment_value(found: Node, scope: Scope<'_>) -> Node {
    match found.kind() {
        Kind::Boolean(value) if scope.is_environment => {
            Node::made_plain(if value { "1" } else { "0" }, found.span)
        }
        _ => found,
    }
}
