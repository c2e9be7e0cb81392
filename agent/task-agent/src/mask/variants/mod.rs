//! The forms in which a secret may be printed.
//!
//! Besides the value itself: each line of one with several (tools indent and prefix them), and the
//! encodings that tools use when they log or trace. What a job itself does to a secret cannot be
//! foreseen, and masking is no substitute for not printing one.

mod base64;
mod json;
mod markup;
mod percent;
mod quoting;

use std::collections::BTreeSet;

/// Shorter values are not masked, as at CircleCI: they would tear every output to pieces.
const SHORTEST: usize = 4;

/// Values that are not masked, as at CircleCI: they say nothing and are everywhere.
const NO_SECRETS: [&str; 4] = ["true", "True", "false", "False"];

/// Patterns to look for, each once.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    /// As it stands.
    pub(super) plain: Vec<Vec<u8>>,
    /// In base64, whatever line breaks there are in it.
    pub(super) base64: Vec<Vec<u8>>,
}

/// All patterns for all values.
pub(super) fn of_all(values: impl Iterator<Item = impl AsRef<str>>) -> Patterns {
    let (mut plain, mut base64) = (BTreeSet::new(), BTreeSet::new());
    for value in values {
        for text in texts(value.as_ref()) {
            plain.extend(encodings(text).map(String::into_bytes));
            base64.extend(base64::forms(text).map(String::into_bytes));
        }
    }
    let long = |patterns: BTreeSet<Vec<u8>>| {
        patterns.into_iter().filter(|pattern| pattern.len() >= SHORTEST).collect()
    };
    Patterns { plain: long(plain), base64: long(base64) }
}

/// The value, without white space around it, and its lines.
fn texts(value: &str) -> BTreeSet<&str> {
    let lines = value.lines().map(str::trim);
    [value, value.trim()].into_iter().chain(lines).filter(|text| is_secret(text)).collect()
}

fn is_secret(text: &str) -> bool {
    text.len() >= SHORTEST && !text.trim().is_empty() && !NO_SECRETS.contains(&text)
}

/// The value in every form but base64.
pub(super) fn encodings(text: &str) -> impl Iterator<Item = String> {
    std::iter::once(text.to_owned())
        .chain(quoting::forms(text))
        .chain(json::forms(text))
        .chain(markup::forms(text))
        .chain(percent::forms(text))
}
