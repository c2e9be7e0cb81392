//! Decides whether a target hears of an outcome.

use russet_protocol::notifications::NotifyOn;
use russet_protocol::outcome::Outcome;

/// Outcome of the same workflow or job on the same branch before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Previous {
    /// There was none.
    None,
    Outcome(String),
    /// A later pipeline has ended already: what ends now is no news.
    Later,
}

/// Returns true for an outcome that the next one is compared with. What somebody canceled, or what did
/// not run, says nothing of the code.
pub(crate) fn counts_for_change(outcome: Outcome) -> bool {
    !matches!(outcome, Outcome::Canceled | Outcome::NotRun)
}

/// Returns true if a target hears of an outcome. `previous` matters for [`NotifyOn::Change`] alone.
pub(crate) fn is_wanted(on: NotifyOn, outcome: Outcome, previous: &Previous) -> bool {
    match on {
        NotifyOn::Always => true,
        NotifyOn::Failure => counts_for_change(outcome) && !outcome.is_success(),
        NotifyOn::Change if !counts_for_change(outcome) => false,
        NotifyOn::Change => match previous {
            Previous::None => !outcome.is_success(),
            Previous::Outcome(before) => before != outcome.as_str(),
            Previous::Later => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_of_changes_hears_of_the_first_failure_and_of_its_end_and_of_nothing_between() {
        let mut previous = Previous::None;
        let mut heard = Vec::new();
        let all = ["success", "success", "failed", "failed", "canceled", "failed", "success"];
        for (at, name) in all.into_iter().enumerate() {
            let outcome: Outcome = serde_json::from_value(name.into()).unwrap();
            if is_wanted(NotifyOn::Change, outcome, &previous) {
                heard.push(at);
            }
            if counts_for_change(outcome) {
                previous = Previous::Outcome(name.to_owned());
            }
        }
        assert_eq!(heard, [2, 6]);
        assert!(is_wanted(NotifyOn::Change, Outcome::Failed, &Previous::None));
        assert!(!is_wanted(NotifyOn::Change, Outcome::Failed, &Previous::Later));
    }

    #[test]
    fn a_target_of_failures_hears_of_no_success_and_of_nothing_that_was_canceled() {
        let hears = |outcome| is_wanted(NotifyOn::Failure, outcome, &Previous::None);
        for outcome in [Outcome::Failed, Outcome::TimedOut, Outcome::InfrastructureFail] {
            assert!(hears(outcome) && is_wanted(NotifyOn::Always, outcome, &Previous::None));
        }
        for outcome in [Outcome::Success, Outcome::Canceled, Outcome::NotRun] {
            assert!(!hears(outcome) && is_wanted(NotifyOn::Always, outcome, &Previous::None));
        }
    }
}
