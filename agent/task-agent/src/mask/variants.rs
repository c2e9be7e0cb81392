//! The forms in which a secret may be printed.
//!
//! Besides the value itself: each line of one with several (tools indent and prefix them), and
//! the encodings that tools use when they log: base64 wherever the value begins within a group
//! of three bytes, percent-encoding, JSON strings. What a job itself does to a secret can not be
//! foreseen, and masking is no substitute for not printing one.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Shorter values are not masked, as at CircleCI: they would tear every output to pieces.
const SHORTEST: usize = 4;

/// Values that are not masked, as at CircleCI: they say nothing and are everywhere.
const NO_SECRETS: [&str; 4] = ["true", "True", "false", "False"];

/// All patterns for all values, each once.
pub(super) fn of_all(values: impl Iterator<Item = impl AsRef<str>>) -> Vec<Vec<u8>> {
    let mut patterns = BTreeSet::new();
    for value in values {
        for text in texts(value.as_ref()) {
            encodings(text, &mut patterns);
        }
    }
    patterns.into_iter().collect()
}

/// The value, without white space around it, and its lines.
fn texts(value: &str) -> BTreeSet<&str> {
    let lines = value.lines().map(str::trim);
    [value, value.trim()].into_iter().chain(lines).filter(|text| is_secret(text)).collect()
}

fn is_secret(text: &str) -> bool {
    text.len() >= SHORTEST && !text.trim().is_empty() && !NO_SECRETS.contains(&text)
}

fn encodings(text: &str, patterns: &mut BTreeSet<Vec<u8>>) {
    patterns.insert(text.as_bytes().to_vec());
    for offset in 0..3 {
        for encoded in base64_at(text.as_bytes(), offset) {
            if encoded.len() >= SHORTEST {
                patterns.insert(encoded.into_bytes());
            }
        }
    }
    patterns.extend(russet_text::encode_variants(text).map(String::into_bytes));
    if let Ok(json) = serde_json::to_string(text) {
        let inner = json[1..json.len() - 1].to_owned();
        // Some writers escape the slash as well.
        patterns.insert(inner.replace('/', "\\/").into_bytes());
        patterns.insert(inner.into_bytes());
    }
}

/// The characters of base64 text that the value alone decides, where `offset` bytes stand before
/// it in its group of three: in the usual alphabet and in the one for URLs.
fn base64_at(value: &[u8], offset: usize) -> [String; 2] {
    let mut bytes = vec![0; offset];
    bytes.extend_from_slice(value);
    let first = (offset * 8).div_ceil(6);
    let last = (bytes.len() * 8) / 6;
    [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)]
        .map(|text| text[first.min(last)..last].to_owned())
}
