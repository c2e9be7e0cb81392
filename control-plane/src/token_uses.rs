//! Last uses of tokens, kept in memory and written in batches, once a minute and token: a call writes
//! nothing for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Time between two writes of the uses of one token, in milliseconds.
const WRITE_INTERVAL_MS: i64 = 60_000;

/// Time for which a token that is not used is remembered here, in milliseconds.
const KEPT_MS: i64 = 10 * 60 * 1000;

#[derive(Clone, Copy, Debug)]
struct Used {
    at_ms: i64,
    written_ms: Option<i64>,
}

impl Used {
    fn is_due(self) -> bool {
        let since = |written| self.at_ms - written >= WRITE_INTERVAL_MS;
        self.written_ms.is_none_or(since)
    }
}

/// Tokens by id, with the last time at which each was used here.
#[derive(Debug, Default)]
pub(crate) struct TokenUses(Mutex<BTreeMap<String, Used>>);

impl TokenUses {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Used>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a use.
    pub(crate) fn note(&self, id: &str, now_ms: i64) {
        let mut all = self.lock();
        match all.get_mut(id) {
            Some(used) => used.at_ms = now_ms.max(used.at_ms),
            None => {
                all.insert(id.to_owned(), Used { at_ms: now_ms, written_ms: None });
            }
        }
    }

    /// Returns the uses that are to be written, in the order in which all servers write them, and
    /// forgets tokens that were not used for long.
    pub(crate) fn take_news(&self, now_ms: i64) -> Vec<(String, i64)> {
        let mut all = self.lock();
        let mut news = Vec::new();
        for (id, used) in all.iter_mut().filter(|(_, used)| used.is_due()) {
            used.written_ms = Some(used.at_ms);
            news.push((id.clone(), used.at_ms));
        }
        all.retain(|_, used| now_ms - used.at_ms < KEPT_MS);
        news
    }

    /// Marks what could not be written as new again.
    pub(crate) fn put_back(&self, news: &[(String, i64)]) {
        let mut all = self.lock();
        for (id, _) in news {
            if let Some(used) = all.get_mut(id) {
                used.written_ms = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT_MS, TokenUses, WRITE_INTERVAL_MS};

    #[test]
    fn a_use_is_written_at_once_and_then_once_a_minute() {
        let uses = TokenUses::default();
        uses.note("b", 5);
        uses.note("a", 6);
        assert_eq!(uses.take_news(7), [("a".to_owned(), 6), ("b".to_owned(), 5)]);
        uses.note("a", 1000);
        assert!(uses.take_news(1001).is_empty());
        let later = 6 + WRITE_INTERVAL_MS;
        uses.note("a", later);
        let news = uses.take_news(later);
        assert_eq!(news, [("a".to_owned(), later)]);
        uses.put_back(&news);
        assert_eq!(uses.take_news(later), news, "what was not written is new again");
        uses.take_news(later + KEPT_MS);
        assert!(uses.lock().is_empty());
    }

    #[test]
    fn many_uses_of_a_token_are_one_write() {
        let uses = TokenUses::default();
        for at in [5, 9, 7] {
            uses.note("a", at);
        }
        assert_eq!(uses.take_news(9), [("a".to_owned(), 9)]);
        assert!(uses.take_news(9).is_empty());
    }
}
