//! Servers side by side on one database.

use std::sync::Arc;

use russet_control_plane::{ManualClock, Settings};

use crate::support::{Harness, Home, LIMIT};

impl Home {
    /// A place for another server on the same database, with the keys and objects of this one. `None`
    /// where the database is a file of this one.
    pub(crate) fn beside(&self) -> Option<Arc<Self>> {
        let database = self.database.clone()?;
        let temp = tempfile::tempdir().unwrap();
        let data = temp.path().join("data");
        std::fs::create_dir(&data).unwrap();
        for key in ["admin.token", "secrets.key"] {
            std::fs::copy(self.path().join("data").join(key), data.join(key)).unwrap();
        }
        if self.bucket.is_none() {
            let objects = self.path().join("data/objects");
            std::os::unix::fs::symlink(objects, data.join("objects")).unwrap();
        }
        Some(Arc::new(Self { temp, database: Some(database), bucket: self.bucket.clone() }))
    }

    /// Returns what a statement selects on PostgreSQL.
    pub(crate) fn select(&self, statement: &str) -> Option<String> {
        self.database.as_ref().map(|database| database.sql(statement))
    }
}

impl Harness {
    /// Starts one with other settings than the usual.
    pub(crate) async fn start_changed(change: impl FnOnce(&mut Settings)) -> Self {
        Self::start_with(Home::new(), ManualClock::new(), change).await
    }

    /// Starts another server on the same database, with the same clock. `None` on SQLite.
    pub(crate) async fn start_beside(&self, change: impl FnOnce(&mut Settings)) -> Option<Self> {
        Some(Self::start_with(self.dir.beside()?, self.clock.clone(), change).await)
    }

    /// Stops the server.
    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(LIMIT, self.running).await.unwrap().unwrap();
    }
}
