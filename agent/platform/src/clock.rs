//! Time that counts system sleep.
//!
//! `Instant` and tokio's timers stand still while a Mac sleeps, so a deadline kept with them
//! comes late by as long as the lid was closed. Here time is milliseconds since boot by a clock
//! that goes on in sleep (Darwin `CLOCK_MONOTONIC`, Linux `CLOCK_BOOTTIME`), and whoever sleeps
//! looks at that clock again at least once a minute. Nothing wakes up where nothing is waited
//! for.
//!
//! Tests use [`Clock::manual`], on which an hour passes at once.

use std::sync::Arc;
use std::time::Duration;

use russet_protocol::supervise::Deadline;
use tokio::sync::watch;

/// A sleeper looks at the clock at least this often, since timers stand still in system sleep.
const RECHECK: Duration = Duration::from_secs(60);

/// A point in time: milliseconds since boot, system sleep included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(pub u64);

impl BootTime {
    /// This much later; the end of time where that does not fit.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(duration)))
    }

    /// Returns the time from `earlier` to this; zero if it is before.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// A duration in whole milliseconds.
#[must_use]
pub fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Source of time. Clones share it.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct Manual {
    now: watch::Sender<u64>,
    /// The deadlines that are slept for.
    sleepers: watch::Sender<Vec<u64>>,
    boot_id: String,
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that only moves when told to, and the hand that moves it.
    #[must_use]
    pub fn manual(boot_id: &str) -> (Self, Hand) {
        let manual = Arc::new(Manual {
            now: watch::Sender::new(1_000),
            sleepers: watch::Sender::new(Vec::new()),
            boot_id: boot_id.to_owned(),
        });
        (Self(Source::Manual(Arc::clone(&manual))), Hand(manual))
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> BootTime {
        match &self.0 {
            Source::System => BootTime(crate::boot_clock_ms()),
            Source::Manual(manual) => BootTime(*manual.now.borrow()),
        }
    }

    /// Milliseconds since 1970, for people and other machines; it may jump.
    #[must_use]
    pub fn wall_ms(&self) -> u64 {
        match &self.0 {
            Source::System => std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, whole_millis),
            Source::Manual(manual) => 1_700_000_000_000 + *manual.now.borrow(),
        }
    }

    /// Identity of this boot: a [`BootTime`] means nothing in another.
    #[must_use]
    pub fn boot_id(&self) -> String {
        match &self.0 {
            Source::System => crate::boot_id(),
            Source::Manual(manual) => manual.boot_id.clone(),
        }
    }

    /// The point in time in a form that other processes of this boot understand.
    #[must_use]
    pub fn deadline(&self, at: BootTime) -> Deadline {
        Deadline { boot_ms: at.0, boot_id: self.boot_id() }
    }

    /// Returns when `deadline` has come.
    pub async fn sleep_until(&self, deadline: BootTime) {
        match &self.0 {
            Source::System => loop {
                let left = deadline.since(self.now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(RECHECK)).await;
            },
            Source::Manual(manual) => {
                let _sleeper = Sleeper::new(manual, deadline.0);
                let mut now = manual.now.subscribe();
                // The sender lives in `manual`, so the only way out is the deadline.
                drop(now.wait_for(|now| *now >= deadline.0).await);
            }
        }
    }

    /// Returns after `duration`.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now().after(duration)).await;
    }

    /// Returns when `deadline` has come, and never where there is none.
    pub async fn sleep_until_some(&self, deadline: Option<BootTime>) {
        match deadline {
            Some(deadline) => self.sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    }
}

/// Says of a manual clock that somebody sleeps, for as long as it lives.
struct Sleeper<'a> {
    manual: &'a Manual,
    deadline: u64,
}

impl<'a> Sleeper<'a> {
    fn new(manual: &'a Manual, deadline: u64) -> Self {
        manual.sleepers.send_modify(|sleepers| sleepers.push(deadline));
        Self { manual, deadline }
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.manual.sleepers.send_modify(|sleepers| {
            if let Some(at) = sleepers.iter().position(|at| *at == self.deadline) {
                sleepers.swap_remove(at);
            }
        });
    }
}

/// Handle that moves a manual clock.
#[derive(Clone, Debug)]
pub struct Hand(Arc<Manual>);

impl Hand {
    /// Lets time pass at once.
    pub fn advance(&self, duration: Duration) {
        self.0.now.send_modify(|now| *now = now.saturating_add(whole_millis(duration)));
    }

    /// Waits until somebody sleeps for a time that has not come, and says for how long still.
    pub async fn next_sleeper(&self) -> Duration {
        let mut sleepers = self.0.sleepers.subscribe();
        loop {
            let now = *self.0.now.borrow();
            let next = sleepers.borrow_and_update().iter().copied().filter(|at| *at > now).min();
            if let Some(at) = next {
                return Duration::from_millis(at - now);
            }
            if sleepers.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BootTime, Clock};
    use std::time::Duration;

    #[tokio::test]
    async fn the_system_clock_goes_forward_and_knows_its_boot() {
        let clock = Clock::system();
        let before = clock.now();
        clock.sleep(Duration::from_millis(5)).await;
        assert!(clock.now().since(before) >= Duration::from_millis(5));
        assert!(!clock.boot_id().is_empty());
        assert_eq!(clock.boot_id(), clock.boot_id());
    }

    #[tokio::test]
    async fn an_hour_passes_at_once_on_a_manual_clock() {
        let (clock, hand) = Clock::manual("boot");
        let sleeping = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(3600)).await }
        });
        assert_eq!(hand.next_sleeper().await, Duration::from_secs(3600));
        hand.advance(Duration::from_secs(3599));
        assert_eq!(hand.next_sleeper().await, Duration::from_secs(1));
        hand.advance(Duration::from_secs(1));
        sleeping.await.unwrap();
    }

    #[test]
    fn times_do_not_wrap() {
        assert_eq!(BootTime(5).since(BootTime(9)), Duration::ZERO);
        assert_eq!(BootTime(5).after(Duration::MAX), BootTime(u64::MAX));
    }
}
