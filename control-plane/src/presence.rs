//! Runners that this server heard of lately, kept in memory and written in batches: thousands of idle
//! runners cost one statement in ten seconds.
//!
//! Each server writes what it heard itself. The latest time wins in the database, so that readers of
//! any server see what all of them heard, ten seconds later at most (`presence_writer`).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::store::runners::Sighting;

/// Time for which a runner that is silent is remembered here, in milliseconds.
const KEPT_MS: i64 = 10 * 60 * 1000;

/// A time at which a runner was heard of.
#[derive(Clone, Copy, Debug)]
struct Heard {
    at_ms: i64,
    is_written: bool,
}

/// Runners by class and name, with the last time at which each was heard of.
#[derive(Debug, Default)]
pub(crate) struct Presence(Mutex<HashMap<(String, String), Heard>>);

impl Presence {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), Heard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a runner was heard of.
    pub(crate) fn note(&self, class: &str, runner: &str, now_ms: i64) {
        let heard = Heard { at_ms: now_ms, is_written: false };
        self.lock().insert((class.to_owned(), runner.to_owned()), heard);
    }

    /// Returns the last time at which a runner was heard of here.
    pub(crate) fn last_ms(&self, class: &str, runner: &str) -> Option<i64> {
        let all = self.lock();
        all.get(&(class.to_owned(), runner.to_owned())).map(|heard| heard.at_ms)
    }

    /// Forgets a runner.
    pub(crate) fn forget(&self, class: &str, runner: &str) {
        self.lock().remove(&(class.to_owned(), runner.to_owned()));
    }

    /// Returns what is new since the last call, in the order in which all servers write it, and
    /// forgets who was silent for long.
    pub(crate) fn take_news(&self, now_ms: i64) -> Vec<Sighting> {
        let mut all = self.lock();
        let mut news: Vec<Sighting> = Vec::new();
        for ((class, runner), heard) in all.iter_mut() {
            if !std::mem::replace(&mut heard.is_written, true) {
                news.push((class.clone(), runner.clone(), heard.at_ms));
            }
        }
        all.retain(|_, heard| now_ms - heard.at_ms < KEPT_MS);
        drop(all);
        news.sort_unstable();
        news
    }

    /// Marks what could not be written as new again.
    pub(crate) fn put_back(&self, news: &[Sighting]) {
        let mut all = self.lock();
        for (class, runner, _) in news {
            if let Some(heard) = all.get_mut(&(class.clone(), runner.clone())) {
                heard.is_written = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Presence;

    #[test]
    fn what_was_heard_is_written_once_and_again_where_that_failed() {
        let presence = Presence::default();
        presence.note("a/b", "two", 5);
        presence.note("a/b", "one", 6);
        presence.note("a/b", "one", 7);
        let news = presence.take_news(8);
        let expected = [("a/b".to_owned(), "one".to_owned(), 7), ("a/b".into(), "two".into(), 5)];
        assert_eq!(news, expected);
        assert!(presence.take_news(8).is_empty());
        presence.put_back(&news[..1]);
        assert_eq!(presence.take_news(8), expected[..1]);
        assert_eq!(presence.last_ms("a/b", "two"), Some(5));
        presence.take_news(super::KEPT_MS + 5);
        assert_eq!(presence.last_ms("a/b", "two"), None, "who is long silent is forgotten");
    }
}
