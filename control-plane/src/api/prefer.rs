//! `Prefer: wait=N` (RFC 7240): how long a caller is willing to be kept waiting.

use std::time::Duration;

use axum::http::HeaderMap;

/// The longest that a call is held: shorter than the minute after which proxies cut connections.
const LONGEST: u64 = 55;

/// Returns the time that the caller is willing to wait; zero where it does not say.
pub(super) fn preferred_wait(headers: &HeaderMap) -> Duration {
    let seconds = headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .filter_map(|part| part.trim().split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))
        .and_then(|(_, seconds)| seconds.trim().trim_matches('"').parse::<u64>().ok())
        .unwrap_or(0);
    Duration::from_secs(seconds.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_found_among_other_preferences_and_has_a_limit() {
        let wait_of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", axum::http::HeaderValue::from_static(text));
            preferred_wait(&headers).as_secs()
        };
        assert_eq!(wait_of("wait=50"), 50);
        assert_eq!(wait_of("respond-async, Wait = 5"), 5);
        assert_eq!(wait_of("wait=100000"), LONGEST);
        assert_eq!(wait_of("wait=-1"), 0);
        assert_eq!(wait_of("return=minimal"), 0);
        assert_eq!(preferred_wait(&HeaderMap::new()), Duration::ZERO);
    }
}
