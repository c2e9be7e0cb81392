//! Wake-ups inside the process: who waits for a queue, a pipeline or a task to change sleeps
//! until a commit changed it, and is never woken by the passing of time. Commits of other servers are
//! told to this one (`crate::servers`).
//!
//! A signal carries nothing: whoever is woken reads the store. One subscribes first and reads
//! then, so that what is committed between the two is not slept through.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, watch};

use crate::waiting_claims::Lines;
use crate::wakes::{Outbox, Wakes};

type Senders = Mutex<HashMap<String, watch::Sender<u64>>>;

/// Signals of one kind, by name. Names that nobody waits for take no memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signals(Arc<Senders>);

/// One who waits.
#[derive(Debug)]
pub(crate) struct Subscription {
    senders: Arc<Senders>,
    name: String,
    receiver: watch::Receiver<u64>,
}

impl Signals {
    /// Starts to listen: every [`Signals::wake`] from now on ends the next
    /// [`Subscription::changed`].
    pub(crate) fn subscribe(&self, name: &str) -> Subscription {
        let mut senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver =
            senders.entry(name.to_owned()).or_insert_with(|| watch::channel(0).0).subscribe();
        Subscription { senders: Arc::clone(&self.0), name: name.to_owned(), receiver }
    }

    /// Returns the names that somebody waits for.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Wakes everybody who waits for `name`.
    pub(crate) fn wake(&self, name: &str) {
        let senders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = senders.get(name) {
            sender.send_modify(|count| *count = count.wrapping_add(1));
        }
    }
}

impl Subscription {
    /// Waits for the next wake-up; returns at once if there was one since the last return.
    pub(crate) async fn changed(&mut self) {
        if self.receiver.changed().await.is_err() {
            // The sender lives in the map as long as a subscription does.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        // The lock keeps others from subscribing meanwhile; this one still counts.
        if senders.get(&self.name).is_some_and(|sender| sender.receiver_count() <= 1) {
            senders.remove(&self.name);
        }
    }
}

/// Name under which a server says that it granted a lease.
pub(crate) const GRANTED: &str = "granted";

/// Name under which it says that others may have granted one, which may be shorter than its own.
pub(crate) const MAYBE_GRANTED: &str = "maybe";

/// Name under which a server says that a message is to be delivered.
pub(crate) const TO_DELIVER: &str = "deliver";

/// All signals of a server.
#[derive(Clone, Debug)]
pub(crate) struct Bus {
    /// Waiting claims by resource class: a task was queued, or a token was revoked.
    pub(crate) lines: Lines,
    /// By pipeline: something a reader can see changed.
    pub(crate) pipelines: Signals,
    /// By task: it is to be canceled, or its claim ended.
    pub(crate) tasks: Signals,
    /// By account: its roles or tokens changed.
    pub(crate) people: Signals,
    /// Two names: [`GRANTED`], where a lease was granted here, and [`MAYBE_GRANTED`].
    pub(crate) leases: Signals,
    /// One name, [`TO_DELIVER`]: there is a message for people's tools.
    pub(crate) messages: Signals,
    /// Wakes the one who sends states to hosts.
    pub(crate) statuses: Arc<Notify>,
    /// Wake-ups that other servers are to be told.
    pub(crate) outbox: Outbox,
}

impl Default for Bus {
    fn default() -> Self {
        let outbox = Outbox::default();
        Self {
            lines: Lines::new(outbox.clone()),
            pipelines: Signals::default(),
            tasks: Signals::default(),
            people: Signals::default(),
            leases: Signals::default(),
            messages: Signals::default(),
            statuses: Arc::default(),
            outbox,
        }
    }
}

impl Bus {
    /// Wakes those who wait here. Returns what the others are to be told: all but what somebody here
    /// sees to.
    pub(crate) fn send(&self, mut wakes: Wakes) -> Wakes {
        wakes.lines.retain(|class, tasks| {
            *tasks = self.lines.wake(class, *tasks);
            *tasks > 0
        });
        wakes.classes.iter().for_each(|class| self.lines.wake_all(class));
        wakes.pipelines.iter().for_each(|id| self.pipelines.wake(id));
        wakes.tasks.iter().for_each(|id| self.tasks.wake(id));
        wakes.people.iter().for_each(|id| self.people.wake(id));
        if wakes.has_lease {
            self.leases.wake(GRANTED);
        }
        if wakes.has_message {
            self.messages.wake(TO_DELIVER);
        }
        if wakes.has_status {
            self.statuses.notify_one();
        }
        wakes
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::Signals;

    #[test]
    fn a_wake_up_between_subscribing_and_waiting_is_not_lost() {
        let signals = Signals::default();
        let mut waiter = signals.subscribe("a");
        assert!(waiter.changed().now_or_never().is_none());
        signals.wake("b");
        assert!(waiter.changed().now_or_never().is_none());
        signals.wake("a");
        assert!(waiter.changed().now_or_never().is_some());
        assert!(waiter.changed().now_or_never().is_none());
    }

    #[test]
    fn names_that_nobody_waits_for_are_forgotten() {
        let signals = Signals::default();
        let first = signals.subscribe("a");
        let second = signals.subscribe("a");
        drop(first);
        assert_eq!(signals.0.lock().unwrap().len(), 1);
        drop(second);
        assert!(signals.0.lock().unwrap().is_empty());
    }
}
