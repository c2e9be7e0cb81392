//! Tokens of GitHub Apps for repositories, kept in memory as long as they are good.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use russet_protocol::secret::Secret;

/// Time before its end from which on a token is not used for what may take a while, in milliseconds.
const MARGIN_MS: i64 = 5 * 60_000;

/// Tokens by call group and repository.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<HashMap<String, (Secret, i64)>>);

impl Tokens {
    /// Returns a token that is good for a while.
    pub(super) fn get(&self, key: &str, now_ms: i64) -> Option<Secret> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (token, until_ms) = tokens.get(key)?;
        (now_ms < until_ms.saturating_sub(MARGIN_MS)).then(|| token.clone())
    }

    /// Keeps a token until its end, in milliseconds since 1970.
    pub(super) fn put(&self, key: String, token: Secret, (now_ms, until_ms): (i64, i64)) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, (_, until_ms)| now_ms < *until_ms);
        tokens.insert(key, (token, until_ms));
    }

    /// Forgets a token that was refused.
    pub(super) fn forget(&self, key: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::{MARGIN_MS, Secret, Tokens};

    #[test]
    fn a_token_is_used_until_shortly_before_its_end_and_not_after_a_refusal() {
        let tokens = Tokens::default();
        tokens.put("a".to_owned(), Secret::new("t"), (0, 3_600_000));
        assert!(tokens.get("a", 3_600_000 - MARGIN_MS - 1).is_some());
        assert!(tokens.get("a", 3_600_000 - MARGIN_MS).is_none());
        tokens.forget("a");
        assert!(tokens.get("a", 0).is_none());
    }
}
