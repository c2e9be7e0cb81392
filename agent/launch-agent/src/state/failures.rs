//! Classes whose tasks fail one after the other for reasons of this machine.
//!
//! A machine on which nothing can start fails its tasks faster than others run theirs, so it takes
//! all that there are. After [`MAX_FAILURES`] in a row the class is held; one task is tried after
//! some minutes, later each time that it fails as well. A task that ran, and a person, lift the hold.
//!
//! Threat: a project whose jobs end their own task agent could hold a class that others share. Of
//! failures after a step of the job began, those of one project count once.

use std::collections::BTreeMap;
use std::time::Duration;

use russet_protocol::backoff::Backoff;

use super::types::{SlotIndex, TaskEnd, TaskResult};
use russet_platform::clock::BootTime;

/// Failures in a row that hold a class.
const MAX_FAILURES: u32 = 3;

/// A failure later than this after the claim says little about the next task.
const MAX_FAILURE_TIME: Duration = Duration::from_secs(120);

/// Pauses before a task is tried.
const FIRST_TRY_INTERVAL: Duration = Duration::from_secs(5 * 60);
const MAX_TRY_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Failures in a row, by class.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures(BTreeMap<usize, Streak>);

/// Failures in a row of a class.
#[derive(Clone, Debug, Default)]
struct Streak {
    count: u32,
    /// Project of the last failure that a job's own steps may have made.
    by_steps_of: Option<String>,
    /// Reason of the last one.
    reason: String,
    hold: Option<Hold>,
}

/// A hold on a class.
#[derive(Clone, Debug, Default)]
struct Hold {
    /// Tries that failed.
    tries: u32,
    /// Time of the next try; `None`: now.
    try_at: Option<BootTime>,
    /// The slot that tries.
    trying: Option<SlotIndex>,
}

impl Failures {
    /// Notes the end of a task of a class.
    pub(super) fn note(&mut self, now: BootTime, class: usize, end: &TaskEnd) {
        match &end.result {
            TaskResult::Neutral => {}
            TaskResult::Worked => {
                self.0.remove(&class);
            }
            TaskResult::Failed { reason, has_begun } => {
                let is_quick = end.took.is_none_or(|took| took <= MAX_FAILURE_TIME);
                if *has_begun && !is_quick {
                    return;
                }
                let project = end.project.clone().unwrap_or_default();
                let by_steps_of = has_begun.then_some(project);
                self.0.entry(class).or_default().fail(now, reason, by_steps_of);
            }
        }
    }

    /// Forgets everything: a person wants it tried again.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Returns true if a slot may claim for a class.
    pub(super) fn permits(&self, class: usize, slot: SlotIndex) -> bool {
        match self.0.get(&class).and_then(|streak| streak.hold.as_ref()) {
            None => true,
            Some(Hold { trying: Some(other), .. }) => *other == slot,
            Some(Hold { try_at, .. }) => try_at.is_none(),
        }
    }

    /// Notes that a slot claims for a class. Where the class is held, it is the one that tries.
    pub(super) fn begin_claim(&mut self, class: usize, slot: SlotIndex) {
        if let Some(hold) = self.0.get_mut(&class).and_then(|streak| streak.hold.as_mut()) {
            hold.trying = Some(slot);
        }
    }

    /// Lets another slot try where the one that did has neither claim nor task any more.
    pub(super) fn release(&mut self, is_busy: impl Fn(SlotIndex) -> bool) {
        for hold in self.0.values_mut().filter_map(|streak| streak.hold.as_mut()) {
            hold.trying = hold.trying.filter(|slot| is_busy(*slot));
        }
    }

    /// Lets those try whose time has come.
    pub(super) fn pass_time(&mut self, now: BootTime) {
        for hold in self.0.values_mut().filter_map(|streak| streak.hold.as_mut()) {
            hold.try_at = hold.try_at.filter(|at| *at > now);
        }
    }

    /// The time of the next try.
    pub(super) fn next_wakeup(&self) -> Option<BootTime> {
        self.0.values().filter_map(|streak| streak.hold.as_ref()?.try_at).min()
    }

    /// Held classes, with the reasons.
    pub(super) fn holds(&self) -> impl Iterator<Item = (usize, String)> {
        self.0.iter().filter(|(_, streak)| streak.hold.is_some()).map(|(class, streak)| {
            let reason = format!(
                "{} tasks in a row failed for a reason of this machine, the last one: {}; one is \
                 tried every few minutes, and at once by `russet agent resume`",
                streak.count, streak.reason
            );
            (*class, reason)
        })
    }
}

impl Streak {
    fn fail(&mut self, now: BootTime, reason: &str, by_steps_of: Option<String>) {
        let is_same = by_steps_of.is_some() && by_steps_of == self.by_steps_of;
        let is_try = self.hold.as_ref().is_some_and(|hold| hold.trying.is_some());
        reason.clone_into(&mut self.reason);
        self.by_steps_of = by_steps_of;
        if !is_same || is_try {
            self.count = self.count.saturating_add(1);
        }
        if self.count < MAX_FAILURES {
            return;
        }
        let tries = match &self.hold {
            None => 0,
            Some(hold) if hold.trying.is_some() => hold.tries.saturating_add(1),
            // One of those that ran when the class was held.
            Some(_) => return,
        };
        let pause = Backoff::pause(FIRST_TRY_INTERVAL, MAX_TRY_INTERVAL, tries);
        self.hold = Some(Hold { tries, try_at: Some(now.after(pause)), trying: None });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{FIRST_TRY_INTERVAL, Failures, MAX_TRY_INTERVAL};
    use crate::state::types::{TaskEnd, TaskResult};
    use russet_platform::clock::BootTime;

    const NOW: BootTime = BootTime(1_000_000);

    fn end(result: TaskResult) -> TaskEnd {
        TaskEnd { result, project: Some("acme/app".to_owned()), took: Some(Duration::from_secs(1)) }
    }

    fn failed() -> TaskEnd {
        end(TaskResult::Failed { reason: "the disk is broken".to_owned(), has_begun: false })
    }

    fn failed_in_a_step(project: &str) -> TaskEnd {
        let result = TaskResult::Failed { reason: "it died".to_owned(), has_begun: true };
        TaskEnd { project: Some(project.to_owned()), ..end(result) }
    }

    fn after(ends: &[TaskEnd]) -> Failures {
        let mut failures = Failures::default();
        ends.iter().for_each(|end| failures.note(NOW, 0, end));
        failures
    }

    fn holds(failures: &Failures) -> bool {
        !failures.permits(0, 0)
    }

    #[test]
    fn three_in_a_row_hold_their_class_and_no_other() {
        assert!(!holds(&after(&[failed(), failed()])));
        let failures = after(&[failed(), failed(), failed()]);
        assert!(holds(&failures) && failures.permits(1, 0));
        let (class, reason) = failures.holds().next().unwrap();
        assert_eq!(class, 0);
        assert!(reason.contains("3 tasks") && reason.contains("the disk is broken"), "{reason}");
        let worked = end(TaskResult::Worked);
        assert!(!holds(&after(&[failed(), failed(), worked, failed(), failed()])));
        let neutral = end(TaskResult::Neutral);
        assert!(holds(&after(&[failed(), neutral.clone(), failed(), neutral, failed()])));
    }

    #[test]
    fn one_projects_own_steps_hold_nothing_and_those_of_several_do() {
        let own = failed_in_a_step("acme/app");
        assert!(!holds(&after(&vec![own.clone(); 20])));
        let other = failed_in_a_step("acme/other");
        assert!(holds(&after(&[own.clone(), other, own.clone()])));
        let late = TaskEnd { took: Some(Duration::from_secs(3600)), ..own.clone() };
        assert!(!holds(&after(&[failed(), failed(), late])));
        assert!(holds(&after(&[failed(), failed(), own])));
    }

    #[test]
    fn one_slot_tries_when_the_time_has_come_and_success_lifts_the_hold() {
        let mut failures = after(&[failed(), failed(), failed()]);
        let at = failures.next_wakeup().unwrap();
        assert_eq!(at, NOW.after(FIRST_TRY_INTERVAL));
        failures.pass_time(at);
        assert_eq!(failures.next_wakeup(), None, "nothing is waited for that is due");
        assert!(failures.permits(0, 0) && failures.permits(0, 1));
        failures.begin_claim(0, 1);
        assert!(failures.permits(0, 1) && !failures.permits(0, 0));
        failures.release(|slot| slot == 1);
        assert!(!failures.permits(0, 0));
        failures.release(|_| false);
        assert!(failures.permits(0, 0), "its claim was dropped");
        failures.begin_claim(0, 0);
        failures.note(at, 0, &end(TaskResult::Worked));
        assert!(!holds(&failures) && failures.holds().next().is_none());
    }

    #[test]
    fn each_try_that_fails_is_followed_by_a_longer_pause_up_to_a_limit() {
        let mut failures = after(&[failed(), failed(), failed()]);
        let mut now = NOW;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let at = failures.next_wakeup().unwrap();
            pauses.push(at.since(now));
            now = at;
            failures.pass_time(now);
            failures.begin_claim(0, 0);
            failures.note(now, 0, &failed());
        }
        assert!(pauses.is_sorted() && pauses[0] == FIRST_TRY_INTERVAL, "{pauses:?}");
        assert_eq!(*pauses.last().unwrap(), MAX_TRY_INTERVAL);
        failures.clear();
        assert!(!holds(&failures));
    }

    #[test]
    fn failures_of_tasks_that_ran_when_the_class_was_held_put_no_try_off() {
        let mut failures = after(&[failed(), failed(), failed()]);
        let at = failures.next_wakeup();
        failures.note(NOW.after(Duration::from_secs(60)), 0, &failed());
        assert_eq!(failures.next_wakeup(), at);
    }
}
