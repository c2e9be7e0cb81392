//! Everything that `russet-boot` remembers of versions, and every decision about them: which one
//! stands in the agent's place, and what follows an end. Pure: [`crate::state`] reads and writes it.
//!
//! It is kept here besides the files: a version in probation is root and may remove them.

mod run_times;

use std::time::Duration;

use crate::decide::{growing_pause, judge_end, pause_before, quick_ends};
use crate::ended::{End, Ended};
use crate::files::{self, Bad, Fault, Health, Probation};
use crate::table::Action;
use crate::trial::{SETTLE_TIME, Trial};
pub(crate) use run_times::RunTimes;

/// Quick ends in a row after which a version that could not be started is given another try, should
/// the one in place be bad: their pauses have grown to a minute.
const FORGIVING_ENDS: u32 = 7;

/// Interval of looking at the health of a version that has to prove itself.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Identity of a bundle that is missing.
pub(crate) const NO_BUNDLE: &str = "none";

/// The two bundles, by their identity, and which of them may be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) current: String,
    pub(crate) previous: String,
    pub(crate) is_current_trusted: bool,
    pub(crate) is_previous_trusted: bool,
}

/// Next action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The version in the agent's place is started after the pause.
    Start(Duration),
    /// The previous version is to take its place.
    GoBack,
    /// Nothing, until somebody starts the service again.
    Stay,
}

/// Versions, as far as they are remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// The version in the agent's place, while it is in probation.
    pub(crate) trial: Option<Trial>,
    /// Versions that failed in their probation, the newest last.
    pub(crate) bad: Vec<Bad>,
    pub(crate) ran: RunTimes,
    /// Bundles that could not be started when it was tried last, though the other one could have
    /// been.
    dead: Vec<String>,
    /// Quick ends in a row.
    quick_ends: u32,
}

impl Memory {
    /// Begins with what an earlier `russet-boot` remembered.
    pub(crate) fn new(trial: Option<Trial>, bad: Vec<Bad>, ran: RunTimes) -> Self {
        Self { trial, bad, ran, dead: Vec::new(), quick_ends: 0 }
    }

    /// Takes the note of an update up. It, and what is remembered, counts for the bundle that
    /// stands in the agent's place: whatever an exchange was cut off at.
    pub(crate) fn take_note(&mut self, note: Option<Probation>, current: &str) {
        self.follow(current);
        // The note is the version's to change, what is remembered is not.
        if self.trial.is_none() && !self.is_bad(current) {
            self.trial = note.filter(|note| note.bundle == current).map(Trial::new);
        }
    }

    /// Ends the probation of a version that does not stand in the agent's place any more. One that
    /// removed itself is still the one; one that wrote into its own directory is known by another
    /// identity now.
    fn follow(&mut self, current: &str) {
        self.trial = self.trial.take().filter(|trial| {
            current == NO_BUNDLE || files::is_same_directory(&trial.bundle, current)
        });
        if let Some(trial) = self.trial.as_mut().filter(|_| current != NO_BUNDLE) {
            current.clone_into(&mut trial.bundle);
        }
    }

    /// Takes the current version back in memory if it has used up its probation in runs whose ends
    /// were not all seen.
    pub(crate) fn judge_unseen(&mut self) {
        let Some(trial) = &self.trial else { return };
        let Some(fault) = trial.exhausted() else { return };
        let reason = format!(
            "was cut off each time that it ran, by a restart of the service or of the machine ({})",
            trial.describe()
        );
        self.condemn(fault, reason);
    }

    /// Returns true if the previous version is to stand in the agent's place.
    ///
    /// There is always a version to start: one that cannot be started gives way to one that may,
    /// and of two bad ones the one that ran longest is taken.
    pub(crate) fn prefers_previous(&self, places: &Places) -> bool {
        let Places { current, previous, .. } = places;
        if !places.is_previous_trusted {
            return false;
        }
        match (self.is_dead(current), self.is_dead(previous)) {
            // Where neither could be started, the other one is tried again.
            (true, _) => true,
            (false, true) => false,
            (false, false) => {
                self.is_bad(current)
                    && (!self.is_bad(previous) || self.ran.of(previous) > self.ran.of(current))
            }
        }
    }

    /// The previous version, which was that of `places`, stands in the agent's place now.
    pub(crate) fn exchanged(&mut self, places: &Places) {
        self.trial = None;
        if !self.is_dead(&places.previous) {
            self.quick_ends = 0;
        }
    }

    /// Counts a start, before it.
    pub(crate) fn count_start(&mut self) {
        if let Some(trial) = &mut self.trial {
            trial.count_start();
        }
    }

    /// Returns the note that says that the version in the agent's place has to prove itself.
    pub(crate) fn note(&self) -> Option<Probation> {
        self.trial.as_ref().and_then(Trial::note)
    }

    /// Returns true if a version that has run so long has used the time to prove itself.
    pub(crate) fn is_late(&self, ran: Duration) -> bool {
        let left = self.trial.as_ref().and_then(Trial::time_left);
        left.is_some_and(|left| ran >= left)
    }

    /// Returns the time after which a running version is looked at again. `None`: it is believed.
    pub(crate) fn look_after(&self, current: &str, ran: Duration) -> Option<Duration> {
        let is_settling = self.trial.as_ref().is_some_and(Trial::is_proved);
        match SETTLE_TIME.checked_sub(ran).filter(|_| is_settling) {
            Some(left) => Some(left.max(LOOK_INTERVAL)),
            None => (self.trial.is_some() || self.is_bad(current)).then_some(LOOK_INTERVAL),
        }
    }

    /// Takes up how far a running version is. Returns true if anything has changed.
    pub(crate) fn advance(&mut self, current: &str, health: Option<Health>, ran: Duration) -> bool {
        if health != Some(Health::Proved) {
            return false;
        }
        let version = self.trial.as_ref().map(|trial| trial.version.clone());
        let known = self.bad.len();
        self.bad.retain(|bad| bad.bundle != current && Some(&bad.version) != version.as_ref());
        let is_first = self.trial.as_ref().is_some_and(|trial| !trial.is_proved());
        if let Some(trial) = self.trial.as_mut().filter(|_| is_first) {
            trial.prove();
        }
        let settles = ran >= SETTLE_TIME && self.trial.take().is_some();
        is_first || settles || self.bad.len() < known
    }

    /// Counts the end of a run that the service was told to end.
    pub(crate) fn count_stop(&mut self, current: &str, ran: Duration) {
        self.ran.add(current, ran);
        if let Some(trial) = &mut self.trial {
            trial.count_stop(ran);
        }
    }

    /// Decides about any other end of the bundle `ran`. `places` were seen after it.
    pub(crate) fn decide(&mut self, ran: &str, places: &Places, end: &End) -> Next {
        self.ran.add(ran, end.ran);
        // An agent that exits to be updated has put another one in its place.
        self.follow(&places.current);
        self.quick_ends = quick_ends(end, self.quick_ends);
        if let Ended::Untrusted(_) | Ended::Unexecutable(_) = end.ended {
            return self.decide_unstarted(places, end);
        }
        let (action, verdict) = judge_end(end);
        if let Ended::NoRoom(_) = end.ended {
            self.uncount_start();
            return Next::Start(growing_pause(self.quick_ends));
        }
        self.dead.retain(|bundle| bundle != ran && self.quick_ends < FORGIVING_ENDS);
        let Some(trial) = &mut self.trial else {
            return pause_before(action, self.quick_ends).map_or(Next::Stay, Next::Start);
        };
        if action == Action::Stay && trial.is_proved() {
            trial.count_stop(end.ran);
            return Next::Stay;
        }
        let fault = trial.count_end(end, verdict);
        // Nobody asks a version to end that has not proved itself.
        let pause =
            pause_before(action, self.quick_ends).unwrap_or_else(|| growing_pause(self.quick_ends));
        trial.count_pause(pause);
        if let Some(fault) = fault {
            self.condemn(fault, end.to_string());
            return Next::GoBack;
        }
        if let Some(fault) = trial.exhausted() {
            let reason = format!("{end}; that was {}", trial.describe());
            self.condemn(fault, reason);
            return Next::GoBack;
        }
        Next::Start(pause)
    }

    /// Decides about a version that could not be started. It is at fault itself only where the
    /// other one could be: otherwise its surroundings are, or it has passed.
    fn decide_unstarted(&mut self, places: &Places, end: &End) -> Next {
        self.uncount_start();
        let pause = Next::Start(growing_pause(self.quick_ends));
        let is_passing = matches!(end.ended, Ended::Untrusted(_)) && places.is_current_trusted;
        if !places.is_previous_trusted || is_passing {
            return pause;
        }
        if self.trial.is_some() {
            self.condemn(Fault::Broken, end.to_string());
        }
        self.dead.retain(|bundle| *bundle == places.previous);
        self.dead.push(places.current.clone());
        // Neither can be started: they take turns, slowly.
        if self.is_dead(&places.previous) { pause } else { Next::GoBack }
    }

    /// Returns the pause before the version in place is tried again, where it could not be replaced.
    pub(crate) fn pause_in_place(&self) -> Duration {
        growing_pause(self.quick_ends.max(1))
    }

    /// Notes that the version in probation is bad, and ends its probation.
    fn condemn(&mut self, fault: Fault, reason: String) {
        let Some(Trial { version, bundle, .. }) = self.trial.take() else { return };
        self.bad.retain(|bad| bad.bundle != bundle);
        self.bad.push(Bad { version, bundle, fault, reason });
    }

    fn uncount_start(&mut self) {
        if let Some(trial) = &mut self.trial {
            trial.uncount_start();
        }
    }

    pub(crate) fn is_bad(&self, bundle: &str) -> bool {
        self.bad.iter().any(|bad| bad.bundle == bundle)
    }

    fn is_dead(&self, bundle: &str) -> bool {
        self.dead.iter().any(|dead| dead == bundle)
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
