//! Times at which files changed, and the time since which a task can have changed any.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::stat::FileStat;
use russet_platform::clock::{BootTime, Clock};
use russet_platform::os;

/// Nanoseconds since 1970, by the clock of the machine.
pub(super) type Moment = i128;

/// The times of files are coarser than the clock: by a second on HFS+, by a tick on others.
const COARSENESS: Duration = Duration::from_secs(2);

/// Steps of the machine's clock against the one that never steps that are no steps, but drift.
const MAX_DRIFT: Duration = Duration::from_secs(1);

/// Returns the time of the last change of a file or a directory. Nobody can set it: what a user may
/// set (utimensat(2)) is another one, and sets this one to now.
pub(super) fn changed_at(stat: &FileStat) -> Moment {
    i128::from(stat.st_ctime) * 1_000_000_000 + i128::from(stat.st_ctime_nsec)
}

/// The begin of a task, by two clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning {
    wall: Duration,
    boot: BootTime,
}

impl Beginning {
    /// Now.
    pub(super) fn now() -> Self {
        Self { wall: wall_time(), boot: Clock::system().now() }
    }

    /// Returns a time before which nothing of the task can have changed a file. `None`: the clock of
    /// the machine was set meanwhile, so times of files say nothing.
    pub(super) fn earliest(self) -> Option<Moment> {
        self.earliest_at(wall_time(), Clock::system().now())
    }

    fn earliest_at(self, wall: Duration, boot: BootTime) -> Option<Moment> {
        let expected = self.wall + boot.since(self.boot);
        (expected.abs_diff(wall) <= MAX_DRIFT)
            .then(|| i128::try_from(self.wall.saturating_sub(COARSENESS).as_nanos()).ok())?
    }
}

/// Returns the time at which a process began, whose start the kernel counts as `start`. Without one
/// it is now: nothing is known to be younger.
pub(super) fn of_process_start(start: Option<u64>) -> Moment {
    let age = start.map_or(Duration::ZERO, os::age_of_start);
    i128::try_from(wall_time().saturating_sub(age).as_nanos()).unwrap_or(Moment::MAX)
}

fn wall_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::Beginning;
    use russet_platform::clock::BootTime;
    use std::time::Duration;

    #[test]
    fn a_clock_that_was_set_says_nothing() {
        let seconds = Duration::from_secs;
        let began = Beginning { wall: seconds(1_000), boot: BootTime(50_000) };
        assert_eq!(began.earliest_at(seconds(1_030), BootTime(80_000)), Some(998_000_000_000));
        assert_eq!(began.earliest_at(seconds(400), BootTime(80_000)), None);
        assert_eq!(began.earliest_at(seconds(1_100), BootTime(80_000)), None);
    }
}
