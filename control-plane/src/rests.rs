//! Runners that gave a task back and get no other for a moment.
//!
//! A machine that is paused has claims on their way, which it drops one by one. Without a rest the
//! task that it gives back would go to the next of them. Kept in memory: a second is over before a
//! server has restarted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Ends of rests by the steady clock, by class and name of the runner.
#[derive(Debug, Default)]
pub(crate) struct Rests(Mutex<HashMap<(String, String), i64>>);

impl Rests {
    /// Lets a runner rest until `until`, and forgets the rests that are over.
    pub(crate) fn begin(&self, class: &str, runner: &str, now: i64, until: i64) {
        let mut rests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rests.retain(|_, until| *until > now);
        rests.insert((class.to_owned(), runner.to_owned()), until);
    }

    /// Returns the end of a runner's rest, while it has not come.
    pub(crate) fn end(&self, class: &str, runner: &str, now: i64) -> Option<i64> {
        let rests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if rests.is_empty() {
            return None;
        }
        let until = rests.get(&(class.to_owned(), runner.to_owned())).copied();
        until.filter(|until| *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::Rests;

    #[test]
    fn a_rest_is_one_runners_of_one_class_and_ends() {
        let rests = Rests::default();
        rests.begin("a/b", "one", 10, 20);
        assert_eq!(rests.end("a/b", "one", 19), Some(20));
        assert_eq!(rests.end("a/b", "one", 20), None);
        assert_eq!(rests.end("a/b", "two", 10), None);
        assert_eq!(rests.end("a/c", "one", 10), None);
        rests.begin("a/b", "two", 20, 30);
        assert_eq!(rests.0.lock().unwrap().len(), 1, "what is over is forgotten");
    }
}
