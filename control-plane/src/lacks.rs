//! Lacks: limits, and parts that are away, for which calls are put off. Each is counted for metrics, and
//! logged now and then with its name: a farm at a limit makes thousands of such calls.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time between two log lines about the same lack.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Something of which there is too little for a call at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// Places for connections.
    Connections,
    /// File descriptors of the process or of the system.
    Descriptors,
    /// Calls of a token or an address at the same time.
    Calls,
    /// Memory for bodies.
    Bodies,
    /// The turn to write to SQLite.
    Writer,
    /// Connections to the database.
    DatabaseConnections,
    /// The database itself: a connection broke, or it takes none.
    Database,
    /// Transactions that are in nobody's way.
    Contention,
    /// The bucket of the objects.
    Objects,
    /// Large uploads to a bucket at the same time.
    Uploads,
    /// Room on the disk of the data directory.
    Disk,
}

impl Lack {
    pub(crate) const ALL: [Self; 11] = [
        Self::Connections,
        Self::Descriptors,
        Self::Calls,
        Self::Bodies,
        Self::Writer,
        Self::DatabaseConnections,
        Self::Database,
        Self::Contention,
        Self::Objects,
        Self::Uploads,
        Self::Disk,
    ];

    /// Name in metrics and in the log.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Descriptors => "descriptors",
            Self::Calls => "calls",
            Self::Bodies => "bodies",
            Self::Writer => "database_writer",
            Self::DatabaseConnections => "database_connections",
            Self::Database => "database",
            Self::Contention => "contention",
            Self::Objects => "object_store",
            Self::Uploads => "uploads",
            Self::Disk => "disk",
        }
    }

    /// Description for people, with what to do.
    fn words(self) -> &'static str {
        match self {
            Self::Connections => {
                "all places for connections are taken by callers with tokens; a server more, or more \
                 open files, would give places"
            }
            Self::Descriptors => {
                "there are no file descriptors left; raise the limit of open files of the server \
                 (`ulimit -n`, `LimitNOFILE=`)"
            }
            Self::Calls => "one token or address has too many calls at the same time",
            Self::Bodies => "the memory for bodies is taken",
            Self::Writer => {
                "the turn to write to the database did not come in time: the disk is slow, or another \
                 program has the database open"
            }
            Self::DatabaseConnections => "no connection to the database came free in time",
            Self::Database => "the connection to the database broke, or it takes none",
            Self::Contention => "transactions were in each other's way again and again",
            Self::Objects => "the bucket of the objects does not answer",
            Self::Uploads => "too many large uploads to the bucket at the same time",
            Self::Disk => "the disk of the data directory is full",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

#[derive(Debug, Default)]
struct Count {
    all: AtomicU64,
    log: Mutex<LogState>,
}

#[derive(Debug, Default)]
struct LogState {
    last: Option<Instant>,
    /// Calls since the last line.
    untold: u64,
}

/// Number of calls that were put off, by lack.
#[derive(Debug, Default)]
pub(crate) struct Lacks([Count; Lack::ALL.len()]);

impl Lacks {
    /// Counts a call that is put off, and says in the log which lack it is for.
    pub(crate) fn note(&self, lack: Lack) {
        let Some(count) = self.0.get(lack.index()) else { return };
        count.all.fetch_add(1, Ordering::Relaxed);
        let mut log = count.log.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(calls) = log.count(Instant::now()) {
            drop(log);
            tracing::warn!(limit = lack.as_str(), calls, "calls are put off: {}", lack.words());
        }
    }

    /// Returns how many calls were put off for a lack.
    pub(crate) fn count(&self, lack: Lack) -> u64 {
        self.0.get(lack.index()).map_or(0, |count| count.all.load(Ordering::Relaxed))
    }
}

impl LogState {
    /// Counts a call. Returns the number of calls that a line is to tell of now, if one is due.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        let is_due =
            self.last.is_none_or(|last| now.saturating_duration_since(last) >= LOG_INTERVAL);
        if !is_due {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_lack_is_counted_by_itself_and_logged_now_and_then() {
        for (index, lack) in Lack::ALL.into_iter().enumerate() {
            assert_eq!(lack.index(), index);
        }
        let lacks = Lacks::default();
        lacks.note(Lack::Writer);
        lacks.note(Lack::Writer);
        assert_eq!((lacks.count(Lack::Writer), lacks.count(Lack::Disk)), (2, 0));
        let (mut log, now) = (LogState::default(), Instant::now());
        let told: Vec<_> =
            [0, 1, 9, 10, 11].map(|s| log.count(now + Duration::from_secs(s))).into();
        assert_eq!(told, [Some(1), None, None, Some(3), None]);
    }
}
