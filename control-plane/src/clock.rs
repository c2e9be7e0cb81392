//! Time, injected: tests move it by hand.
//!
//! Two times are told apart. The wall clock is for people and may jump. Leases are counted by the
//! steady clock, which never jumps and stands still while this machine sleeps: a server that
//! could not listen must not take tasks from runners that it could not hear.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

/// Source of the server's time.
pub trait Clock: std::fmt::Debug + Send + Sync {
    /// Milliseconds since 1970.
    fn wall_ms(&self) -> i64;
    /// Milliseconds since some moment, never backwards.
    fn steady_ms(&self) -> i64;
    /// Done when the steady clock has reached `steady_ms`.
    fn sleep_until(&self, steady_ms: i64) -> BoxFuture<'_, ()>;
}

/// The machine's clocks.
#[derive(Debug)]
pub(crate) struct SystemClock {
    start: Instant,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now() }
    }
}

/// Milliseconds as the store counts them.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
    }

    fn steady_ms(&self) -> i64 {
        millis(self.start.elapsed())
    }

    fn sleep_until(&self, steady_ms: i64) -> BoxFuture<'_, ()> {
        // One more, since a part of a millisecond is cut off above.
        let left = steady_ms.saturating_sub(self.steady_ms()).saturating_add(1);
        tokio::time::sleep(Duration::from_millis(u64::try_from(left).unwrap_or(0))).boxed()
    }
}

/// A clock that stands still until it is told to move. For tests.
#[derive(Clone, Debug)]
pub struct ManualClock {
    now: Arc<watch::Sender<i64>>,
}

impl ManualClock {
    /// A clock that stands at one million seconds after 1970.
    #[must_use]
    pub fn new() -> Self {
        Self { now: Arc::new(watch::channel(1_000_000_000).0) }
    }

    /// Moves the time on; who sleeps until then wakes.
    pub fn advance(&self, by: Duration) {
        self.now.send_modify(|now| *now += millis(by));
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn wall_ms(&self) -> i64 {
        *self.now.borrow()
    }

    fn steady_ms(&self) -> i64 {
        *self.now.borrow()
    }

    fn sleep_until(&self, steady_ms: i64) -> BoxFuture<'_, ()> {
        let mut now = self.now.subscribe();
        async move {
            // Fails only when the clock is gone, and then nobody waits.
            let _reached = now.wait_for(|now| *now >= steady_ms).await;
        }
        .boxed()
    }
}
