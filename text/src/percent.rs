//! Percent-encoding (RFC 3986): everything but unreserved characters is encoded.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Bytes that are encoded within one segment of a path or one value of a query.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Bytes that are encoded in a path with several segments.
const PATH: &AsciiSet = &COMPONENT.remove(b'/');

/// Encodes a text as a value of a query.
#[must_use]
pub fn encode_component(text: &str) -> String {
    utf8_percent_encode(text, COMPONENT).to_string()
}

/// Encodes a text as one segment of a path. The segments `.` and `..` are encoded as well: a name
/// must not lead to another resource.
#[must_use]
pub fn encode_segment(text: &str) -> String {
    match text {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => encode_component(text),
    }
}

/// Encodes a text as a path; its slashes stay.
#[must_use]
pub fn encode_path(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

#[cfg(test)]
mod tests {
    use super::{encode_path, encode_segment};

    #[test]
    fn a_segment_cannot_lead_elsewhere() {
        assert_eq!(encode_segment("0199-ab_c.txt"), "0199-ab_c.txt");
        assert_eq!(encode_segment("../x?y#z %"), "..%2Fx%3Fy%23z%20%25");
        assert_eq!(encode_segment(".."), "%2E%2E");
        assert_eq!(encode_segment("."), "%2E");
    }

    #[test]
    fn a_path_keeps_its_slashes() {
        assert_eq!(encode_path("a b/ü?#%.txt"), "a%20b/%C3%BC%3F%23%25.txt");
    }
}
