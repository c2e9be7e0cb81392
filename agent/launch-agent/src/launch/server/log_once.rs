//! Logging a lasting trouble once, and not at every try of every slot.

use std::sync::Mutex;

/// The kind of trouble that was logged last.
#[derive(Debug, Default)]
pub(in crate::launch) struct LogOnce(Mutex<Option<String>>);

impl LogOnce {
    /// Notes trouble of a kind; true if it is news.
    pub(super) fn note_trouble(&self, kind: &str) -> bool {
        let Ok(mut last) = self.0.lock() else { return false };
        let is_news = last.as_deref() != Some(kind);
        *last = Some(kind.to_owned());
        is_news
    }

    /// Returns true if there is trouble.
    pub(super) fn has_trouble(&self) -> bool {
        self.0.lock().is_ok_and(|last| last.is_some())
    }

    /// Notes that all is well; true if there was trouble before.
    pub(super) fn note_recovery(&self) -> bool {
        self.0.lock().is_ok_and(|mut last| last.take().is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::LogOnce;

    #[test]
    fn the_same_trouble_is_news_once_and_again_after_a_recovery() {
        let log = LogOnce::default();
        assert!(!log.note_recovery());
        assert!(log.note_trouble("offline") && !log.note_trouble("offline"));
        assert!(log.note_trouble("denied") && log.has_trouble());
        assert!(log.note_recovery() && !log.note_recovery() && !log.has_trouble());
        assert!(log.note_trouble("denied"));
    }
}
