//! Claims that wait, in the line of their class: one is woken for each task, not all of them.
//!
//! A wake says that a task may be there. It belongs to one claim until that claim has looked; one
//! that goes away before, or may not take a task, passes it on to the next. One that has looked and
//! found nothing keeps it: whoever took the task looked too. So each task costs one look, and one
//! more for each claim that left with a wake; no wake goes round.
//!
//! Where several servers use one database, a task that wakes nobody here is told to the others, and
//! each wakes one of its own: a task costs one look of each other server at most, and none where a
//! claim waits at the server that queued it. A wake that came from another server goes back to the
//! others only when its claim left with it, and each time one claim fewer waits.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::wakes::{Outbox, Wakes};

/// The lines of all classes. Those in which nobody stands take no memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    lines: Arc<Mutex<HashMap<String, Line>>>,
    outbox: Outbox,
}

/// Claims that a wake may go to, the one that has waited longest first.
type Line = VecDeque<Arc<Waiter>>;

#[derive(Debug, Default)]
struct Waiter {
    state: Mutex<State>,
    notify: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// It was woken and has not looked since.
    is_woken: bool,
    /// It stands in the line.
    is_in_line: bool,
}

impl Waiter {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// Makes lines whose wakes that nobody here can have are told by way of `outbox`.
    pub(crate) fn new(outbox: Outbox) -> Self {
        Self { lines: Arc::default(), outbox }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stands in the line of a class. Whoever does looks at the queue afterwards: what was queued
    /// before wakes nobody any more.
    pub(crate) fn stand(&self, class: &str) -> Place {
        let place = Place {
            lines: self.clone(),
            class: class.to_owned(),
            waiter: Arc::default(),
            is_owing: false,
        };
        place.step_in();
        place
    }

    /// Returns the classes that claims wait for.
    pub(crate) fn classes(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Returns how many claims wait, by class.
    pub(crate) fn counts(&self) -> Vec<(String, usize)> {
        self.lock().iter().map(|(class, line)| (class.clone(), line.len())).collect()
    }

    /// Wakes as many of those who wait for a class as there are new tasks. Returns for how many there
    /// was nobody.
    pub(crate) fn wake(&self, class: &str, tasks: u32) -> u32 {
        let mut lines = self.lock();
        let mut left = tasks;
        while left > 0 {
            let Some(waiter) = lines.get_mut(class).and_then(VecDeque::pop_front) else { break };
            left -= 1;
            let mut state = waiter.state();
            (state.is_in_line, state.is_woken) = (false, true);
            drop(state);
            waiter.notify.notify_one();
        }
        if lines.get(class).is_some_and(VecDeque::is_empty) {
            lines.remove(class);
        }
        left
    }

    /// Wakes all who wait for a class: something happened that each of them has to know.
    pub(crate) fn wake_all(&self, class: &str) {
        let number = self.lock().get(class).map_or(0, VecDeque::len);
        self.wake(class, u32::try_from(number).unwrap_or(u32::MAX));
    }
}

/// A claim's place in a line.
#[derive(Debug)]
pub(crate) struct Place {
    lines: Lines,
    class: String,
    waiter: Arc<Waiter>,
    /// It looks because it was woken, and has not finished.
    is_owing: bool,
}

impl Place {
    /// Waits until it is woken; returns at once if it was since its last look began.
    pub(crate) async fn woken(&self) {
        while !self.waiter.state().is_woken {
            self.waiter.notify.notified().await;
        }
    }

    /// Begins to look at the queue. What is queued from now on may wake it again.
    pub(crate) fn begin_look(&mut self) {
        self.is_owing |= std::mem::take(&mut self.waiter.state().is_woken);
        self.step_in();
    }

    /// Notes that it has looked: it takes a task, or there was none.
    pub(crate) fn end_look(&mut self) {
        self.is_owing = false;
    }

    /// Lets others have what is queued, until it looks again.
    pub(crate) fn step_aside(&mut self) {
        let mut lines = self.lines.lock();
        let mut state = self.waiter.state();
        if std::mem::take(&mut state.is_in_line)
            && let Some(line) = lines.get_mut(&self.class)
        {
            line.retain(|waiter| !Arc::ptr_eq(waiter, &self.waiter));
            if line.is_empty() {
                lines.remove(&self.class);
            }
        }
        let is_owing = std::mem::take(&mut state.is_woken) | std::mem::take(&mut self.is_owing);
        drop((state, lines));
        if is_owing && self.lines.wake(&self.class, 1) > 0 {
            let mut wakes = Wakes::default();
            wakes.add_to_line(&self.class, 1);
            self.lines.outbox.add(wakes);
        }
    }

    fn step_in(&self) {
        let mut lines = self.lines.lock();
        if !std::mem::replace(&mut self.waiter.state().is_in_line, true) {
            lines.entry(self.class.clone()).or_default().push_back(Arc::clone(&self.waiter));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.step_aside();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::{Lines, Place};
    use crate::wakes::Outbox;

    fn is_woken(place: &Place) -> bool {
        place.woken().now_or_never().is_some()
    }

    /// Claims that wait, after their first look.
    fn waiting(lines: &Lines, number: usize) -> Vec<Place> {
        let stand = |_| {
            let mut place = lines.stand("a/b");
            place.begin_look();
            place.end_look();
            place
        };
        (0..number).map(stand).collect()
    }

    fn count_woken(places: &[Place]) -> usize {
        places.iter().filter(|place| is_woken(place)).count()
    }

    #[test]
    fn a_task_wakes_one_of_two_thousand_and_the_one_that_waited_longest() {
        let lines = Lines::default();
        let places = waiting(&lines, 2000);
        lines.wake("a/b", 1);
        lines.wake("c/d", 1);
        assert_eq!(count_woken(&places), 1);
        assert!(is_woken(&places[0]));
        lines.wake("a/b", 19);
        assert_eq!(count_woken(&places), 20);
        lines.wake_all("a/b");
        assert_eq!(count_woken(&places), 2000);
    }

    #[test]
    fn a_claim_that_leaves_or_rests_with_a_wake_passes_it_on_once() {
        let lines = Lines::default();
        let mut places = waiting(&lines, 4);
        lines.wake("a/b", 1);
        drop(places.remove(0));
        assert!(is_woken(&places[0]), "the first went away before it looked");
        places[0].begin_look();
        drop(places.remove(0));
        assert!(is_woken(&places[0]), "the second went away while it looked");
        places[0].step_aside();
        assert!(!is_woken(&places[0]) && is_woken(&places[1]), "the third may not take it");
        places[1].begin_look();
        places[1].end_look();
        drop(places.remove(1));
        assert_eq!(count_woken(&places), 0, "the last found nothing, and keeps that for itself");
        places[0].begin_look();
        places[0].end_look();
        lines.wake("a/b", 1);
        assert!(is_woken(&places[0]), "it stands in the line again");
    }

    #[test]
    fn a_wake_that_nobody_here_can_have_any_more_is_told_to_the_other_servers() {
        let outbox = Outbox::default();
        outbox.set_has_others(true);
        let lines = Lines::new(outbox.clone());
        let mut places = waiting(&lines, 2);
        assert_eq!(lines.wake("a/b", 3), 1, "there was nobody for the third");
        assert_eq!(lines.wake("c/d", 1), 1);
        drop(places.remove(0));
        let told = outbox.take().now_or_never().expect("the first left with its wake");
        assert_eq!(told.lines, [("a/b".to_owned(), 1)].into());
        places[0].begin_look();
        places[0].end_look();
        drop(places);
        assert!(outbox.take().now_or_never().is_none(), "the second had looked");
    }

    #[test]
    fn a_wake_during_a_look_is_of_another_task() {
        let lines = Lines::default();
        let mut places = waiting(&lines, 2);
        places[0].begin_look();
        lines.wake("a/b", 2);
        // The first takes what it had found, and goes.
        places[0].end_look();
        assert_eq!(count_woken(&places), 2);
        places[1].begin_look();
        places[1].end_look();
        drop(places.remove(0));
        assert!(is_woken(&places[0]), "the second task is not forgotten");
        drop(places);
        assert!(lines.lock().is_empty());
    }
}
