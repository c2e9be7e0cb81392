//! Wake-ups of one commit or of several: sent to those who wait here, and told to the other servers
//! of the database. Pure but for the list of what is yet to be told.
//!
//! A message is text: the id of its server, then a line for each wake-up. A line of a kind that a
//! server does not know is passed over, so that newer servers can tell more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Longest message, in bytes. PostgreSQL takes less than 8,000.
const MAX_MESSAGE_BYTES: usize = 7_000;

/// Wake-ups, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wakes {
    /// Runners that get no task for a moment: class and name. They come before all others.
    pub(crate) rests: BTreeSet<(String, String)>,
    /// Number of tasks that were put into the line of each class.
    pub(crate) lines: BTreeMap<String, u32>,
    /// Classes of which all waiting claims are to look.
    pub(crate) classes: BTreeSet<String>,
    /// Pipelines that changed.
    pub(crate) pipelines: BTreeSet<String>,
    /// Tasks that are to be canceled, or whose claim ended.
    pub(crate) tasks: BTreeSet<String>,
    /// Accounts whose roles or tokens changed.
    pub(crate) people: BTreeSet<String>,
    /// There is one more lease to watch. Not told to others: each server watches them all.
    pub(crate) has_lease: bool,
    /// There is a state to send to a host. Not told to others: this server sends it.
    pub(crate) has_status: bool,
    /// There is a message to deliver. Not told to others: this server delivers it.
    pub(crate) has_message: bool,
}

impl Wakes {
    /// Adds a number of tasks to the line of a class.
    pub(crate) fn add_to_line(&mut self, class: &str, tasks: u32) {
        let queued = self.lines.entry(class.to_owned()).or_default();
        *queued = queued.saturating_add(tasks);
    }

    fn merge(&mut self, other: Self) {
        self.rests.extend(other.rests);
        for (class, tasks) in other.lines {
            self.add_to_line(&class, tasks);
        }
        self.classes.extend(other.classes);
        self.pipelines.extend(other.pipelines);
        self.tasks.extend(other.tasks);
        self.people.extend(other.people);
    }

    /// Returns the messages that tell them, of a server of this id.
    pub(crate) fn to_messages(&self, server: &str) -> Vec<String> {
        let rests = self.rests.iter().map(|(class, runner)| format!("rest {class} {runner}"));
        let lines = self.lines.iter().map(|(class, tasks)| format!("line {tasks} {class}"));
        let classes = self.classes.iter().map(|class| format!("class {class}"));
        let pipelines = self.pipelines.iter().map(|id| format!("pipeline {id}"));
        let tasks = self.tasks.iter().map(|id| format!("task {id}"));
        let people = self.people.iter().map(|id| format!("person {id}"));
        let mut messages = Vec::new();
        let mut message = server.to_owned();
        let all = rests.chain(lines).chain(classes).chain(pipelines).chain(tasks).chain(people);
        for line in all {
            // A server reads by lines, so a name with a line's end would say something else.
            if line.contains('\n') || server.len() + 1 + line.len() > MAX_MESSAGE_BYTES {
                continue;
            }
            if message.len() + 1 + line.len() > MAX_MESSAGE_BYTES {
                messages.push(std::mem::replace(&mut message, server.to_owned()));
            }
            message.push('\n');
            message.push_str(&line);
        }
        messages.push(message);
        messages
    }

    /// Reads a message. Returns the id of its server with what it says.
    pub(crate) fn from_message(message: &str) -> (&str, Self) {
        let mut lines = message.split('\n');
        let server = lines.next().unwrap_or_default();
        let mut wakes = Self::default();
        for line in lines {
            let Some((kind, rest)) = line.split_once(' ') else { continue };
            match (kind, rest.split_once(' ')) {
                ("rest", Some((class, runner))) => {
                    wakes.rests.insert((class.to_owned(), runner.to_owned()));
                }
                ("line", Some((tasks, class))) => {
                    wakes.add_to_line(class, tasks.parse().unwrap_or(1));
                }
                ("class", _) => {
                    wakes.classes.insert(rest.to_owned());
                }
                ("pipeline", _) => {
                    wakes.pipelines.insert(rest.to_owned());
                }
                ("task", _) => {
                    wakes.tasks.insert(rest.to_owned());
                }
                ("person", _) => {
                    wakes.people.insert(rest.to_owned());
                }
                _ => {}
            }
        }
        (server, wakes)
    }
}

/// Wake-ups that the other servers are yet to be told. Empty as long as there are none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outbox(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// There are other servers.
    has_others: AtomicBool,
    pending: Mutex<Wakes>,
    added: Notify,
}

impl Outbox {
    /// Notes whether there are other servers.
    pub(crate) fn set_has_others(&self, has_others: bool) {
        self.0.has_others.store(has_others, Ordering::Relaxed);
    }

    /// Returns true where there are other servers, as far as is known.
    pub(crate) fn has_others(&self) -> bool {
        self.0.has_others.load(Ordering::Relaxed)
    }

    /// Adds what the others are to be told.
    pub(crate) fn add(&self, wakes: Wakes) {
        if self.has_others() {
            self.0.pending.lock().unwrap_or_else(PoisonError::into_inner).merge(wakes);
            self.0.added.notify_one();
        }
    }

    /// Waits until there is something to tell, and takes all of it.
    pub(crate) async fn take(&self) -> Wakes {
        loop {
            let wakes =
                std::mem::take(&mut *self.0.pending.lock().unwrap_or_else(PoisonError::into_inner));
            if wakes != Wakes::default() {
                return wakes;
            }
            self.0.added.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::{MAX_MESSAGE_BYTES, Outbox, Wakes};

    fn some() -> Wakes {
        Wakes {
            rests: [("a/b".to_owned(), "mini (1) x".to_owned())].into(),
            lines: [("a/b".to_owned(), 3), ("c/d".to_owned(), 1)].into(),
            classes: ["a/b".to_owned()].into(),
            pipelines: ["p".to_owned()].into(),
            tasks: ["t".to_owned()].into(),
            people: ["u".to_owned()].into(),
            has_lease: false,
            has_message: false,
            has_status: false,
        }
    }

    #[test]
    fn another_server_reads_what_one_tells_and_passes_over_what_it_does_not_know() {
        let messages = some().to_messages("me");
        assert_eq!(messages.len(), 1);
        assert_eq!(Wakes::from_message(&messages[0]), ("me", some()));
        let newer = format!("{}\nlater a b c\nodd\n", messages[0]);
        assert_eq!(Wakes::from_message(&newer), ("me", some()));
        assert_eq!(Wakes::from_message(""), ("", Wakes::default()));
        assert_eq!(Wakes::default().to_messages("me"), ["me"]);
    }

    #[test]
    fn many_wake_ups_are_told_in_messages_that_postgresql_takes() {
        let mut wakes = Wakes::default();
        wakes.pipelines.extend((0..2000).map(|number| format!("pipeline-{number}")));
        wakes.pipelines.extend(["x".repeat(MAX_MESSAGE_BYTES), "a\nclass b/c".to_owned()]);
        let messages = wakes.to_messages("me");
        assert!(messages.len() > 1);
        assert!(messages.iter().all(|message| message.len() <= MAX_MESSAGE_BYTES));
        let mut told = Wakes::default();
        for message in &messages {
            told.merge(Wakes::from_message(message).1);
        }
        assert_eq!(told.pipelines.len(), 2000);
        assert!(told.classes.is_empty());
    }

    #[test]
    fn what_is_told_is_gathered_while_there_are_others_and_nothing_is_kept_where_there_are_none() {
        let outbox = Outbox::default();
        outbox.add(some());
        assert!(outbox.take().now_or_never().is_none());
        outbox.set_has_others(true);
        outbox.add(some());
        outbox.add(some());
        let taken = outbox.take().now_or_never().unwrap();
        assert_eq!((taken.lines["a/b"], taken.tasks.len()), (6, 1));
        assert!(outbox.take().now_or_never().is_none());
    }
}
