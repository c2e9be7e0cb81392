//! Room of the database: free pages given back little by little, and all of it at once by writing
//! the database anew.
//!
//! A database that was made before free pages could be given back (`auto_vacuum` is set when a
//! database is made) keeps them for new rows until it is written anew, once, while no server uses
//! it: into a file beside it, which takes its place in one step.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;
use sqlx::sqlite::{SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode};
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::{SqliteStore, StoreError, beside};

/// Pages that are given back by one transaction: about a megabyte.
const PAGES_PER_STEP: u32 = 256;

/// Free pages that stay, which the next rows take.
const FREE_PAGES_KEPT: i64 = 1024;

/// `PRAGMA auto_vacuum` of a database that can give pages back.
const INCREMENTAL: i64 = 2;

impl SqliteStore {
    /// Gives some free pages back. Returns true while there are more.
    pub(in super::super) async fn give_back_space(&self) -> Result<bool, StoreError> {
        let mut writer = self.writer.lock().await;
        writer.roll_back_open().await?;
        let conn = writer.conn();
        let mode: i64 = sqlx::query_scalar("PRAGMA auto_vacuum").fetch_one(&mut *conn).await?;
        let free: i64 = sqlx::query_scalar("PRAGMA freelist_count").fetch_one(&mut *conn).await?;
        if mode != INCREMENTAL || free <= FREE_PAGES_KEPT {
            return Ok(false);
        }
        let step = format!("PRAGMA incremental_vacuum({PAGES_PER_STEP})");
        sqlx::query(sqlx::AssertSqlSafe(step)).fetch_all(&mut *conn).await?;
        Ok(true)
    }

    /// Returns the bytes of the database and its log, and those of them that are free.
    pub(in super::super) async fn size(&self) -> Result<(u64, u64), StoreError> {
        let mut writer = self.writer.lock().await;
        writer.roll_back_open().await?;
        let log = std::fs::metadata(&writer.log).map_or(0, |log| log.len());
        let conn = writer.conn();
        let page: i64 = sqlx::query_scalar("PRAGMA page_size").fetch_one(&mut *conn).await?;
        let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut *conn).await?;
        let free: i64 = sqlx::query_scalar("PRAGMA freelist_count").fetch_one(&mut *conn).await?;
        let bytes = |pages: i64| u64::try_from(pages.saturating_mul(page)).unwrap_or(0);
        Ok((bytes(pages) + log, bytes(free)))
    }
}

/// Reason why a database was not written anew. It is as it was.
#[derive(Debug, thiserror::Error)]
pub enum VacuumError {
    /// There is no database.
    #[error("there is no database at {0}")]
    Gone(PathBuf),
    /// The disk has not the room for a second database beside the first.
    #[error("{needed} bytes are needed beside {path}, and {free} are free")]
    NoRoom {
        /// The database.
        path: PathBuf,
        /// Bytes of the new database, at most.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// A file could not be written.
    #[error("cannot write {0}")]
    Io(PathBuf, #[source] std::io::Error),
}

/// Sizes of a database that was written anew, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vacuumed {
    /// Size before.
    pub before: u64,
    /// Size now.
    pub after: u64,
}

/// Writes the database at `path` anew, without free pages, and so that later ones can be given
/// back. Nobody else may use it.
pub(crate) async fn vacuum_database(path: &Path) -> Result<Vacuumed, VacuumError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |error| VacuumError::Io(path, error)
    };
    if !path.exists() {
        return Err(VacuumError::Gone(path.to_owned()));
    }
    let draft = beside(path, ".vacuum");
    // Left by one that was cut off.
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io(&draft)(error));
        }
        _ => {}
    }
    let mut conn = SqliteConnectOptions::new()
        .filename(path)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .disable_statement_logging()
        .connect()
        .await?;
    // The log goes into the database first: it must not be taken for that of the new one.
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut conn).await?;
    let before = std::fs::metadata(path).map_err(io(path))?.len();
    check_room(&mut conn, path).await?;
    // Made first, so that it is its owner's alone from the beginning.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
    drop(made.map_err(io(&draft))?);
    sqlx::query("VACUUM INTO $1").bind(draft.display().to_string()).execute(&mut conn).await?;
    conn.close().await?;
    let new = File::open(&draft).map_err(io(&draft))?;
    new.sync_all().map_err(io(&draft))?;
    for suffix in ["-wal", "-shm"] {
        let file = beside(path, suffix);
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(io(&file)(error));
            }
            _ => {}
        }
    }
    std::fs::rename(&draft, path).map_err(io(path))?;
    if let Some(parent) = path.parent() {
        File::open(parent).and_then(|dir| dir.sync_all()).map_err(io(parent))?;
    }
    let after = std::fs::metadata(path).map_err(io(path))?.len();
    Ok(Vacuumed { before, after })
}

/// Refuses to begin where the disk has not the room for the pages that are in use, and a tenth more.
async fn check_room(conn: &mut sqlx::SqliteConnection, path: &Path) -> Result<(), VacuumError> {
    let row = sqlx::query(
        "SELECT (p.page_count - f.freelist_count) * s.page_size FROM pragma_page_count AS p, \
         pragma_freelist_count AS f, pragma_page_size AS s",
    )
    .fetch_one(conn)
    .await?;
    let used = u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or(0);
    let needed = used + used / 10;
    let Ok(disk) = statvfs(path.parent().unwrap_or(path)) else { return Ok(()) };
    let free = u128::from(disk.blocks_available()) * u128::from(disk.fragment_size());
    let free = u64::try_from(free).unwrap_or(u64::MAX);
    if free < needed {
        return Err(VacuumError::NoRoom { path: path.to_owned(), needed, free });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{VacuumError, vacuum_database};
    use crate::store::Store;

    async fn fill(store: &Store) {
        let mut tx = store.write().await.unwrap();
        let fill = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 4000) \
                    INSERT INTO orbs SELECT 'o' || n, '1', zeroblob(8000), 0 FROM n";
        sqlx::query(fill).execute(tx.sqlite()).await.unwrap();
        tx.commit().await.unwrap();
        let mut tx = store.write().await.unwrap();
        sqlx::query("DELETE FROM orbs").execute(tx.sqlite()).await.unwrap();
        tx.commit().await.unwrap();
    }

    #[tokio::test]
    async fn free_pages_of_a_new_database_are_given_back_little_by_little() {
        let temp = tempfile::tempdir().unwrap();
        let store = Store::open(&temp.path().join("russet.db"), false).await.unwrap();
        fill(&store).await;
        let (_, free) = store.size().await.unwrap();
        assert!(free > 30_000_000, "{free} bytes");
        let mut steps = 0;
        while store.give_back_space().await.unwrap() {
            steps += 1;
        }
        let (_, free) = store.size().await.unwrap();
        assert!(steps > 10 && free <= 1024 * 4096, "{steps} steps, {free} bytes");
    }

    #[tokio::test]
    async fn an_older_database_is_written_anew_once_and_gives_pages_back_from_then_on() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("russet.db");
        {
            // As it was made before.
            use sqlx::ConnectOptions as _;
            let old = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
            let mut conn = old.create_if_missing(true).connect().await.unwrap();
            sqlx::query("CREATE TABLE old (x)").execute(&mut conn).await.unwrap();
        }
        let store = Store::open(&path, false).await.unwrap();
        fill(&store).await;
        assert!(!store.give_back_space().await.unwrap());
        store.close().await.unwrap();
        drop(store);
        let done = vacuum_database(&path).await.unwrap();
        assert!(done.before > 30_000_000 && done.after < 2_000_000, "{done:?}");
        let store = Store::open(&path, false).await.unwrap();
        fill(&store).await;
        assert!(store.give_back_space().await.unwrap());
        let missing = vacuum_database(&temp.path().join("none")).await;
        assert!(matches!(missing, Err(VacuumError::Gone(_))));
    }
}
