//! The text of an expression to tokens.

use std::rc::Rc;

use super::{ErrorKind, ExpressionError, MAX_LENGTH, MAX_PATTERN_LENGTH, Operator, Value};

/// A token and the bytes that it takes.
#[derive(Clone, Debug)]
pub(super) struct Token<'t> {
    pub(super) kind: TokenKind<'t>,
    pub(super) start: usize,
    pub(super) end: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum TokenKind<'t> {
    Open,
    Close,
    And,
    Or,
    Not,
    Operator(Operator),
    Literal(Value),
    Name(&'t str),
}

/// Symbols, longer ones first.
const SYMBOLS: [(&str, TokenKind<'static>); 9] = [
    ("==", TokenKind::Operator(Operator::Equal)),
    ("!=", TokenKind::Operator(Operator::NotEqual)),
    ("<=", TokenKind::Operator(Operator::LessOrEqual)),
    (">=", TokenKind::Operator(Operator::GreaterOrEqual)),
    ("<", TokenKind::Operator(Operator::Less)),
    (">", TokenKind::Operator(Operator::Greater)),
    ("!", TokenKind::Not),
    ("(", TokenKind::Open),
    (")", TokenKind::Close),
];

/// Operators of other languages, which the grammar does not have.
const FOREIGN: [&str; 6] = ["=~", "!~", "&&", "||", "===", "!=="];

/// Splits an expression into tokens. On a mistake, the tokens before it are lost.
pub(super) fn scan(text: &str) -> Result<Vec<Token<'_>>, ExpressionError> {
    if text.len() > MAX_LENGTH {
        return Err(ExpressionError { kind: ErrorKind::TooLong, at: 0 });
    }
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text.get(at..).and_then(|rest| rest.chars().next()) {
        if matches!(first, ' ' | '\t' | '\r' | '\n') {
            at += 1;
            continue;
        }
        let (kind, length) = next_token(text.get(at..).unwrap_or(""), first, at)?;
        tokens.push(Token { kind, start: at, end: at + length });
        at += length;
    }
    Ok(tokens)
}

/// Returns the token that a text starts with, and its length in bytes.
fn next_token(
    rest: &str,
    first: char,
    at: usize,
) -> Result<(TokenKind<'_>, usize), ExpressionError> {
    let fail = |kind: ErrorKind| Err(ExpressionError { kind, at });
    if let Some(foreign) = FOREIGN.into_iter().find(|symbol| rest.starts_with(symbol)) {
        return fail(ErrorKind::NotAnOperator(foreign.to_owned()));
    }
    if let Some((symbol, kind)) = SYMBOLS.iter().find(|(symbol, _)| rest.starts_with(symbol)) {
        return Ok((kind.clone(), symbol.len()));
    }
    match first {
        '=' => fail(ErrorKind::NotAnOperator("=".to_owned())),
        '"' => scan_text(rest, at),
        '/' => scan_pattern(rest, at),
        c if c.is_ascii_digit() => {
            let length = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            match rest.get(..length).and_then(|digits| digits.parse().ok()) {
                Some(number) => Ok((TokenKind::Literal(Value::Number(number)), length)),
                None => fail(ErrorKind::NumberTooLarge),
            }
        }
        c if c.is_ascii_alphabetic() => {
            let length = name_length(rest);
            Ok((word_kind(rest.get(..length).unwrap_or("")), length))
        }
        c => fail(ErrorKind::Character(crate::source::quoted(&c.to_string()))),
    }
}

/// Returns the length of a name: segments of letters, digits, `-`, `_` and `?`, between single
/// dots.
fn name_length(rest: &str) -> usize {
    let is_tail = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '?');
    let mut chars = rest.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let is_dot = c == '.' && chars.peek().is_some_and(|(_, next)| is_tail(*next));
        if !is_tail(c) && !is_dot {
            return at;
        }
    }
    rest.len()
}

/// Returns the meaning of a word.
fn word_kind(text: &str) -> TokenKind<'_> {
    match text {
        "and" | "AND" => TokenKind::And,
        "or" | "OR" => TokenKind::Or,
        "not" | "NOT" => TokenKind::Not,
        "true" | "TRUE" => TokenKind::Literal(Value::Boolean(true)),
        "false" | "FALSE" => TokenKind::Literal(Value::Boolean(false)),
        "starts-with" => TokenKind::Operator(Operator::StartsWith),
        "contains" => TokenKind::Operator(Operator::Contains),
        "matches" => TokenKind::Operator(Operator::Matches),
        name => TokenKind::Name(name),
    }
}

/// Scans a text in double quotes, in which `\"` and `\\` stand for `"` and `\`.
fn scan_text(rest: &str, at: usize) -> Result<(TokenKind<'_>, usize), ExpressionError> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((index, c)) = chars.next() {
        match (c, chars.peek().map(|(_, next)| *next)) {
            ('"', _) => {
                let value = Value::Text(Rc::from(text.as_str()));
                return Ok((TokenKind::Literal(value), index + 1));
            }
            ('\\', Some(next @ ('"' | '\\'))) => {
                chars.next();
                text.push(next);
            }
            (c, _) => text.push(c),
        }
    }
    Err(ExpressionError { kind: ErrorKind::OpenText, at })
}

/// Scans a pattern between slashes, in which `\/` stands for `/` and all else is as written.
fn scan_pattern(rest: &str, at: usize) -> Result<(TokenKind<'_>, usize), ExpressionError> {
    let mut pattern = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((index, c)) = chars.next() {
        match (c, chars.peek().map(|(_, next)| *next)) {
            ('/', _) if pattern.chars().count() > MAX_PATTERN_LENGTH => {
                return Err(ExpressionError { kind: ErrorKind::PatternTooLong, at });
            }
            ('/', _) => {
                let value = Value::Pattern(Rc::from(pattern.as_str()));
                return Ok((TokenKind::Literal(value), index + 1));
            }
            ('\\', Some('/')) => {
                chars.next();
                pattern.push('/');
            }
            ('\\', Some(next @ ('u' | 'x'))) => {
                let kind = ErrorKind::PatternCharacter(format!("\\{next}"));
                return Err(ExpressionError { kind, at: at + index });
            }
            (c, _) if u32::from(c) > 0xff => {
                let kind = ErrorKind::PatternCharacter(crate::source::quoted(&c.to_string()));
                return Err(ExpressionError { kind, at: at + index });
            }
            (c, _) => pattern.push(c),
        }
    }
    Err(ExpressionError { kind: ErrorKind::OpenPattern, at })
}
