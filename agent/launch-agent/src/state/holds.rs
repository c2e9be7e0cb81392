//! Holds that keep claims back while the agent goes on: a person, a full disk.
//!
//! There is one hold for each source and class, so that lifting one never lifts another. A hold
//! never ends a task.

use std::collections::BTreeMap;

use crate::requests::HoldSource;

/// All holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holds(BTreeMap<(HoldSource, Option<usize>), String>);

impl Holds {
    /// Sets the hold of a source on a class (`None`: on all), or lifts it. Says whether anything
    /// changed.
    pub(super) fn set(
        &mut self,
        source: HoldSource,
        class: Option<usize>,
        reason: Option<String>,
    ) -> bool {
        match reason {
            Some(reason) => {
                self.0.insert((source, class), reason.clone()).as_ref() != Some(&reason)
            }
            None => self.0.remove(&(source, class)).is_some(),
        }
    }

    /// Returns true if nothing is held back.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every hold, the most important first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (HoldSource, Option<usize>, &str)> {
        self.0.iter().map(|((source, class), reason)| (*source, *class, reason.as_str()))
    }

    /// Returns true if a class is held back.
    pub(super) fn holds(&self, class: Option<usize>) -> bool {
        self.0.keys().any(|(_, held)| held.is_none() || *held == class)
    }
}

#[cfg(test)]
mod tests {
    use super::Holds;
    use crate::requests::HoldSource;

    #[test]
    fn lifting_one_hold_lifts_no_other() {
        let mut holds = Holds::default();
        assert!(holds.set(HoldSource::Pause, None, Some("lunch".to_owned())));
        assert!(!holds.set(HoldSource::Pause, None, Some("lunch".to_owned())));
        assert!(holds.set(HoldSource::Health, None, Some("full".to_owned())));
        assert!(holds.set(HoldSource::Pause, None, None));
        assert!(!holds.set(HoldSource::Pause, None, None));
        assert!(holds.holds(Some(0)));
        assert!(holds.set(HoldSource::Health, None, None));
        assert!(!holds.holds(Some(0)));
    }

    #[test]
    fn a_hold_on_a_class_is_none_on_others() {
        let mut holds = Holds::default();
        holds.set(HoldSource::Health, Some(1), Some("no simulator".to_owned()));
        assert!(holds.holds(Some(1)));
        assert!(!holds.holds(Some(0)));
    }
}
