//! Early stops of a task, and their propagation to all of its parts.

use std::sync::Arc;

use russet_protocol::outcome::Outcome;
use tokio::sync::watch;

/// Reason why a task stops before its steps are through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Somebody asked for it.
    Asked {
        /// The outcome to report.
        outcome: Outcome,
        /// Reason, for people.
        reason: String,
    },
    /// The deadline has come.
    Deadline,
    /// The control plane no longer knows this allocation. Nothing can be reported.
    Stale(String),
}

#[derive(Clone, Debug, Default)]
struct State {
    stop: Option<Stop>,
    hurry: bool,
}

/// Shared by everything that runs in a task. The first reason wins, so that a verdict of the
/// deadline is not replaced by a cancel that comes while its processes end; only a stale
/// allocation overrides it, because then there is nobody left to tell.
#[derive(Clone, Debug)]
pub(crate) struct StopSignal(Arc<watch::Sender<State>>);

impl StopSignal {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(State::default())))
    }

    /// Asks everything to stop.
    pub(crate) fn stop(&self, stop: Stop) {
        self.0.send_if_modified(|state| {
            let overrides = matches!(stop, Stop::Stale(_));
            let is_new = state.stop.is_none() || overrides;
            if is_new {
                state.stop = Some(stop);
            }
            is_new
        });
    }

    /// Asks once more: who still waits out a grace period gives it up.
    pub(crate) fn hurry(&self) {
        self.0.send_modify(|state| state.hurry = true);
    }

    /// The reason, where there is one.
    pub(crate) fn reason(&self) -> Option<Stop> {
        self.0.borrow().stop.clone()
    }

    /// Returns true if the task stops.
    pub(crate) fn is_set(&self) -> bool {
        self.0.borrow().stop.is_some()
    }

    /// Returns when the task stops.
    pub(crate) async fn requested(&self) {
        self.until(|state| state.stop.is_some()).await;
    }

    /// Returns when there is no time for grace.
    pub(crate) async fn hurried(&self) {
        self.until(|state| state.hurry).await;
    }

    async fn until(&self, is_so: impl FnMut(&State) -> bool) {
        let mut receiver = self.0.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        drop(receiver.wait_for(is_so).await);
    }
}

#[cfg(test)]
mod tests {
    use super::{Stop, StopSignal};
    use russet_protocol::outcome::Outcome;

    #[test]
    fn the_deadline_wins_over_a_later_cancel_and_a_stale_allocation_over_both() {
        let signal = StopSignal::new();
        signal.stop(Stop::Deadline);
        signal.stop(Stop::Asked { outcome: Outcome::Canceled, reason: String::new() });
        assert_eq!(signal.reason(), Some(Stop::Deadline));
        signal.stop(Stop::Stale("gone".to_owned()));
        assert_eq!(signal.reason(), Some(Stop::Stale("gone".to_owned())));
    }
}
