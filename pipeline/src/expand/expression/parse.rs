//! Tokens to a tree, by recursive descent.
//!
//! From the weakest to the tightest: `or`, `and`, the equalities and named operators, the
//! comparisons of numbers, `not`.

use super::scan::{Token, TokenKind, scan};
use super::{ErrorKind, ExpressionError, MAX_DEPTH, Operator, Tree};
use crate::source::quoted;

/// Parses an expression.
///
/// # Errors
///
/// The first mistake in it.
pub(in crate::expand) fn parse(text: &str) -> Result<Tree<'_>, ExpressionError> {
    let tokens = scan(text)?;
    let mut parser = Parser { text, tokens: &tokens, depth: 0 };
    let tree = parser.either()?;
    let Some(token) = parser.tokens.first().cloned() else { return Ok(tree) };
    let found = written(text, &token);
    // A name where an operator could stand, with an operand behind it, is meant as one.
    let is_operator = matches!(token.kind, TokenKind::Name(_)) && parser.skips_operand();
    let kind = if is_operator { ErrorKind::NotAnOperator(found) } else { ErrorKind::Extra(found) };
    Err(ExpressionError { kind, at: token.start })
}

/// Returns the text of a token, for a message.
fn written(text: &str, token: &Token<'_>) -> String {
    quoted(text.get(token.start..token.end).unwrap_or(""))
}

struct Parser<'p, 't> {
    text: &'t str,
    tokens: &'p [Token<'t>],
    depth: usize,
}

impl<'t> Parser<'_, 't> {
    /// Takes the next token if it is of a kind.
    fn takes(&mut self, kind: &TokenKind<'_>) -> bool {
        match self.tokens.split_first() {
            Some((first, rest)) if first.kind == *kind => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }

    /// Returns true if an operand follows on the next token.
    fn skips_operand(&mut self) -> bool {
        self.tokens = self.tokens.get(1..).unwrap_or_default();
        self.numbers().is_ok()
    }

    fn either(&mut self) -> Result<Tree<'t>, ExpressionError> {
        let mut all = vec![self.both()?];
        while self.takes(&TokenKind::Or) {
            all.push(self.both()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Tree::Or(all) })
    }

    fn both(&mut self) -> Result<Tree<'t>, ExpressionError> {
        let mut all = vec![self.equality()?];
        while self.takes(&TokenKind::And) {
            all.push(self.equality()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Tree::And(all) })
    }

    fn equality(&mut self) -> Result<Tree<'t>, ExpressionError> {
        self.chain(Self::numbers, |operator| !is_numeric(operator))
    }

    fn numbers(&mut self) -> Result<Tree<'t>, ExpressionError> {
        self.chain(Self::unary, is_numeric)
    }

    /// Parses operands with operators of one precedence between them.
    fn chain(
        &mut self,
        operand: impl Fn(&mut Self) -> Result<Tree<'t>, ExpressionError>,
        is_own: impl Fn(Operator) -> bool,
    ) -> Result<Tree<'t>, ExpressionError> {
        let first = operand(self)?;
        let mut rest = Vec::new();
        while let Some((token, after)) = self.tokens.split_first() {
            let TokenKind::Operator(operator) = token.kind else { break };
            if !is_own(operator) {
                break;
            }
            let at = token.start;
            self.tokens = after;
            rest.push((operator, at, operand(self)?));
        }
        Ok(if rest.is_empty() { first } else { Tree::Comparisons(Box::new(first), rest) })
    }

    fn unary(&mut self) -> Result<Tree<'t>, ExpressionError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error_here(ErrorKind::TooDeep));
        }
        let tree = if self.takes(&TokenKind::Not) {
            Tree::Not(Box::new(self.unary()?))
        } else if self.takes(&TokenKind::Open) {
            let inner = self.either()?;
            if !self.takes(&TokenKind::Close) {
                return Err(self.error_here(ErrorKind::OpenParenthesis));
            }
            inner
        } else {
            self.primary()?
        };
        self.depth -= 1;
        Ok(tree)
    }

    fn primary(&mut self) -> Result<Tree<'t>, ExpressionError> {
        let Some((token, rest)) = self.tokens.split_first() else {
            return Err(self.error_here(ErrorKind::MissingAtEnd));
        };
        let tree = match &token.kind {
            TokenKind::Literal(value) => Tree::Literal(value.clone()),
            TokenKind::Name(name) => Tree::Name(name, token.start),
            _ => {
                let kind = ErrorKind::MissingBefore(written(self.text, token));
                return Err(ExpressionError { kind, at: token.start });
            }
        };
        self.tokens = rest;
        Ok(tree)
    }

    fn error_here(&self, kind: ErrorKind) -> ExpressionError {
        let at = self.tokens.first().map_or(self.text.len(), |token| token.start);
        ExpressionError { kind, at }
    }
}

/// Returns true for an operator that compares numbers by size, which binds tighter than the others.
fn is_numeric(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual
    )
}
