//! Health of this server: the parts that keep it from taking work, as they were a moment ago.
//!
//! Anybody may ask, and proxies ask every second. So a look (`readiness`) is kept for a moment, there is
//! one at a time, and it says no more than the name of what is wrong; the log has the rest.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use russet_protocol::health::{CheckState, Readiness, ReadyCheck};

/// Time for which a look is kept.
const KEPT: Duration = Duration::from_secs(1);

/// Part of a server that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Database,
    Schema,
    Objects,
    Disk,
    Shutdown,
}

impl Part {
    pub(crate) const ALL: [Self; 5] =
        [Self::Database, Self::Schema, Self::Objects, Self::Disk, Self::Shutdown];

    /// Name in answers, in metrics and in the log.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Schema => "schema",
            Self::Objects => "objects",
            Self::Disk => "disk",
            Self::Shutdown => "shutdown",
        }
    }

    /// Next step where it is failing. It is told to anybody, so it names nothing of this machine.
    fn next_step(self) -> &'static str {
        match self {
            Self::Database => {
                "look whether the database runs and this server reaches it; the server's log says \
                 what it answers"
            }
            Self::Schema => "start the newer version of the server, which the database asks for",
            Self::Objects => {
                "look whether this server reaches the directory or the bucket of the objects; its \
                 log says what is wrong"
            }
            Self::Disk => {
                "make room on the disk of the server's data directory; the server goes on by itself"
            }
            Self::Shutdown => "ask another server, or wait until this one has started again",
        }
    }
}

/// State of each part, in the order of [`Part::ALL`].
pub(crate) type States = [CheckState; Part::ALL.len()];

/// Readiness of this server, as the last look found it.
#[derive(Debug, Default)]
pub(crate) struct Health {
    is_stopping: AtomicBool,
    last: Mutex<Option<(Instant, States)>>,
    /// Held by who looks.
    pub(crate) turn: tokio::sync::Mutex<()>,
}

impl Health {
    /// Notes that the server is to stop: it is not ready from now on.
    pub(crate) fn begin_shutdown(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Returns the last look that is not too old.
    pub(crate) fn fresh(&self, now: Instant) -> Option<States> {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.filter(|(at, _)| now.saturating_duration_since(*at) < KEPT).map(|(_, states)| states)
    }

    /// Keeps a look, and says in the log what has changed.
    pub(crate) fn keep(&self, states: States) {
        let now = Instant::now();
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).replace((now, states));
        let before = last.map_or([CheckState::Ok; Part::ALL.len()], |(_, states)| states);
        for ((part, before), after) in Part::ALL.into_iter().zip(before).zip(states) {
            let part = part.as_str();
            match (before, after) {
                (CheckState::Failing, CheckState::Ok) => tracing::info!(part, "ready again"),
                (CheckState::Failing, _) | (_, CheckState::Ok | CheckState::Unknown) => {}
                (_, CheckState::Failing) => tracing::warn!(part, "not ready to take work"),
            }
        }
    }

    /// Returns the state of [`Part::Shutdown`].
    pub(crate) fn shutdown(&self) -> CheckState {
        state_of(!self.is_stopping.load(Ordering::Relaxed))
    }
}

/// Returns the state of a part that serves, or does not.
pub(crate) fn state_of(is_ok: bool) -> CheckState {
    if is_ok { CheckState::Ok } else { CheckState::Failing }
}

/// Returns what is told of these states.
pub(crate) fn describe(states: States) -> Readiness {
    let checks = Part::ALL.into_iter().zip(states).map(|(part, state)| ReadyCheck {
        name: part.as_str().to_owned(),
        state,
        next_step: (state == CheckState::Failing).then(|| part.next_step().to_owned()),
    });
    let ready = states.iter().all(|state| *state == CheckState::Ok);
    Readiness { ready, checks: checks.collect() }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use russet_protocol::health::CheckState;

    use super::{Health, KEPT, Part, describe};

    #[test]
    fn one_part_that_fails_makes_the_server_not_ready_and_names_the_next_step() {
        let mut states = [CheckState::Ok; 5];
        assert!(describe(states).ready);
        states[Part::Disk as usize] = CheckState::Failing;
        let told = describe(states);
        assert!(!told.ready);
        let failing: Vec<_> =
            told.checks.iter().filter(|check| check.next_step.is_some()).collect();
        assert_eq!(failing.len(), 1);
        assert_eq!(failing[0].name, "disk");
        for (index, part) in Part::ALL.into_iter().enumerate() {
            assert_eq!(part as usize, index);
        }
    }

    #[test]
    fn a_look_is_kept_for_a_moment() {
        let health = Health::default();
        assert_eq!(health.fresh(Instant::now()), None);
        health.keep([CheckState::Ok; 5]);
        assert!(health.fresh(Instant::now()).is_some());
        assert_eq!(health.fresh(Instant::now() + KEPT + Duration::from_millis(1)), None);
    }
}
