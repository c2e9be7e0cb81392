//! Time since which silence of a runner means something: while no server was there, none could tell
//! anything.
//!
//! Of several servers one that restarts goes on with what the others heard, so a farm whose servers are
//! exchanged one after the other knows all the time which machines are lost.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::store::servers::Presence;

/// Time since which some server has been there without a break.
#[derive(Debug)]
pub(crate) struct Attendance(AtomicI64);

impl Attendance {
    /// Begins with the start of this server, in milliseconds since 1970.
    pub(crate) fn since(start_ms: i64) -> Self {
        Self(AtomicI64::new(start_ms))
    }

    /// Takes over what the servers of a database know.
    pub(crate) fn note(&self, presence: &Presence) {
        self.0.store(presence.since_ms, Ordering::Relaxed);
    }

    /// Returns its beginning, in milliseconds since 1970.
    pub(crate) fn since_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}
