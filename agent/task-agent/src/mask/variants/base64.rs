//! base64, wherever the value begins within a group of three bytes.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// The value in both alphabets, at each of three places.
pub(super) fn forms(text: &str) -> impl Iterator<Item = String> {
    (0..3).flat_map(move |offset| at(text.as_bytes(), offset))
}

/// The characters of base64 text that the value alone decides, where `offset` bytes stand before
/// it in its group of three: in the usual alphabet and in the one for URLs.
fn at(value: &[u8], offset: usize) -> [String; 2] {
    let mut bytes = vec![0; offset];
    bytes.extend_from_slice(value);
    let first = (offset * 8).div_ceil(6);
    let last = (bytes.len() * 8) / 6;
    [STANDARD_NO_PAD.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)]
        .map(|text| text[first.min(last)..last].to_owned())
}
