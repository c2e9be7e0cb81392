//! `Range: bytes=N-`, with which a reader resumes.

use axum::http::HeaderMap;
use axum::http::header::RANGE;

/// The offset to start from. A range of another form is not honoured, which HTTP allows: the
/// answer is the whole then.
pub(super) fn from_offset(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(RANGE)?.to_str().ok()?;
    value.trim().strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_open_ranges_are_honoured() {
        let offset_of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, axum::http::HeaderValue::from_static(text));
            from_offset(&headers)
        };
        assert_eq!(offset_of("bytes=17-"), Some(17));
        assert_eq!(offset_of("bytes=1-2"), None);
        assert_eq!(offset_of("bytes=-5"), None);
        assert_eq!(offset_of("lines=1-"), None);
    }
}
