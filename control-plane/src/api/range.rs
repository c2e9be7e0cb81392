//! `Range: bytes=N-`, with which a reader resumes.

use axum::body::Body;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::error::ApiError;

/// The offset to start from. A range of another form is not honoured, which HTTP allows: the
/// answer is the whole then.
pub(super) fn from_offset(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(RANGE)?.to_str().ok()?;
    value.trim().strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

/// Part that a reader asks for of something with a known size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// The first byte.
    pub(super) start: u64,
    size: u64,
    is_partial: bool,
}

impl Wanted {
    /// Reads it from a request.
    ///
    /// # Errors
    /// 416: there are not so many bytes.
    pub(super) fn of(headers: &HeaderMap, size: u64) -> Result<Self, ApiError> {
        let offset = from_offset(headers);
        if offset.is_some_and(|offset| offset >= size) {
            return Err(ApiError::Range(size));
        }
        Ok(Self { start: offset.unwrap_or(0), size, is_partial: offset.is_some() })
    }

    /// The answer, with `body` from [`Self::start`] on.
    pub(super) fn answer(self, content_type: &str, body: Body) -> Result<Response, ApiError> {
        let Self { start, size, is_partial } = self;
        let mut response = Response::builder()
            .header(CONTENT_TYPE, content_type)
            .header(ACCEPT_RANGES, "bytes")
            .header(CONTENT_LENGTH, size - start);
        if is_partial {
            response = response
                .status(StatusCode::PARTIAL_CONTENT)
                .header(CONTENT_RANGE, format!("bytes {start}-{}/{size}", size - 1));
        }
        response.body(body).map_err(|error| ApiError::Internal(Box::new(error)))
    }
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

    #[test]
    fn the_answer_says_which_part_it_is() {
        let asked = |text: &str, size| {
            let headers = HeaderMap::from_iter([(RANGE, text.parse().unwrap())]);
            Wanted::of(&headers, size)
        };
        let part = asked("bytes=4-", 10).unwrap().answer("text/plain", Body::empty()).unwrap();
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.headers()[CONTENT_RANGE], "bytes 4-9/10");
        assert_eq!(part.headers()[CONTENT_LENGTH], "6");
        for (text, size) in [("bytes=10-", 10), ("bytes=0-", 0)] {
            assert!(matches!(asked(text, size), Err(ApiError::Range(of)) if of == size), "{text}");
        }
        let all = Wanted::of(&HeaderMap::new(), 0).unwrap().answer("text/plain", Body::empty());
        let all = all.unwrap();
        assert_eq!(
            (all.status(), &all.headers()[CONTENT_LENGTH]),
            (StatusCode::OK, &"0".parse().unwrap())
        );
        assert!(!all.headers().contains_key(CONTENT_RANGE));
    }
}
