//! `Retry-After`: the pause that a server asks for.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use russet_protocol::backoff::Backoff;

use super::random_fraction;

/// A server that asks for a longer pause than this is asked again earlier.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Part of a pause that was asked for that is added at random.
const JITTER: f64 = 0.25;

/// Returns the delay that the server asks for, at most a minute: seconds or a date (RFC 9110, section
/// 10.2.3). A date is taken by the clock of the server, where its answer has one.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok().map(str::trim);
    let asked = text(RETRY_AFTER)?;
    let delay = match asked.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        // More seconds than a number can hold.
        Err(_) if asked.bytes().all(|byte| byte.is_ascii_digit()) && !asked.is_empty() => {
            MAX_RETRY_AFTER
        }
        Err(_) => {
            let until = httpdate::parse_http_date(asked).ok()?;
            let date = text(DATE).and_then(|date| httpdate::parse_http_date(date).ok());
            let now = date.unwrap_or_else(SystemTime::now);
            until.duration_since(now).unwrap_or_default()
        }
    };
    Some(delay.min(MAX_RETRY_AFTER))
}

/// Returns the pause before the next attempt: what the server asks for and up to a quarter more, so
/// that all whom it asked for the same do not return at the same moment; never less than the
/// back-off has.
#[must_use]
pub fn next_pause(backoff: &mut Backoff, asked: Option<Duration>) -> Duration {
    let own = backoff.next_pause();
    asked.map_or(own, |asked| own.max(with_jitter(asked)))
}

/// Returns a pause that was asked for, and up to a quarter more.
#[must_use]
pub fn with_jitter(asked: Duration) -> Duration {
    asked.mul_f64(1.0 + JITTER * random_fraction())
}

#[cfg(test)]
mod tests {
    use super::{HeaderMap, next_pause, retry_after, with_jitter};
    use russet_protocol::backoff::Backoff;
    use std::time::{Duration, SystemTime};

    fn asked(value: &str, date: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", value.parse().unwrap());
        if let Some(date) = date {
            headers.insert("date", date.parse().unwrap());
        }
        retry_after(&headers).map(|delay| delay.as_secs())
    }

    #[test]
    fn a_server_that_asks_for_a_day_waits_a_minute() {
        assert_eq!(retry_after(&HeaderMap::new()), None);
        assert_eq!(asked("2", None), Some(2));
        assert_eq!(asked("86400", None), Some(60));
        assert_eq!(asked("99999999999999999999999", None), Some(60));
        assert_eq!(asked("soon", None), None);
        assert_eq!(asked("", None), None);
        assert_eq!(asked("-1", None), None);
    }

    #[test]
    fn a_date_is_taken_by_the_clock_of_the_server() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:50 GMT", date), Some(13));
        assert_eq!(asked("Sunday, 06-Nov-94 08:49:50 GMT", date), Some(13));
        assert_eq!(asked("Sun Nov  6 08:49:50 1994", date), Some(13));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:30 GMT", date), Some(0));
        assert_eq!(asked("Mon, 07 Nov 1994 08:49:30 GMT", date), Some(60));
        let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(30));
        assert!((25..=30).contains(&asked(&later, None).unwrap()));
    }

    #[test]
    fn a_pause_is_never_shorter_than_was_asked_for_nor_than_the_back_off() {
        let [second, ten] = [1, 10].map(Duration::from_secs);
        for _ in 0..100 {
            let pause = with_jitter(ten);
            assert!((ten..=ten * 5 / 4).contains(&pause), "{pause:?}");
        }
        let mut backoff = Backoff::new(second, ten * 2);
        assert!(next_pause(&mut backoff, Some(ten)) >= ten);
        assert_eq!(next_pause(&mut backoff, None), second * 2);
        let mut backoff = Backoff::new(ten, ten);
        assert_eq!(next_pause(&mut backoff, Some(second)), ten);
    }
}
