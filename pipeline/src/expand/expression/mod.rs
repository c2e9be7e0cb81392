//! Expressions: `pipeline.git.branch == "main" and not pipeline.parameters.skip`.
//!
//! The grammar and its meaning are those of CircleCI's public library
//! (<https://github.com/CircleCI-Public/expr>): `and` and `or` yield one of their operands, `not`
//! binds tighter than any comparison, and a value that a pipeline does not have is undefined,
//! which is neither equal nor unequal to anything. Two things are ours: names may also start with
//! `parameters.` and `matrix.`, and [`Value::Unknown`] stands for what is not known while a
//! configuration is only checked.

mod error;
mod evaluate;
mod parse;
mod scan;
#[cfg(test)]
mod tests;

pub(super) use error::{ErrorKind, ExpressionError};
pub(super) use evaluate::evaluate;
pub(super) use parse::parse;

use std::rc::Rc;

/// Longest pattern between slashes, in characters, as in CircleCI's library.
const MAX_PATTERN_LENGTH: usize = 256;

/// Longest expression, in bytes.
const MAX_LENGTH: usize = 64 * 1024;

/// Nesting of parentheses and `not`, at most.
const MAX_DEPTH: usize = 50;

/// Starts of the names that an expression may use.
pub(super) const NAMESPACES: [&str; 3] = ["pipeline.", "parameters.", "matrix."];

/// The value of an expression or of a part of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Declared, but without a value in this pipeline.
    Undefined,
    /// Not known while a configuration is only checked. Whatever follows from it is not either.
    Unknown,
    Boolean(bool),
    Number(i64),
    Text(Rc<str>),
    /// A regular expression, by its source.
    Pattern(Rc<str>),
}

impl Value {
    /// Returns the truth of a value: only `false` and the undefined are false. `None` if it is
    /// unknown.
    pub(super) fn truth(&self) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Undefined => Some(false),
            Self::Boolean(value) => Some(*value),
            Self::Number(_) | Self::Text(_) | Self::Pattern(_) => Some(true),
        }
    }
}

/// An expression that was parsed. `usize` is the byte at which an operator or a name stands.
#[derive(Debug, PartialEq)]
pub(super) enum Tree<'t> {
    Literal(Value),
    Name(&'t str, usize),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
    /// Comparisons from the left to the right: `a == b == c` compares the result of `a == b`.
    Comparisons(Box<Self>, Vec<(Operator, usize, Self)>),
}

impl<'t> Tree<'t> {
    /// Appends the names that the expression uses, with their bytes.
    pub(super) fn collect_names(&self, into: &mut Vec<(&'t str, usize)>) {
        match self {
            Self::Literal(_) => {}
            Self::Name(name, at) => into.push((name, *at)),
            Self::Not(inner) => inner.collect_names(into),
            Self::And(all) | Self::Or(all) => all.iter().for_each(|one| one.collect_names(into)),
            Self::Comparisons(first, rest) => {
                first.collect_names(into);
                rest.iter().for_each(|(_, _, one)| one.collect_names(into));
            }
        }
    }

    /// Appends the patterns of the expression.
    pub(super) fn collect_patterns(&self, into: &mut Vec<Rc<str>>) {
        match self {
            Self::Literal(Value::Pattern(pattern)) => into.push(Rc::clone(pattern)),
            Self::Literal(_) | Self::Name(..) => {}
            Self::Not(inner) => inner.collect_patterns(into),
            Self::And(all) | Self::Or(all) => {
                all.iter().for_each(|one| one.collect_patterns(into));
            }
            Self::Comparisons(first, rest) => {
                first.collect_patterns(into);
                rest.iter().for_each(|(_, _, one)| one.collect_patterns(into));
            }
        }
    }

    /// Returns true for an expression whose value is a boolean, whatever its operands are.
    pub(super) fn is_boolean(&self) -> bool {
        match self {
            Self::Not(_) | Self::Comparisons(..) | Self::Literal(Value::Boolean(_)) => true,
            Self::And(all) | Self::Or(all) => all.iter().all(Self::is_boolean),
            Self::Literal(_) | Self::Name(..) => false,
        }
    }
}

/// An operator between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    StartsWith,
    Contains,
    Matches,
}

impl Operator {
    /// Returns the operator as it is written.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::StartsWith => "starts-with",
            Self::Contains => "contains",
            Self::Matches => "matches",
        }
    }
}

/// Returns true for a pattern that RE2 does not know: look-around, atomic groups and references
/// back. The engine here knows them, so such a pattern would mean something here only.
pub(super) fn is_beyond_re2(pattern: &str) -> bool {
    const GROUPS: [&str; 5] = ["(?=", "(?!", "(?<=", "(?<!", "(?>"];
    let mut is_escaped = false;
    let has_reference = pattern.chars().any(|c| {
        let is_reference = is_escaped && ('1'..='9').contains(&c);
        is_escaped = c == '\\' && !is_escaped;
        is_reference
    });
    has_reference || GROUPS.iter().any(|group| pattern.contains(group))
}

/// Returns true for a text that is meant as an expression, where any other text is also allowed
/// and is true.
pub(super) fn looks_like_expression(text: &str) -> bool {
    let text = text.trim();
    NAMESPACES.iter().any(|start| text.contains(start))
        || ["==", "!=", "=~", " starts-with ", " matches ", " contains "]
            .iter()
            .any(|operator| text.contains(operator))
        || text.starts_with("not ")
        || text.starts_with("NOT ")
        || text.starts_with('!')
}
