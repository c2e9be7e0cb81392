//! Time for which a task is held for a person once its steps have ended. Pure: events and times in,
//! the end and what is to be told out.
//!
//! Nobody connected: it ends after a short time. Somebody connected: it ends at a time that does not
//! move by being connected. Who asks for more moves the end by just that, connected or not.

use std::time::Duration;

use russet_platform::clock::BootTime;

/// Times before the end at which those who are connected are told, the longest first.
const WARNINGS: [Duration; 3] =
    [Duration::from_secs(15 * 60), Duration::from_secs(5 * 60), Duration::from_secs(60)];

/// Times of a hold, as the control plane gives them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HoldLimits {
    /// While nobody is connected.
    pub(crate) idle: Duration,
    /// In all.
    pub(crate) longest: Duration,
}

/// A hold that goes on.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    limits: HoldLimits,
    began: BootTime,
    /// Time since which nobody is connected, if nobody is.
    idle_since: BootTime,
    sessions: u32,
    /// Sum of what was asked for.
    extended: Duration,
    /// Time until which somebody asked it to go on.
    promised: BootTime,
    /// The shortest warning that those who are connected have had.
    told: Option<Duration>,
}

impl Hold {
    /// A hold that begins, with so many connected.
    pub(crate) fn begin(limits: HoldLimits, now: BootTime, sessions: u32) -> Self {
        Self {
            limits,
            began: now,
            idle_since: now,
            sessions,
            extended: Duration::ZERO,
            promised: now,
            told: None,
        }
    }

    /// Somebody connected, or hung up, or both.
    pub(crate) fn connected(&mut self, sessions: u32, now: BootTime) {
        if sessions == 0 {
            self.idle_since = now;
        }
        self.sessions = sessions;
    }

    /// Somebody has a terminal now, who is told of what is near.
    pub(crate) fn tell_again(&mut self) {
        self.told = None;
    }

    /// Somebody asked for more time. It counts from the end as it is, so that it is never less than
    /// what was there.
    pub(crate) fn extend(&mut self, by: Duration) {
        let promised = self.ends_at().after(by);
        self.extended = self.extended.saturating_add(by);
        self.promised = self.promised.max(promised);
        self.told = None;
    }

    /// Returns the time at which it ends if nothing changes.
    pub(crate) fn ends_at(&self) -> BootTime {
        let longest = self.began.after(self.limits.longest).after(self.extended);
        if self.sessions > 0 {
            return longest;
        }
        let idle = self.idle_since.after(self.limits.idle);
        idle.min(longest).max(self.promised)
    }

    /// Returns the time until then.
    pub(crate) fn remaining(&self, now: BootTime) -> Duration {
        self.ends_at().since(now)
    }

    /// Returns true if it is over.
    pub(crate) fn is_over(&self, now: BootTime) -> bool {
        now >= self.ends_at()
    }

    /// Returns the warning that is due, once each. Of several that are due, the most urgent one.
    pub(crate) fn take_warning(&mut self, now: BootTime) -> Option<Duration> {
        let remaining = self.remaining(now);
        let due = WARNINGS.into_iter().rev().find(|warning| remaining <= *warning)?;
        if self.sessions == 0 || self.told.is_some_and(|told| told <= due) {
            return None;
        }
        self.told = Some(due);
        Some(remaining)
    }

    /// Returns the time at which it is to be looked at again: a warning, or the end.
    pub(crate) fn next_look(&self, now: BootTime) -> BootTime {
        let ends = self.ends_at();
        let of_warning = |warning: Duration| {
            let at = ends.0.saturating_sub(russet_platform::clock::whole_millis(warning));
            (at > now.0).then_some(BootTime(at))
        };
        WARNINGS.into_iter().filter_map(of_warning).fold(ends, BootTime::min)
    }
}

#[cfg(test)]
mod tests {
    use super::{Hold, HoldLimits};
    use proptest::prelude::*;
    use russet_platform::clock::BootTime;
    use std::time::Duration;

    const MINUTE: Duration = Duration::from_secs(60);

    fn limits() -> HoldLimits {
        HoldLimits { idle: 10 * MINUTE, longest: 120 * MINUTE }
    }

    fn at(minutes: u32) -> BootTime {
        BootTime(1_000).after(MINUTE * minutes)
    }

    #[test]
    fn nobody_holds_it_ten_minutes_and_somebody_two_hours_in_all() {
        let mut hold = Hold::begin(limits(), at(0), 0);
        assert_eq!(hold.ends_at(), at(10));
        hold.connected(1, at(9));
        assert_eq!(hold.ends_at(), at(120));
        hold.connected(0, at(50));
        assert_eq!(hold.ends_at(), at(60));
        hold.connected(1, at(59));
        hold.connected(0, at(115));
        assert_eq!(hold.ends_at(), at(120), "connecting again does not make it longer in all");
        assert!(!hold.is_over(at(119)) && hold.is_over(at(120)));
    }

    #[test]
    fn more_time_counts_from_the_end_as_it_is_also_for_who_hangs_up() {
        let mut hold = Hold::begin(limits(), at(0), 1);
        hold.extend(30 * MINUTE);
        assert_eq!(hold.ends_at(), at(150));
        hold.connected(0, at(20));
        assert_eq!(hold.ends_at(), at(150), "what was promised is kept");
        let mut idle = Hold::begin(limits(), at(0), 0);
        idle.extend(30 * MINUTE);
        assert_eq!(idle.ends_at(), at(40));
    }

    #[test]
    fn those_who_are_connected_are_told_three_times_and_again_after_more_time() {
        let mut hold = Hold::begin(limits(), at(0), 1);
        assert_eq!(hold.next_look(at(0)), at(105));
        assert_eq!(hold.take_warning(at(104)), None);
        assert_eq!(hold.take_warning(at(105)), Some(15 * MINUTE));
        assert_eq!(hold.take_warning(at(106)), None);
        assert_eq!(hold.next_look(at(106)), at(115));
        assert_eq!(hold.take_warning(at(115)), Some(5 * MINUTE));
        hold.extend(10 * MINUTE);
        assert_eq!(hold.take_warning(at(116)), Some(14 * MINUTE));
        assert_eq!(hold.take_warning(at(129)), Some(MINUTE));
        assert_eq!(hold.next_look(at(129)), at(130));
    }

    #[derive(Clone, Debug)]
    enum Event {
        Connected(u32),
        Extend(u64),
    }

    fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
        let event = prop_oneof![
            (0..3_u32).prop_map(Event::Connected),
            (0..7_200_000_u64).prop_map(Event::Extend),
        ];
        prop::collection::vec((0..3_600_000_u64, event), 0..40)
    }

    proptest! {
        /// Whatever happens: it ends no later than the longest time and all that was asked for, more
        /// time moves the end by just that, and it is looked at again no later than it ends.
        #[test]
        fn a_hold_ends_when_it_was_said_to(sessions in 0..3_u32, events in events()) {
            let (start, mut now) = (BootTime(1_000), BootTime(1_000));
            let mut hold = Hold::begin(limits(), now, sessions);
            let mut asked = Duration::ZERO;
            for (pause, event) in events {
                now = BootTime(now.0 + pause);
                if hold.is_over(now) {
                    break;
                }
                let before = hold.ends_at();
                match event {
                    Event::Connected(sessions) => {
                        hold.connected(sessions, now);
                        prop_assert!(!hold.is_over(now));
                    }
                    Event::Extend(by) => {
                        let by = Duration::from_millis(by);
                        asked += by;
                        hold.extend(by);
                        prop_assert_eq!(hold.ends_at(), before.after(by));
                    }
                }
                prop_assert!(hold.ends_at() <= start.after(limits().longest).after(asked));
                prop_assert!(hold.next_look(now) <= hold.ends_at());
                prop_assert!(hold.next_look(now) > now);
                hold.take_warning(now);
                prop_assert_eq!(hold.take_warning(now), None);
            }
        }
    }
}
