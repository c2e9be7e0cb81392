//! Places of `<< … >>` in a text.

use super::expression;

/// Bytes of an expression between brackets, at most.
const MAX_EXPRESSION: usize = 1000;

/// Places of `>>` that are tried as the end of an expression: a text in it may hold some.
const MAX_ENDS: usize = 4;

/// A `<< … >>` in a text, by its bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tag<'t> {
    pub(super) start: usize,
    pub(super) end: usize,
    /// The text between the brackets, without a section's mark.
    pub(super) name: &'t str,
    pub(super) mark: Option<char>,
}

/// The next part of a text.
pub(super) enum Piece<'t> {
    Tag(Tag<'t>),
    /// `\<<`, by its first byte.
    Escape(usize),
    /// `<<` without its end.
    Open(usize),
    End,
}

/// The name, if a text is nothing but one expression.
pub(super) fn whole_name(text: &str) -> Option<&str> {
    let text = text.trim();
    match next_piece(text, 0, text.len()) {
        Piece::Tag(tag) if tag.start == 0 && tag.end == text.len() && tag.mark.is_none() => {
            Some(tag.name)
        }
        _ => None,
    }
}

/// The next piece of a text from a byte on that is not plain.
pub(super) fn next_piece(text: &str, from: usize, end: usize) -> Piece<'_> {
    let rest = text.get(from..end).unwrap_or("");
    let Some(found) = rest.find("<<") else { return Piece::End };
    let start = from + found;
    if rest.get(..found).is_some_and(|before| before.ends_with('\\')) {
        return Piece::Escape(start - 1);
    }
    let inner = text.get(start + 2..end).unwrap_or("");
    let in_expression = |c: char| c.is_alphanumeric() || c.is_whitespace() || "._-/#^".contains(c);
    let plain = inner.find(|c: char| !in_expression(c)).unwrap_or(inner.len());
    let is_closed = inner.get(plain..).is_some_and(|rest| rest.starts_with(">>"));
    let Some(length) = is_closed.then_some(plain).or_else(|| expression_end(inner)) else {
        return Piece::Open(start);
    };
    let name = inner.get(..length).unwrap_or("").trim();
    let mark = name.chars().next().filter(|c| "#^/".contains(*c));
    let name = if mark.is_some() { name.get(1..).unwrap_or("").trim() } else { name };
    Piece::Tag(Tag { start, end: start + 2 + length + 2, name, mark })
}

/// Returns the length of the expression that a text starts with, up to its `>>`. Whatever names
/// nothing that could have a value is not one, but rather a here-document.
fn expression_end(text: &str) -> Option<usize> {
    let text = text.get(..text.floor_char_boundary(MAX_EXPRESSION))?;
    let ends = || text.match_indices(">>").map(|(at, _)| at).take(MAX_ENDS);
    let part = |end: usize| text.get(..end).unwrap_or("");
    let whole = ends()
        .find(|end| has_namespace(part(*end)) && expression::parse(part(*end).trim()).is_ok());
    // One with a mistake is shown as such where it stands in one line.
    whole.or_else(|| {
        ends().next().filter(|end| has_namespace(part(*end)) && !part(*end).contains('\n'))
    })
}

/// Returns true for a text that uses a name which could have a value.
pub(super) fn has_namespace(text: &str) -> bool {
    expression::NAMESPACES.iter().any(|start| text.contains(start))
}

/// Returns true for a name without anything else, whatever letters it has.
pub(super) fn is_plain_name(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || "._-?".contains(c))
}

/// For the start of a section: where what it holds ends, and what comes after it begins. For all
/// else: behind the tag.
pub(super) fn section_end(text: &str, tag: Tag<'_>, end: usize) -> Option<(usize, usize)> {
    if !matches!(tag.mark, Some('#' | '^')) {
        return Some((tag.end, tag.end));
    }
    let (mut at, mut open) = (tag.end, 1);
    loop {
        match next_piece(text, at, end) {
            Piece::End | Piece::Open(_) => return None,
            Piece::Escape(start) => at = start + 3,
            Piece::Tag(next) => {
                at = next.end;
                match next.mark {
                    Some('#' | '^') if next.name == tag.name => open += 1,
                    Some('/') if next.name == tag.name => open -= 1,
                    _ => {}
                }
                if open == 0 {
                    return Some((next.start, next.end));
                }
            }
        }
    }
}
