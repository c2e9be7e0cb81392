//! Probation of one version: what it has used of the time and the starts that it has. Pure.
//!
//! It has two parts. Until the version has proved itself its time, its starts and its crashes are
//! bounded, each by itself and whatever its exit codes say. Then it has to run once for
//! [`SETTLE_TIME`], in which a fix could be fetched: a version that proves itself and ends each time
//! is taken back too.

use std::time::Duration;

use crate::ended::{End, Ended};
use crate::files::{self, Fault, Probation};
use crate::table::{AgentExit, Verdict};

/// Crashes with which a version that has not proved itself is taken back.
const MAX_STRIKES: u32 = 3;

/// Ends with which one that has proved itself, and has not settled, is taken back.
const MAX_RELAPSES: u32 = 5;

/// Starts in each of the two parts, however they end.
const MAX_STARTS: u32 = 10;

/// Length of the run with which a version that has proved itself is believed. It looks for updates
/// within the first two minutes.
pub(crate) const SETTLE_TIME: Duration = Duration::from_secs(600);

/// A version in probation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trial {
    pub(crate) version: String,
    pub(crate) bundle: String,
    /// Time to prove itself, of all starts together.
    limit: Duration,
    /// Time that it ran, and that its own ends made it wait.
    used: Duration,
    is_proved: bool,
    starts: u32,
    /// Ends that are held against it, and runs of which no end was seen: each start counts as one
    /// before it, since it may take russet-boot or the machine with it.
    strikes: u32,
    /// Ends that can be nothing but its own fault.
    crashes: u32,
}

impl Trial {
    /// Begins with the note of an update.
    pub(crate) fn new(note: Probation) -> Self {
        Self {
            version: note.version,
            bundle: note.bundle,
            limit: Duration::from_secs(note.limit),
            used: Duration::ZERO,
            is_proved: false,
            starts: 0,
            strikes: 0,
            crashes: 0,
        }
    }

    /// Returns the note, which stands while the version has not proved itself.
    pub(crate) fn note(&self) -> Option<Probation> {
        let (version, bundle) = (self.version.clone(), self.bundle.clone());
        let note = Probation { version, bundle, limit: self.limit.as_secs() };
        (!self.is_proved).then_some(note)
    }

    /// Returns the time that is left to prove itself, for one that has not.
    pub(crate) fn time_left(&self) -> Option<Duration> {
        (!self.is_proved).then(|| self.limit.saturating_sub(self.used))
    }

    pub(crate) fn is_proved(&self) -> bool {
        self.is_proved
    }

    /// Counts a start, before it.
    pub(crate) fn count_start(&mut self) {
        self.starts = self.starts.saturating_add(1);
        self.strikes = self.strikes.saturating_add(1);
    }

    /// Takes a start back that came to nothing.
    pub(crate) fn uncount_start(&mut self) {
        self.starts = self.starts.saturating_sub(1);
        self.strikes = self.strikes.saturating_sub(1);
    }

    /// It proved itself, in the run that goes on.
    pub(crate) fn prove(&mut self) {
        self.is_proved = true;
        (self.starts, self.strikes, self.crashes) = (1, 1, 0);
    }

    /// Counts the end of a run that the service was told to end. A person may restart a version
    /// that has proved itself as often as they like.
    pub(crate) fn count_stop(&mut self, ran: Duration) {
        self.used = self.used.saturating_add(ran);
        self.strikes = self.strikes.saturating_sub(1);
        if self.is_proved {
            self.starts = self.starts.saturating_sub(1);
        }
    }

    /// Counts any other end. Returns the fault that takes it back at once, if it has one.
    pub(crate) fn count_end(&mut self, end: &End, verdict: Verdict) -> Option<Fault> {
        self.used = self.used.saturating_add(end.ran);
        let is_strike = verdict == Verdict::Strike || self.is_proved && end.is_proved();
        if !is_strike {
            self.strikes = self.strikes.saturating_sub(1);
        }
        // A directory, a user, a socket: whatever else may be wrong on this machine.
        let may_be_another = end.ended == Ended::Exit(AgentExit::Failed.code().into());
        if is_strike && !may_be_another {
            self.crashes = self.crashes.saturating_add(1);
        }
        match (&end.ended, end.health) {
            _ if self.is_proved => None,
            (Ended::TooLate, None) if !end.is_mute => Some(Fault::Hung),
            (Ended::TooLate, _) => Some(Fault::Unreached),
            _ => (verdict == Verdict::Bad).then_some(Fault::Refused),
        }
    }

    /// Counts a pause that follows an end of its own.
    pub(crate) fn count_pause(&mut self, pause: Duration) {
        self.used = self.used.saturating_add(pause);
    }

    /// Returns the fault of a version that has used what it had.
    pub(crate) fn exhausted(&self) -> Option<Fault> {
        let most = if self.is_proved { MAX_RELAPSES } else { MAX_STRIKES };
        let is_late = !self.is_proved && self.used >= self.limit;
        if self.strikes < most && self.starts < MAX_STARTS && !is_late {
            return None;
        }
        // One that has proved itself once may have met something since.
        let is_its_own = self.crashes > 0 && !self.is_proved;
        Some(if is_its_own { Fault::Crashed } else { Fault::Unreached })
    }

    /// Describes what it has used, for people.
    pub(crate) fn describe(&self) -> String {
        let since = if self.is_proved { "after it had proved itself" } else { "in probation" };
        format!("start {} {since}", self.starts)
    }

    /// Text of the file [`files::STRIKES`].
    pub(crate) fn text(&self) -> String {
        let state = if self.is_proved { "proved" } else { "new" };
        format!(
            "bundle {}\nstrikes {}\nversion {}\nlimit {}\nstarts {}\ncrashes {}\nused_ms {}\nstate {state}\n",
            files::word(&self.bundle),
            self.strikes,
            files::word(&self.version),
            self.limit.as_secs(),
            self.starts,
            self.crashes,
            self.used.as_millis(),
        )
    }

    /// Reads that text. What an earlier `russet-boot` did not write, the note of the update says.
    pub(crate) fn parse(text: &str, note: Option<&Probation>) -> Option<Self> {
        let bundle = files::value(text, "bundle")?;
        let note = note.filter(|note| note.bundle == bundle);
        let count = |word| {
            let number = files::number(text, word).unwrap_or(0);
            u32::try_from(number).unwrap_or(u32::MAX)
        };
        let version = files::value(text, "version").map(files::word);
        Some(Self {
            version: version.or_else(|| note.map(|note| note.version.clone()))?,
            bundle: bundle.to_owned(),
            limit: Duration::from_secs(
                files::number(text, "limit").or_else(|| note.map(|note| note.limit))?,
            ),
            used: Duration::from_millis(files::number(text, "used_ms").unwrap_or(0)),
            is_proved: files::value(text, "state") == Some("proved"),
            starts: count("starts"),
            strikes: count("strikes"),
            crashes: count("crashes"),
        })
    }
}

#[cfg(test)]
mod tests;
