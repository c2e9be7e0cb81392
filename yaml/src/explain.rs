//! Explanations of the parser's errors for a person who writes a configuration.

use granit_parser::{ErrorKind, ScanError};

use crate::fault::Fault;
use crate::source::{Span, Text, quoted};

/// Turns an error of the parser into one of ours, with a hint where we know the usual cause.
/// `open` is the bracket that is open at the error, if one is.
pub(super) fn explain_error(source: Text<'_>, error: &ScanError, open: Option<Span>) -> Fault {
    if let Some(at) = conflict_mark(source.text) {
        let span = Span::new(source.base + at, source.base + at + MARK.len());
        return Fault::new(span, "a merge left its marks here")
            .hint("resolve the conflict: keep what is meant, and remove the three marks");
    }
    let start = error.marker().byte_offset().unwrap_or_else(|| byte_of(source, error));
    let span = Span::new(source.base + start, source.base + start);
    let hint = match error.kind() {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInIndentation => Some("YAML is indented with spaces, never with tabs"),
        ErrorKind::RecursionLimitExceeded => Some("nothing in a configuration needs such depth"),
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            Some("a value with `: ` in it needs quotes, and an item of a list `- ` before it")
        }
        ErrorKind::InvalidSimpleKey
        | ErrorKind::SimpleKeyExpected
        | ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::BlockSequenceEntryNotAllowed => {
            Some("look at the indentation of this line and the one before, and for a missing `:`")
        }
        ErrorKind::UnclosedQuotedScalar => Some("the quote that opens here is not closed"),
        ErrorKind::UnclosedFlowCollection { .. } => {
            Some("the bracket that opens here is not closed")
        }
        ErrorKind::DocumentIndicatorInQuotedScalar => {
            Some("a quote that was opened before this is not closed")
        }
        ErrorKind::InvalidTrailingSingleQuotedScalar
        | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            Some("quotes that open a value enclose all of it; below `|` it needs none")
        }
        ErrorKind::UnknownQuotedScalarEscape => {
            Some("in double quotes `\\` starts an escape: use single quotes, or write `\\\\`")
        }
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator => {
            Some("a comma is missing, or a value needs quotes")
        }
        ErrorKind::UnexpectedCharacter { .. } => {
            Some("a value that starts with `@`, `` ` `` or `%` needs quotes")
        }
        _ => None,
    };
    let fault = Fault::new(span, format!("this is not valid YAML: {}", quoted(&error.info())));
    match open {
        // What comes after a bracket that was forgotten is rarely what is wrong.
        Some(open) if is_on_another_line(source, open, start) => fault
            .related(open, "this is still open there")
            .hint("look for the `]` or `}` that is missing"),
        _ => fault.maybe_hint(hint.map(str::to_owned)),
    }
}

/// Mark that a merge with conflicts writes before the first of the two texts.
const MARK: &str = "<<<<<<<";

/// Returns the position of a merge's mark, if it left one.
fn conflict_mark(text: &str) -> Option<usize> {
    let is_mark = |at: &usize| {
        let rest = text.get(at + MARK.len()..).unwrap_or_default();
        (*at == 0 || text.get(..*at).is_some_and(|before| before.ends_with('\n')))
            && rest.starts_with(' ')
            && text.contains("\n>>>>>>>")
    };
    text.match_indices(MARK).map(|(at, _)| at).find(is_mark)
}

/// Returns true if a line ends between a place and a byte behind it.
fn is_on_another_line(source: Text<'_>, open: Span, byte: usize) -> bool {
    let between = source.text.get(open.start.saturating_sub(source.base)..byte);
    between.is_some_and(|text| text.contains('\n'))
}

/// The byte of an error whose marker counts characters only.
fn byte_of(source: Text<'_>, error: &ScanError) -> usize {
    let index = error.marker().index();
    source.text.char_indices().nth(index).map_or(source.text.len(), |(byte, _)| byte)
}
