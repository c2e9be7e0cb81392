//! Offset of this clock from the control plane's, by the `Date` of its answers.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::header::{DATE, HeaderMap};
use tokio::sync::Notify;

use super::CLOCK_WRONG_S;

/// Nothing was heard yet. No clock is off by this much.
const UNHEARD: i64 = i64::MIN;

/// Offset in the last answer.
#[derive(Debug)]
pub(crate) struct Skew {
    seconds: AtomicI64,
    /// Told when the offset becomes one with which nothing works, or is one no longer.
    has_crossed: Notify,
}

impl Default for Skew {
    fn default() -> Self {
        Self { seconds: AtomicI64::new(UNHEARD), has_crossed: Notify::new() }
    }
}

impl Skew {
    /// Takes note of an answer that came just now.
    pub(crate) fn heard(&self, headers: &HeaderMap) {
        if let Some(seconds) = skew_s(headers, SystemTime::now()) {
            let before = self.seconds.swap(seconds, Ordering::Relaxed);
            if is_wrong(before) != is_wrong(seconds) {
                self.has_crossed.notify_one();
            }
        }
    }

    /// Returns the seconds by which this clock is behind.
    pub(crate) fn seconds(&self) -> Option<i64> {
        Some(self.seconds.load(Ordering::Relaxed)).filter(|seconds| *seconds != UNHEARD)
    }

    /// Done when the machine is to be looked at because of its clock.
    pub(super) async fn crossed(&self) {
        self.has_crossed.notified().await;
    }
}

/// Returns true for an offset with which no task is taken.
fn is_wrong(seconds: i64) -> bool {
    seconds != UNHEARD && seconds.unsigned_abs() > CLOCK_WRONG_S
}

/// Returns the seconds by which `now` is behind the date of an answer, which has whole seconds.
pub(super) fn skew_s(headers: &HeaderMap, now: SystemTime) -> Option<i64> {
    let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    let seconds = |time: SystemTime| {
        time.duration_since(UNIX_EPOCH).ok().and_then(|since| i64::try_from(since.as_secs()).ok())
    };
    Some(seconds(date)? - seconds(now)?)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use reqwest::header::{DATE, HeaderMap, HeaderValue};

    use super::{Skew, skew_s};

    #[test]
    fn a_clock_is_compared_with_the_date_of_an_answer() {
        let mut headers = HeaderMap::new();
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(skew_s(&headers, now), None);
        // The example of RFC 9110, section 5.6.7: 784111777 seconds after 1970.
        headers.insert(DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(skew_s(&headers, now), Some(0));
        assert_eq!(skew_s(&headers, now + Duration::from_millis(90_500)), Some(-90));
        assert_eq!(skew_s(&headers, now - Duration::from_secs(5)), Some(5));
        let skew = Skew::default();
        assert_eq!(skew.seconds(), None);
        skew.heard(&headers);
        assert!(skew.seconds().unwrap() < -900_000_000);
        assert!(super::is_wrong(-901) && !super::is_wrong(900) && !super::is_wrong(super::UNHEARD));
    }
}
