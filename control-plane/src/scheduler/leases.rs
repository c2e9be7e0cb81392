//! Silence of a runner, and its consequences.
//!
//! A lease that lapses before a step has started costs nothing: the task goes back into the line.
//! Afterwards it costs somebody a build, since steps are not run twice. So a task in its steps has
//! twice the time: a network that is away for one lease loses no work.

use russet_protocol::outcome::Outcome;
use russet_protocol::runner::{HeartbeatFrom, UnclaimCause};

/// Number of times that a task may be put back because no runner started it.
pub(crate) const MAX_UNCLAIMS: u32 = 3;

/// Number of heartbeats in a lease.
const HEARTBEATS_PER_LEASE: i64 = 6;

/// Returns the interval of heartbeats, in milliseconds.
pub(crate) fn heartbeat_ms(lease_ms: i64) -> u64 {
    u64::try_from(lease_ms / HEARTBEATS_PER_LEASE).unwrap_or(0).max(1)
}

/// Returns the time at which a lease lapses that begins now. Times are in milliseconds.
pub(crate) fn lease_end(now: i64, lease_ms: i64, step_started: bool) -> i64 {
    let length = if step_started { lease_ms.saturating_mul(2) } else { lease_ms };
    now.saturating_add(length)
}

/// Returns true if a heartbeat renews the lease.
///
/// The launch agent's does not when its task agent has been silent for longer than the lease, or
/// has never been heard since a claim that is older than that: else a dead task agent would hold
/// its task for ever. The task agent's always does: it may have to outlive its launch agent.
pub(crate) fn renews_lease(
    from: HeartbeatFrom,
    peer_silent_ms: Option<u64>,
    since_claim_ms: i64,
    lease_ms: i64,
) -> bool {
    match from {
        HeartbeatFrom::TaskAgent => true,
        HeartbeatFrom::LaunchAgent => {
            let silent = peer_silent_ms
                .map_or(since_claim_ms, |silent| i64::try_from(silent).unwrap_or(i64::MAX));
            silent <= lease_ms
        }
    }
}

/// Fate of a task that its runner no longer holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lapse {
    /// Back into the line; how often it has been put back, with this time.
    Requeue(u32),
    /// It ends so.
    End(Outcome, &'static str),
}

/// Returns the fate of a task whose lease lapsed.
pub(crate) fn on_lapse(step_started: bool, unclaims: u32, cancel: bool) -> Lapse {
    if cancel {
        Lapse::End(Outcome::Canceled, "the runner was lost after the task was canceled")
    } else if step_started {
        Lapse::End(
            Outcome::InfrastructureFail,
            "the runner was not heard from for longer than its lease while the task ran",
        )
    } else if unclaims >= MAX_UNCLAIMS {
        Lapse::End(
            Outcome::InfrastructureFail,
            "the task was claimed and given up too often; no runner started it",
        )
    } else {
        Lapse::Requeue(unclaims + 1)
    }
}

/// Time for which a runner gets no task after it gave one back, in milliseconds: its other claims
/// are about to be dropped.
pub(crate) const REST_MS: i64 = 1_000;

/// Returns true if a runner that gives a task back for this reason gets no other for a moment.
pub(crate) fn rests_after(cause: Option<UnclaimCause>) -> bool {
    matches!(cause, Some(UnclaimCause::NotTaking | UnclaimCause::NotStarted))
}

/// Decides if a runner may give a task back, and returns how often it was put back with this time.
/// Times that say nothing about the task are not counted. `Err` says why it may not.
pub(crate) fn on_unclaim(
    step_started: bool,
    unclaims: u32,
    cause: Option<UnclaimCause>,
) -> Result<u32, &'static str> {
    if step_started {
        Err("a step of the task has started, and steps are not run twice")
    } else if matches!(cause, Some(UnclaimCause::NotTaking | UnclaimCause::Interrupted)) {
        Ok(unclaims)
    } else if unclaims >= MAX_UNCLAIMS {
        Err("the task was given back too often")
    } else {
        Ok(unclaims + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_has_not_started_goes_back_three_times_and_then_fails() {
        assert_eq!(on_lapse(false, 0, false), Lapse::Requeue(1));
        assert_eq!(on_lapse(false, 2, false), Lapse::Requeue(3));
        assert!(matches!(on_lapse(false, 3, false), Lapse::End(Outcome::InfrastructureFail, _)));
        assert_eq!(on_unclaim(false, 2, None), Ok(3));
        assert!(on_unclaim(false, 3, None).is_err());
        assert!(on_unclaim(false, 3, Some(UnclaimCause::NotStarted)).is_err());
        assert!(on_unclaim(false, 3, Some(UnclaimCause::Unknown)).is_err());
    }

    #[test]
    fn a_runner_that_takes_no_tasks_or_was_interrupted_gives_back_as_often_as_it_likes() {
        for cause in [UnclaimCause::NotTaking, UnclaimCause::Interrupted] {
            assert_eq!(on_unclaim(false, 0, Some(cause)), Ok(0));
            assert_eq!(on_unclaim(false, MAX_UNCLAIMS, Some(cause)), Ok(MAX_UNCLAIMS));
            assert!(on_unclaim(true, 0, Some(cause)).is_err());
        }
        assert!(rests_after(Some(UnclaimCause::NotTaking)));
        assert!(!rests_after(Some(UnclaimCause::Interrupted)) && !rests_after(None));
    }

    #[test]
    fn a_task_in_its_steps_is_never_run_again() {
        assert!(matches!(on_lapse(true, 0, false), Lapse::End(Outcome::InfrastructureFail, _)));
        assert!(on_unclaim(true, 0, None).is_err());
        assert_eq!(lease_end(10, 60, true), 130);
        assert_eq!(lease_end(10, 60, false), 70);
    }

    #[test]
    fn a_canceled_task_whose_runner_is_lost_is_canceled() {
        assert!(matches!(on_lapse(true, 0, true), Lapse::End(Outcome::Canceled, _)));
        assert!(matches!(on_lapse(false, 0, true), Lapse::End(Outcome::Canceled, _)));
    }

    #[test]
    fn a_launch_agent_does_not_hold_a_task_for_a_silent_task_agent() {
        use HeartbeatFrom::{LaunchAgent, TaskAgent};
        assert!(renews_lease(LaunchAgent, Some(60), 1000, 60));
        assert!(!renews_lease(LaunchAgent, Some(61), 1000, 60));
        assert!(renews_lease(LaunchAgent, None, 60, 60));
        assert!(!renews_lease(LaunchAgent, None, 61, 60));
        assert!(!renews_lease(LaunchAgent, Some(u64::MAX), 0, 60));
        assert!(renews_lease(TaskAgent, Some(u64::MAX), i64::MAX, 60));
    }

    #[test]
    fn heartbeats_are_told_a_sixth_of_the_lease() {
        assert_eq!(heartbeat_ms(60_000), 10_000);
        assert_eq!(heartbeat_ms(0), 1);
    }
}
