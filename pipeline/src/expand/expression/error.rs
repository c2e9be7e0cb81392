//! Mistakes in expressions.

use super::{MAX_DEPTH, MAX_LENGTH, MAX_PATTERN_LENGTH};
use crate::pattern::PatternError;

/// A mistake in an expression, and the byte at which it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub(in crate::expand) struct ExpressionError {
    pub(in crate::expand) kind: ErrorKind,
    /// Byte within the expression.
    pub(in crate::expand) at: usize,
}

/// The kind of a mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::expand) enum ErrorKind {
    #[error("unexpected `{0}`")]
    Character(String),
    #[error("`{0}` is not an operator")]
    NotAnOperator(String),
    #[error("the `\"` here is not closed")]
    OpenText,
    #[error("the pattern that starts here has no closing `/`")]
    OpenPattern,
    #[error("`{0}` cannot stand in a pattern")]
    PatternCharacter(String),
    #[error("a pattern has at most {MAX_PATTERN_LENGTH} characters")]
    PatternTooLong,
    #[error("{0}")]
    Pattern(String),
    #[error("a number is at most 9223372036854775807")]
    NumberTooLarge,
    #[error("a value is missing before `{0}`")]
    MissingBefore(String),
    #[error("a value is missing at the end")]
    MissingAtEnd,
    #[error("`{0}` stands where the expression should end")]
    Extra(String),
    #[error("a `(` has no `)`")]
    OpenParenthesis,
    #[error("it is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    #[error("it is longer than {MAX_LENGTH} bytes")]
    TooLong,
    #[error("`{0}` compares numbers only")]
    NeedsNumbers(&'static str),
    #[error("`{0}` compares texts only")]
    NeedsTexts(&'static str),
    #[error("`matches` needs a pattern between slashes on its right")]
    NeedsPattern,
    #[error("the pattern takes too long for its value")]
    TooSlow,
}

impl From<PatternError> for ErrorKind {
    fn from(error: PatternError) -> Self {
        Self::Pattern(error.to_string())
    }
}

impl ErrorKind {
    /// Returns advice on what to write instead.
    pub(in crate::expand) fn hint(&self) -> String {
        let text = match self {
            Self::NotAnOperator(text) => match text.as_str() {
                "=~" => "write `matches /pattern/`, which compares the whole value",
                "!~" => "write `not (… matches /pattern/)`",
                "=" => "write `==`",
                "&&" => "write `and`",
                "||" => "write `or`",
                _ => {
                    "the operators are `==`, `!=`, `<`, `<=`, `>`, `>=`, `starts-with`, \
                     `contains`, `matches`, `and`, `or` and `not`"
                }
            },
            Self::Character(text) if text == "'" => {
                "a text stands in double quotes; in YAML, put single quotes around all of it"
            }
            Self::Pattern(_) | Self::PatternCharacter(_) => {
                "patterns are those of RE2: without look-around, and with Latin-1 characters only"
            }
            Self::NeedsPattern => "write `… matches /pattern/`, without quotes",
            Self::NeedsNumbers(_) => "compare numbers, such as `pipeline.number > 100`",
            _ => "such as `pipeline.git.branch == \"main\" and not pipeline.parameters.x`",
        };
        text.to_owned()
    }
}
