//! Write transactions.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::conn::{Conn, Link};
use super::sql::query;
use super::{Store, StoreError, audit_events};
use crate::clock::Clock;
use crate::meters::{StoreMeters, Tally};
use crate::pending_event::{self, Pending};
use crate::signals::Bus;
use crate::trace_events::{Ended, EndedSink};
use crate::wakes::Wakes;

/// A transaction; dropped, nothing has happened. On SQLite it has the database for itself until it
/// is committed or dropped. On PostgreSQL there are several at a time, and it locks what it goes by
/// (`locks.rs`).
#[derive(Debug)]
pub(crate) struct WriteTx {
    conn: Conn,
    rev: i64,
    /// Time of the database at the begin, where leases go by its clock, in milliseconds.
    began_ms: Option<i64>,
    bus: Bus,
    wakes: Wakes,
    meters: Arc<StoreMeters>,
    tally: Tally,
    traces: Option<EndedSink>,
    ended: Vec<Ended>,
}

impl WriteTx {
    pub(super) async fn begin(store: &Store) -> Result<Self, StoreError> {
        let (bus, wakes) = (store.bus.clone(), Wakes::default());
        let (link, rev, began_ms, has_clock) = match &store.backend {
            super::Backend::Sqlite(sqlite) => {
                let writer = sqlite.begin().await?;
                let rev = writer.next_rev();
                (Link::SqliteWriter(writer), rev, None, false)
            }
            super::Backend::Postgres(postgres) => {
                let begun = postgres.begin().await?;
                let has_clock = postgres.has_clock();
                let began_ms = has_clock.then_some(begun.now_ms);
                (Link::PostgresTx(begun.tx), begun.number, began_ms, has_clock)
            }
        };
        let (meters, tally) = (Arc::clone(&store.meters), Tally::default());
        let (traces, ended) = (store.traces.get().cloned(), Vec::new());
        let conn = Conn { link, has_clock };
        Ok(Self { conn, rev, began_ms, bus, wakes, meters, tally, traces, ended })
    }

    /// Number of this commit, which what is changed is marked with. [`Conn::horizon`] says what a
    /// reader who has seen it may have missed.
    pub(crate) fn rev(&self) -> i64 {
        self.rev
    }

    /// Returns the time at the begin of this transaction by the clock that leases go by, in
    /// milliseconds.
    pub(crate) fn lease_ms(&self, clock: &dyn Clock) -> i64 {
        self.began_ms.unwrap_or_else(|| clock.steady_ms())
    }

    /// The next place in the line. One that is not used in the end does no harm.
    pub(crate) async fn next_in_line(&mut self) -> Result<i64, StoreError> {
        if let Link::SqliteWriter(writer) = &mut self.conn.link {
            return Ok(writer.next_in_line());
        }
        let row = query(super::postgres::NEXT_IN_LINE).fetch_one(&mut self.conn).await?;
        Ok(row.try_get("place")?)
    }

    /// Once committed, wakes a waiting claim of a class for each of so many tasks.
    pub(crate) fn wake_line(&mut self, class: &str, tasks: u32) {
        self.wakes.add_to_line(class, tasks);
    }

    /// Once committed, wakes all waiting claims of a class.
    pub(crate) fn wake_class(&mut self, class: &str) {
        self.wakes.classes.insert(class.to_owned());
    }

    /// Once committed, wakes those who watch a pipeline.
    pub(crate) fn wake_pipeline(&mut self, pipeline: &str) {
        self.wakes.pipelines.insert(pipeline.to_owned());
    }

    /// Once committed, wakes a heartbeat that waits for news of a task.
    pub(crate) fn wake_task(&mut self, task: &str) {
        self.wakes.tasks.insert(task.to_owned());
    }

    /// Once committed, has calls that wait with a token of an account look if they still may.
    pub(crate) fn wake_person(&mut self, user: &str) {
        self.wakes.people.insert(user.to_owned());
    }

    /// Once committed, wakes the one who watches the leases.
    pub(crate) fn wake_leases(&mut self) {
        self.wakes.has_lease = true;
    }

    /// Once committed, wakes the one who delivers messages.
    pub(crate) fn wake_messages(&mut self) {
        self.wakes.has_message = true;
    }

    /// Once committed, wakes the one who sends states to hosts.
    pub(crate) fn wake_statuses(&mut self) {
        self.wakes.has_status = true;
    }

    /// Once committed, tells the other servers that a runner rests.
    pub(crate) fn tell_rest(&mut self, class: &str, runner: &str) {
        self.wakes.rests.insert((class.to_owned(), runner.to_owned()));
    }

    /// Once committed, what is noted here is counted.
    pub(crate) fn tally(&mut self) -> &mut Tally {
        &mut self.tally
    }

    /// Once committed, tells those who make traces, if any, that something has ended.
    pub(crate) fn note_ended(&mut self, ended: impl FnOnce() -> Ended) {
        if self.traces.is_some() {
            self.ended.push(ended());
        }
    }

    /// Makes it all true, then sends the signals.
    ///
    /// In a task of its own: a caller whose connection is cut in the middle goes away, and what
    /// was committed without its signals would leave others waiting for ever.
    pub(crate) async fn commit(mut self) -> Result<(), StoreError> {
        // The change and its place in the audit log are there together or not at all.
        let pending = pending_event::current();
        let event = pending.as_ref().and_then(Pending::take);
        if let Some(event) = &event {
            audit_events::insert(&mut self, event).await?;
        }
        let done = tokio::spawn(self.finish()).await.map_err(|_| StoreError::Stopping);
        let done = done.and_then(|done| done);
        if let (Err(_), Some(pending), Some(event)) = (&done, pending, event) {
            pending.put_back(event);
        }
        done
    }

    async fn finish(self) -> Result<(), StoreError> {
        let Self { conn, bus, wakes, meters, tally, traces, ended, .. } = self;
        match conn.link {
            Link::SqliteWriter(mut writer) => writer.commit().await?,
            Link::PostgresTx(tx) => tx.commit().await.map_err(StoreError::of_commit)?,
            Link::SqliteReader(_) | Link::PostgresReader(_) => {}
        }
        meters.count(&tally);
        if let Some(traces) = traces {
            ended.into_iter().for_each(|ended| traces.tell(ended));
        }
        let for_others = bus.send(wakes);
        bus.outbox.add(for_others);
        Ok(())
    }

    /// Takes everything back at once. A transaction that is merely dropped is taken back by the
    /// next one to begin.
    pub(crate) async fn rollback(self) -> Result<(), StoreError> {
        match self.conn.link {
            Link::SqliteWriter(mut writer) => writer.roll_back().await,
            Link::PostgresTx(tx) => Ok(tx.rollback().await?),
            Link::SqliteReader(_) | Link::PostgresReader(_) => Ok(()),
        }
    }
}

impl Deref for WriteTx {
    type Target = Conn;

    fn deref(&self) -> &Conn {
        &self.conn
    }
}

impl DerefMut for WriteTx {
    fn deref_mut(&mut self) -> &mut Conn {
        &mut self.conn
    }
}
