//! Settings of what servers on one PostgreSQL database have to do with each other.

use std::time::Duration;

use crate::clock::millis;

/// Dealings of a server with others on the same PostgreSQL database.
#[derive(Clone, Copy, Debug)]
pub struct BetweenServers {
    /// Interval in which a server says that it is there. One that has not for six times as long is
    /// taken for lost.
    pub presence_interval: Duration,
    /// Interval of looks for what others changed, should their messages be lost.
    pub poll_interval: Duration,
    /// Listens to the messages of others. Without it, changes of others are found by looking.
    pub listens: bool,
}

impl Default for BetweenServers {
    fn default() -> Self {
        Self {
            presence_interval: Duration::from_secs(2),
            poll_interval: Duration::from_millis(900),
            listens: true,
        }
    }
}

/// Intervals of silence after which nobody was there.
const MAX_SILENT_INTERVALS: i64 = 3;

impl BetweenServers {
    /// Returns the silence of all servers after which none was there, in milliseconds.
    pub(crate) fn silence_ms(&self) -> i64 {
        millis(self.presence_interval).saturating_mul(MAX_SILENT_INTERVALS)
    }
}
