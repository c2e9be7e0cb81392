//! Values: from text to types, each with an error that says what was expected.

use std::collections::BTreeMap;
use std::time::Duration;

use russet_protocol::secret::Secret;

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
        (_, NodeKind::Scalar { text, quoted }) => scalar(kind, text, *quoted).map(Some),
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
        _ => scalar(kind, text, false).map(Some),
    }
}

fn text_of(node: &Node) -> Result<String, Wrong> {
    match &node.kind {
        NodeKind::Scalar { text, .. } => Ok(text.clone()),
        NodeKind::Null => Ok(String::new()),
        other => Err(format!("expected text, found {}", other.describe())),
    }
}

fn scalar(kind: Kind, text: &str, quoted: bool) -> Result<Value, Wrong> {
    match kind {
        Kind::Text | Kind::Path => Ok(Value::Text(text.to_owned())),
        Kind::Secret => Ok(Value::Secret(Secret::new(text))),
        // With the words that CircleCI's own reader of the file takes as well.
        Kind::Flag => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" if !quoted => Ok(Value::Flag(true)),
            "false" | "no" | "off" if !quoted => Ok(Value::Flag(false)),
            _ => Err(format!("expected `true` or `false`, found `{text}`")),
        },
        Kind::Duration => duration(text).map(Value::Duration),
        Kind::Number => text
            .parse()
            .map(Value::Number)
            .map_err(|_| format!("expected a whole number, found `{text}`")),
        Kind::Size => size(text).map(Value::Number),
        Kind::Choice(names) if names.contains(&text) => Ok(Value::Text(text.to_owned())),
        Kind::Choice(_) => Err(format!("expected {}, found `{text}`", kind.describe())),
        Kind::Words | Kind::Variables | Kind::Classes => {
            Err(format!("expected a {}", kind.describe()))
        }
    }
}

/// A duration as Go writes it: numbers with units, as `1h30m` or `1.5h`.
fn duration(text: &str) -> Result<Duration, Wrong> {
    let wrong =
        || format!("expected a duration with its units, as `5h` or `1h30m`, found `{text}`");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let (number, after) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let seconds = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return Err(wrong()),
        };
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = after;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total) }
}

/// A number of bytes, with a decimal or a binary unit.
fn size(text: &str) -> Result<u64, Wrong> {
    let wrong = || format!("expected a size, as `20GB` or `512MiB`, found `{text}`");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::{duration, size};
    use std::time::Duration;

    #[test]
    fn durations_are_those_of_go() {
        for (text, ms) in [
            ("5h", 18_000_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("300ms", 300),
            ("0", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "5", "h", "5 h", "-1h", "1d", "1h30", "9999999999999999999h", "1..5h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        assert_eq!(size("20GB"), Ok(20_000_000_000));
        assert_eq!(size("1GiB"), Ok(1 << 30));
        assert_eq!(size("17"), Ok(17));
        for text in ["", "GB", "-1", "1.5GB", "1XB", "99999999999TB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
