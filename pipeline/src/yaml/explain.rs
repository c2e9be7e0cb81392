//! What the parser's errors mean for a person who writes a configuration.

use granit_parser::{ErrorKind, ScanError};

use super::build::Text;
use crate::problem::Problem;
use crate::source::{Span, quoted};

/// Turns an error of the parser into one of ours, with a hint where we know the usual cause.
/// `open` is the bracket that is open at the error, if one is.
pub(super) fn explain(source: Text<'_>, error: &ScanError, open: Option<Span>) -> Problem {
    let start = error.marker().byte_offset().unwrap_or_else(|| byte_of(source, error));
    let span = Span::new(source.base + start, source.base + start);
    let hint = match error.kind() {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInIndentation => Some("YAML is indented with spaces, never with tabs"),
        ErrorKind::RecursionLimitExceeded => Some("nothing in a configuration needs such depth"),
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            Some("a value with `: ` in it needs quotes")
        }
        ErrorKind::InvalidSimpleKey
        | ErrorKind::SimpleKeyExpected
        | ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::BlockSequenceEntryNotAllowed => {
            Some("look at the indentation of this line and the one before, and for a missing `:`")
        }
        ErrorKind::UnclosedQuotedScalar | ErrorKind::DocumentIndicatorInQuotedScalar => {
            Some("a quote that was opened before this is not closed")
        }
        ErrorKind::UnexpectedCharacter { .. } => {
            Some("a value that starts with `@`, `` ` `` or `%` needs quotes")
        }
        _ => None,
    };
    let problem =
        Problem::error(span, format!("this is not valid YAML: {}", quoted(&error.info())));
    match open {
        // What comes after a bracket that was forgotten is rarely what is wrong.
        Some(open) if is_on_another_line(source, open, start) => problem
            .related(open, "this is still open there")
            .hint("look for the `]` or `}` that is missing"),
        _ => problem.maybe_hint(hint.map(str::to_owned)),
    }
}

/// Whether a line ends between a place and a byte behind it.
fn is_on_another_line(source: Text<'_>, open: Span, byte: usize) -> bool {
    let between = source.text.get(open.start.saturating_sub(source.base)..byte);
    between.is_some_and(|text| text.contains('\n'))
}

/// The byte of an error whose marker counts characters only.
fn byte_of(source: Text<'_>, error: &ScanError) -> usize {
    let index = error.marker().index();
    source.text.char_indices().nth(index).map_or(source.text.len(), |(byte, _)| byte)
}
