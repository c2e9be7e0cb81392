//! Write transactions.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};

use super::conn::{Conn, Link};
use super::sql::query;
use super::{Store, StoreError};
use crate::clock::Clock;
use crate::signals::Bus;

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
    wake: BTreeSet<Wake>,
    /// Number of tasks that were put into the line of each class.
    queued: BTreeMap<String, u32>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    Class(String),
    Pipeline(String),
    Task(String),
    Leases,
}

impl WriteTx {
    pub(super) async fn begin(store: &Store) -> Result<Self, StoreError> {
        let (bus, wake) = (store.bus.clone(), BTreeSet::new());
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
        let queued = BTreeMap::new();
        Ok(Self { conn: Conn { link, has_clock }, rev, began_ms, bus, wake, queued })
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
        let queued = self.queued.entry(class.to_owned()).or_default();
        *queued = queued.saturating_add(tasks);
    }

    /// Once committed, wakes all waiting claims of a class.
    pub(crate) fn wake_class(&mut self, class: &str) {
        self.wake(Wake::Class(class.to_owned()));
    }

    /// Once committed, wakes those who watch a pipeline.
    pub(crate) fn wake_pipeline(&mut self, pipeline: &str) {
        self.wake(Wake::Pipeline(pipeline.to_owned()));
    }

    /// Once committed, wakes a heartbeat that waits for news of a task.
    pub(crate) fn wake_task(&mut self, task: &str) {
        self.wake(Wake::Task(task.to_owned()));
    }

    /// Once committed, wakes the one who watches the leases.
    pub(crate) fn wake_leases(&mut self) {
        self.wake(Wake::Leases);
    }

    fn wake(&mut self, wake: Wake) {
        self.wake.insert(wake);
    }

    /// Makes it all true, then sends the signals.
    ///
    /// In a task of its own: a caller whose connection is cut in the middle goes away, and what
    /// was committed without its signals would leave others waiting for ever.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        tokio::spawn(self.finish()).await.map_err(|_| StoreError::Stopping)?
    }

    async fn finish(self) -> Result<(), StoreError> {
        let Self { conn, bus, wake, queued, .. } = self;
        match conn.link {
            Link::SqliteWriter(mut writer) => writer.commit().await?,
            Link::PostgresTx(tx) => tx.commit().await?,
            Link::SqliteReader(_) | Link::PostgresReader(_) => {}
        }
        for (class, tasks) in queued {
            bus.lines.wake(&class, tasks);
        }
        for wake in wake {
            match wake {
                Wake::Class(name) => bus.lines.wake_all(&name),
                Wake::Pipeline(name) => bus.pipelines.wake(&name),
                Wake::Task(name) => bus.tasks.wake(&name),
                Wake::Leases => bus.leases.wake(""),
            }
        }
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
