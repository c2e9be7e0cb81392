//! The decision about what has arrived. Pure.

use crate::update::boot_files::is_newer;

/// Facts about what has arrived, and about what is installed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    /// The package's version.
    pub(super) version: &'a str,
    pub(super) allows_downgrade: bool,
    /// Version that is installed.
    pub(super) installed: &'a str,
    /// Its bundle has not been put in place yet.
    pub(super) has_bundle: bool,
    /// Its program is the one that is installed.
    pub(super) is_same: bool,
    /// The version in place has yet to prove itself.
    pub(super) is_in_probation: bool,
    /// It could not be put in place a short time ago.
    pub(super) has_failed: bool,
    /// Its bundle lies where the version before belongs, and was never tried.
    pub(super) is_left_beside: bool,
}

/// Next step with what has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing can be done now.
    Wait,
    /// Put the bundle in place when no task runs.
    Offer,
    /// Put the rest in place: the bundle is, and good.
    Finish,
    /// Fetch the bundle back: a loss of power came between moving it and exchanging it.
    Recover,
    /// Drop it, for this reason.
    Discard(&'static str),
}

/// Decides.
pub(super) fn decide_step(facts: &Facts<'_>) -> Step {
    let is_in_place = facts.is_same || !facts.has_bundle && facts.version == facts.installed;
    match facts {
        _ if is_in_place && facts.is_in_probation => Step::Wait,
        _ if is_in_place => Step::Finish,
        Facts { has_bundle: false, is_left_beside: true, .. } => Step::Recover,
        Facts { has_bundle: false, .. } => Step::Discard("it was taken back"),
        _ if is_newer(facts.installed, facts.version) && !facts.allows_downgrade => {
            Step::Discard("a newer version is installed by now")
        }
        // The version before is what a new one is taken back to: it has to be a good one.
        _ if facts.is_in_probation || facts.has_failed => Step::Wait,
        _ => Step::Offer,
    }
}

#[cfg(test)]
mod tests {
    use super::{Facts, Step, decide_step};

    const ARRIVED: Facts<'_> = Facts {
        version: "2.0.0",
        allows_downgrade: false,
        installed: "1.0.0",
        has_bundle: true,
        is_same: false,
        is_in_probation: false,
        has_failed: false,
        is_left_beside: false,
    };

    #[test]
    fn a_newer_version_is_offered_unless_the_one_in_place_is_on_trial_or_it_just_failed() {
        assert_eq!(decide_step(&ARRIVED), Step::Offer);
        assert_eq!(decide_step(&Facts { is_in_probation: true, ..ARRIVED }), Step::Wait);
        assert_eq!(decide_step(&Facts { has_failed: true, ..ARRIVED }), Step::Wait);
        // Built anew.
        assert_eq!(decide_step(&Facts { installed: "2.0.0", ..ARRIVED }), Step::Offer);
    }

    #[test]
    fn a_version_that_an_update_overtook_is_dropped_unless_a_downgrade_is_allowed() {
        let overtaken = Facts { installed: "2.1.0", ..ARRIVED };
        assert!(matches!(decide_step(&overtaken), Step::Discard(_)));
        assert_eq!(decide_step(&Facts { allows_downgrade: true, ..overtaken }), Step::Offer);
    }

    #[test]
    fn the_rest_follows_once_the_bundle_is_in_place_and_has_proved_itself() {
        let exchanged = Facts { has_bundle: false, installed: "2.0.0", ..ARRIVED };
        assert_eq!(decide_step(&Facts { is_in_probation: true, ..exchanged }), Step::Wait);
        assert_eq!(decide_step(&exchanged), Step::Finish);
        assert_eq!(decide_step(&Facts { is_same: true, ..ARRIVED }), Step::Finish);
    }

    #[test]
    fn a_version_that_was_taken_back_is_dropped_and_one_that_was_never_tried_is_not() {
        let gone = Facts { has_bundle: false, ..ARRIVED };
        assert!(matches!(decide_step(&gone), Step::Discard(_)));
        assert_eq!(decide_step(&Facts { is_left_beside: true, ..gone }), Step::Recover);
    }
}
