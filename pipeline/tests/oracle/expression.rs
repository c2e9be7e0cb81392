//! Expressions, by CircleCI's table of operators: `or`, `and`, equality and the named operators,
//! comparisons of numbers, `not`.

use fancy_regex::Regex;

use super::tree::Tree;

/// A value; `None` is undefined.
type Value = Option<Tree>;

/// Evaluates a text. `None` if it is not an expression.
pub(crate) fn evaluate(text: &str, look_up: &dyn Fn(&str) -> Option<Value>) -> Option<Value> {
    let tokens = tokens(text)?;
    let mut reader = Reader { tokens: &tokens, look_up };
    let value = reader.level(0)?;
    reader.tokens.is_empty().then_some(value)
}

/// Only `false` and the undefined are false.
pub(crate) fn truth(value: &Value) -> bool {
    value.as_ref().is_some_and(|value| value.boolean() != Some(false))
}

const LEVELS: [&[&str]; 4] = [
    &["or", "OR"],
    &["and", "AND"],
    &["==", "!=", "starts-with", "contains", "matches"],
    &["<", "<=", ">", ">="],
];

fn tokens(text: &str) -> Option<Vec<String>> {
    let token = Regex::new(
        r#"^\s*("(?:\\.|[^"\\])*"|/(?:\\.|[^/\\])*/|[<>=!]=|[<>!()]|[A-Za-z][\w?-]*(?:\.[\w?-]+)*|\d+)\s*"#,
    )
    .ok()?;
    let mut rest = text;
    let mut tokens = Vec::new();
    while !rest.trim().is_empty() {
        let found = token.captures(rest).ok()??;
        tokens.push(found.get(1)?.as_str().to_owned());
        rest = &rest[found.get(0)?.end()..];
    }
    Some(tokens)
}

struct Reader<'r> {
    tokens: &'r [String],
    look_up: &'r dyn Fn(&str) -> Option<Value>,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<String> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first.clone())
    }

    fn level(&mut self, level: usize) -> Option<Value> {
        let Some(operators) = LEVELS.get(level) else { return self.unary() };
        let mut left = self.level(level + 1)?;
        while self.tokens.first().is_some_and(|token| operators.contains(&token.as_str())) {
            let operator = self.next()?.to_lowercase();
            let right = self.level(level + 1)?;
            left = match operator.as_str() {
                "or" if truth(&left) => left,
                "and" if !truth(&left) => left,
                "or" | "and" => right,
                _ => match (left, right) {
                    (Some(left), Some(right)) => Some(boolean(compare(&operator, &left, &right)?)),
                    _ => None,
                },
            };
        }
        Some(left)
    }

    fn unary(&mut self) -> Option<Value> {
        let token = self.next()?;
        match token.as_str() {
            "not" | "NOT" | "!" => Some(Some(boolean(!truth(&self.unary()?)))),
            "(" => {
                let value = self.level(0)?;
                (self.next()? == ")").then_some(value)
            }
            "true" | "TRUE" => Some(Some(boolean(true))),
            "false" | "FALSE" => Some(Some(boolean(false))),
            text if text.starts_with('"') => {
                let inner = &text[1..text.len() - 1];
                Some(Some(Tree::text(inner.replace("\\\"", "\"").replace("\\\\", "\\"))))
            }
            text if text.starts_with('/') => Some(Some(Tree::text(text.to_owned()))),
            text if text.starts_with(|c: char| c.is_ascii_digit()) => Some(Some(Tree::plain(text))),
            name => (self.look_up)(name),
        }
    }
}

fn boolean(value: bool) -> Tree {
    Tree::plain(value.to_string())
}

fn compare(operator: &str, left: &Tree, right: &Tree) -> Option<bool> {
    let texts = || Some((left.as_str()?, right.as_str()?));
    let numbers = || Some((left.number()?, right.number()?));
    Some(match operator {
        "==" => left.equals(right),
        "!=" => !left.equals(right),
        "starts-with" => texts()?.0.starts_with(texts()?.1),
        "contains" => texts()?.0.contains(texts()?.1),
        "matches" => {
            let (text, pattern) = texts()?;
            let pattern = pattern.strip_prefix('/')?.strip_suffix('/')?.replace("\\/", "/");
            is_match(&pattern, text)?
        }
        "<" => numbers()?.0 < numbers()?.1,
        "<=" => numbers()?.0 <= numbers()?.1,
        ">" => numbers()?.0 > numbers()?.1,
        _ => numbers()?.0 >= numbers()?.1,
    })
}

/// A pattern has to match the whole of a text.
pub(crate) fn is_match(pattern: &str, text: &str) -> Option<bool> {
    Regex::new(&format!("^(?:{pattern})$")).ok()?.is_match(text).ok()
}
