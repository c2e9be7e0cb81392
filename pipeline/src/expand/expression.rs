//! Conditions as texts: names, literals, comparisons, `and`, `or`, `not` and parentheses.

use super::condition::is_truthy;
use crate::yaml::Node;

/// Nesting of parentheses and `not`, at most.
const MAX_DEPTH: usize = 50;

/// A condition.
#[derive(Debug, PartialEq)]
pub(super) enum Tree<'t> {
    Value(Operand<'t>),
    Compare(Comparison, Operand<'t>, Operand<'t>),
    Not(Box<Self>),
    And(Vec<Self>),
    Or(Vec<Self>),
}

/// A name or a literal.
#[derive(Debug, PartialEq)]
pub(super) enum Operand<'t> {
    Name(&'t str),
    Text(String),
    /// A number or a boolean.
    Plain(&'t str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    StartsWith,
    Matches,
}

#[derive(Clone, Debug, PartialEq)]
enum Token<'t> {
    Word(&'t str),
    Text(String),
    Symbol(&'static str),
}

/// Whether a text is meant as an expression, rather than as any text, which is true.
pub(super) fn is_one(text: &str) -> bool {
    let text = text.trim();
    text.contains("pipeline.")
        || text.contains("parameters.")
        || ["==", "!=", "=~", " starts-with "].iter().any(|operator| text.contains(operator))
        || text.starts_with("not ")
}

/// Whether a text in brackets is a condition on something, rather than a name or any other text.
pub(super) fn is_bracketed(text: &str) -> bool {
    let has_name = ["pipeline.", "parameters.", "matrix."].iter().any(|name| text.contains(name));
    has_name && !matches!(parse(text), Err(_) | Ok(Tree::Value(_)))
}

/// Reads a condition.
///
/// # Errors
///
/// What is wrong with it, to follow on a colon.
pub(super) fn parse(text: &str) -> Result<Tree<'_>, String> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens: &tokens, depth: 0 };
    let tree = parser.or()?;
    match parser.tokens.first() {
        None => Ok(tree),
        Some(token) => Err(format!("{} stands where it should end", describe(token))),
    }
}

/// The names in a condition.
pub(super) fn names<'t>(tree: &Tree<'t>, into: &mut Vec<&'t str>) {
    let mut add = |operand: &Operand<'t>| {
        if let Operand::Name(name) = operand {
            into.push(name);
        }
    };
    match tree {
        Tree::Value(operand) => add(operand),
        Tree::Compare(_, left, right) => {
            add(left);
            add(right);
        }
        Tree::Not(inner) => names(inner, into),
        Tree::And(all) | Tree::Or(all) => all.iter().for_each(|tree| names(tree, into)),
    }
}

/// Whether a condition holds, with what its operands stand for.
pub(super) fn evaluate<'t>(
    tree: &Tree<'t>,
    node: &impl Fn(&Operand<'t>) -> Node,
    matches: &mut impl FnMut(&str, &str) -> bool,
) -> bool {
    match tree {
        Tree::Value(operand) => is_truthy(&node(operand)).unwrap_or(false),
        Tree::Not(inner) => !evaluate(inner, node, matches),
        Tree::And(all) => all.iter().all(|tree| evaluate(tree, node, matches)),
        Tree::Or(all) => all.iter().any(|tree| evaluate(tree, node, matches)),
        Tree::Compare(comparison, left, right) => {
            let (left, right) = (node(left), node(right));
            let text = |node: &Node| node.scalar().unwrap_or_default().to_owned();
            match comparison {
                Comparison::Equal => left.is_same(&right),
                Comparison::NotEqual => !left.is_same(&right),
                Comparison::StartsWith => text(&left).starts_with(&text(&right)),
                Comparison::Matches => {
                    let pattern = text(&right);
                    let bare = pattern.strip_prefix('/').and_then(|p| p.strip_suffix('/'));
                    matches(bare.unwrap_or(&pattern), &text(&left))
                }
            }
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token<'_>>, String> {
    const SYMBOLS: [&str; 5] = ["==", "!=", "=~", "(", ")"];
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
            tokens.push(Token::Symbol(symbol));
            rest = rest.get(symbol.len()..).unwrap_or("");
        } else if first == '"' || first == '\'' {
            let (text, after) = literal(rest, first)?;
            tokens.push(Token::Text(text));
            rest = after;
        } else {
            let is_word = |c: char| c.is_alphanumeric() || "._-+".contains(c);
            let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            if end == 0 {
                return Err(format!(
                    "`{}` means nothing in it",
                    crate::source::quoted(&first.to_string())
                ));
            }
            let (word, after) = rest.split_at(end);
            tokens.push(Token::Word(word));
            rest = after;
        }
        rest = rest.trim_start();
    }
    Ok(tokens)
}

/// A text in quotes, and what follows it.
fn literal(text: &str, quote: char) -> Result<(String, &str), String> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((out, text.get(at + 1..).unwrap_or(""))),
            '\\' => match chars.next() {
                Some((_, next)) if next == quote || next == '\\' => out.push(next),
                Some((_, next)) => out.extend(['\\', next]),
                None => break,
            },
            c => out.push(c),
        }
    }
    Err("a quote is not closed".to_owned())
}

fn describe(token: &Token<'_>) -> String {
    match token {
        Token::Word(text) => format!("`{}`", crate::source::quoted(text)),
        Token::Text(_) => "a text".to_owned(),
        Token::Symbol(text) => format!("`{text}`"),
    }
}

struct Parser<'p, 't> {
    tokens: &'p [Token<'t>],
    depth: usize,
}

impl<'t> Parser<'_, 't> {
    fn next(&mut self) -> Option<Token<'t>> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first.clone())
    }

    fn takes(&mut self, word: &str) -> bool {
        let is_next = match self.tokens.first() {
            Some(Token::Word(next)) => *next == word,
            Some(Token::Symbol(next)) => *next == word,
            _ => false,
        };
        if is_next {
            self.next();
        }
        is_next
    }

    fn or(&mut self) -> Result<Tree<'t>, String> {
        let mut all = vec![self.and()?];
        while self.takes("or") {
            all.push(self.and()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Tree::Or(all) })
    }

    fn and(&mut self) -> Result<Tree<'t>, String> {
        let mut all = vec![self.not()?];
        while self.takes("and") {
            all.push(self.not()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Tree::And(all) })
    }

    fn not(&mut self) -> Result<Tree<'t>, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("it is nested more than {MAX_DEPTH} levels deep"));
        }
        let tree = if self.takes("not") {
            Tree::Not(Box::new(self.not()?))
        } else if self.takes("(") {
            let inner = self.or()?;
            if !self.takes(")") {
                return Err("a `(` is not closed".to_owned());
            }
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(tree)
    }

    fn comparison(&mut self) -> Result<Tree<'t>, String> {
        let left = self.operand()?;
        let operators = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("=~", Comparison::Matches),
            ("matches", Comparison::Matches),
            ("starts-with", Comparison::StartsWith),
        ];
        for (word, comparison) in operators {
            if self.takes(word) {
                return Ok(Tree::Compare(comparison, left, self.operand()?));
            }
        }
        Ok(Tree::Value(left))
    }

    fn operand(&mut self) -> Result<Operand<'t>, String> {
        match self.next() {
            Some(Token::Text(text)) => Ok(Operand::Text(text)),
            Some(Token::Word(word)) if ["and", "or", "not"].contains(&word) => {
                Err(format!("something is missing before `{word}`"))
            }
            Some(Token::Word(word)) if word.contains('.') && word.parse::<f64>().is_err() => {
                Ok(Operand::Name(word))
            }
            Some(Token::Word(word)) if ["true", "false"].contains(&word) => {
                Ok(Operand::Plain(word))
            }
            Some(Token::Word(word)) if word.parse::<f64>().is_ok() => Ok(Operand::Plain(word)),
            Some(Token::Word(word)) => Err(format!(
                "`{}` is neither a name such as `pipeline.number` nor a text in quotes",
                crate::source::quoted(word)
            )),
            Some(Token::Symbol(symbol)) => Err(format!("something is missing before `{symbol}`")),
            None => Err("something is missing at its end".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Operand, evaluate, parse};
    use crate::source::Span;
    use crate::yaml::Node;

    fn holds(text: &str) -> bool {
        let node = |operand: &Operand<'_>| match operand {
            Operand::Name("p.yes") => Node::made_plain("true", Span::default()),
            Operand::Name("p.branch") => Node::made_text("main-2", Span::default()),
            Operand::Name(_) => Node::made_text("", Span::default()),
            Operand::Text(text) => Node::made_text(text, Span::default()),
            Operand::Plain(text) => Node::made_plain(text, Span::default()),
        };
        let tree = parse(text).unwrap();
        evaluate(&tree, &node, &mut |pattern, value| value.contains(pattern.trim_matches('^')))
    }

    #[test]
    fn conditions_bind_not_before_and_before_or() {
        for yes in [
            "p.yes",
            "not p.no",
            "p.no or p.yes",
            "p.yes or p.no and p.no",
            "not p.yes and p.no or p.yes",
            "(p.yes or p.no) and p.branch == \"main-2\"",
            "p.branch starts-with 'main' and p.branch != 'main'",
            "p.yes == true",
            "p.branch =~ /^main/",
        ] {
            // A pattern without quotes is no operand.
            if yes.contains('/') {
                assert!(parse(yes).is_err(), "{yes}");
                continue;
            }
            assert!(holds(yes), "{yes}");
        }
        assert!(holds("p.branch =~ \"^main\""));
        assert!(!holds("p.yes and (p.no or not p.yes)"));
    }

    #[test]
    fn what_is_no_condition_says_why() {
        let deep = format!("{}p.x", "not ".repeat(500));
        for bad in
            ["", "p.a ==", "and p.a", "p.a p.b", "(p.a", "\"open", "word", "p.a & p.b", &deep]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
