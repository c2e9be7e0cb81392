//! Values: from text to types, each with an error that says what was expected.

use std::collections::BTreeMap;
use std::time::Duration;

use russet_protocol::secret::Secret;
use russet_text::{parse_duration, parse_size};

use super::keys::Kind;
use super::yaml::{Node, NodeKind};

/// A value of the type that its key has.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Secret(Secret),
    Flag(bool),
    Duration(Duration),
    Number(u64),
    Words(Vec<String>),
    Variables(BTreeMap<String, String>),
}

/// Fault of a value: the expected form, without the value (it may be a token).
pub(super) type Wrong = String;

/// Reads a node of the file. `None`: the key is there without a value, which is as if it were
/// not there.
pub(super) fn from_node(kind: Kind, node: &Node) -> Result<Option<Value>, Wrong> {
    match (kind, &node.kind) {
        (_, NodeKind::Null) => Ok(None),
        (Kind::Words, NodeKind::List(items)) => {
            let words = items.iter().map(text_of).collect::<Result<_, _>>()?;
            Ok(Some(Value::Words(words)))
        }
        (Kind::Variables, NodeKind::Map(entries)) => {
            let pairs = entries
                .iter()
                .map(|entry| Ok((entry.name.clone(), text_of(&entry.value)?)))
                .collect::<Result<_, Wrong>>()?;
            Ok(Some(Value::Variables(pairs)))
        }
        (Kind::Words | Kind::Variables | Kind::Classes, other) => {
            Err(format!("expected a {}, found {}", kind.describe(), other.describe()))
        }
        (_, NodeKind::Scalar { text, quoted }) => read_scalar(kind, text, *quoted).map(Some),
        (_, other) => Err(format!("expected a {}, found {}", kind.describe(), other.describe())),
    }
}

/// Reads the value of an environment variable. Lists are separated by commas, or written as in
/// the file (`[a, b]`).
pub(super) fn from_env(kind: Kind, text: &str) -> Result<Option<Value>, Wrong> {
    match kind {
        _ if text.is_empty() => Ok(None),
        Kind::Words | Kind::Variables if text.starts_with(['[', '{']) => {
            let node = super::yaml::parse(std::path::Path::new(""), text)
                .map_err(|_| "is no list or mapping".to_owned())?;
            from_node(kind, &node)
        }
        Kind::Words => Ok(Some(Value::Words(text.split(',').map(str::to_owned).collect()))),
        Kind::Variables => {
            let pairs = text
                .split(',')
                .map(|pair| match pair.split_once('=') {
                    Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
                    None => Err("expected NAME=value,NAME=value".to_owned()),
                })
                .collect::<Result<_, Wrong>>()?;
            Ok(Some(Value::Variables(pairs)))
        }
        _ => read_scalar(kind, text, false).map(Some),
    }
}

fn text_of(node: &Node) -> Result<String, Wrong> {
    match &node.kind {
        NodeKind::Scalar { text, .. } => Ok(text.clone()),
        NodeKind::Null => Ok(String::new()),
        other => Err(format!("expected text, found {}", other.describe())),
    }
}

fn read_scalar(kind: Kind, text: &str, quoted: bool) -> Result<Value, Wrong> {
    match kind {
        Kind::Text | Kind::Path => Ok(Value::Text(text.to_owned())),
        Kind::Secret => Ok(Value::Secret(Secret::new(text))),
        // With the words that CircleCI's own reader of the file takes as well.
        Kind::Flag => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" if !quoted => Ok(Value::Flag(true)),
            "false" | "no" | "off" if !quoted => Ok(Value::Flag(false)),
            _ => Err(format!("expected `true` or `false`, found `{text}`")),
        },
        Kind::Duration => read_duration(text).map(Value::Duration),
        Kind::Number => text
            .parse()
            .map(Value::Number)
            .map_err(|_| format!("expected a whole number, found `{text}`")),
        Kind::Size => read_size(text).map(Value::Number),
        Kind::Choice(names) if names.contains(&text) => Ok(Value::Text(text.to_owned())),
        Kind::Choice(_) => Err(format!("expected {}, found `{text}`", kind.describe())),
        Kind::Words | Kind::Variables | Kind::Classes => {
            Err(format!("expected a {}", kind.describe()))
        }
    }
}

/// Parses a duration, with the value in the error: durations are not secret.
fn read_duration(text: &str) -> Result<Duration, Wrong> {
    parse_duration(text).map_err(|error| format!("`{text}` is not a duration: {error}"))
}

/// Parses a size, with the value in the error: sizes are not secret.
fn read_size(text: &str) -> Result<u64, Wrong> {
    parse_size(text).map_err(|error| format!("`{text}` is not a size: {error}"))
}

#[cfg(test)]
mod tests {
    use super::{read_duration, read_size};
    use std::time::Duration;

    #[test]
    fn durations_and_sizes_are_written_as_on_the_command_line() {
        assert_eq!(read_duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(read_duration("1.5h"), Ok(Duration::from_secs(5400)));
        assert_eq!(read_duration("0"), Ok(Duration::ZERO));
        let error = read_duration("5").unwrap_err();
        assert!(error.starts_with("`5` is not a duration: its unit is missing"), "{error}");
        assert_eq!(read_size("17"), Ok(17));
        assert_eq!(read_size("1.5GB"), Ok(1_500_000_000));
        assert_eq!(read_size("1GiB"), Ok(1 << 30));
        let error = read_size("1XB").unwrap_err();
        assert!(error.starts_with("`1XB` is not a size: write a number of bytes"), "{error}");
    }
}
