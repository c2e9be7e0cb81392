//! Browser sessions that were ended by logging out, kept until they would have ended by themselves.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Sessions that were ended by logging out, by their hash.
#[derive(Debug, Default)]
pub(crate) struct EndedSessions(Mutex<HashMap<Vec<u8>, i64>>);

impl EndedSessions {
    /// Sessions that had ended before this start, with the times at which they would have.
    pub(crate) fn new(ended: Vec<(Vec<u8>, i64)>) -> Self {
        Self(Mutex::new(ended.into_iter().collect()))
    }

    /// Adds sessions that were ended at other servers.
    pub(crate) fn extend(&self, ended: Vec<(Vec<u8>, i64)>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(ended);
    }

    /// Returns true if the session was ended.
    pub(crate) fn contains(&self, id: &[u8]) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(id)
    }

    /// Ends a session, and forgets those that would have ended by now.
    pub(crate) fn insert(&self, id: &[u8], until_s: i64, now_s: i64) {
        let mut ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|_, until_s| *until_s > now_s);
        ended.insert(id.to_owned(), until_s);
    }
}
