//! Moving a server's data to another database and another store of objects; backups; and the way
//! back from them.
//!
//! All three are one transfer (`store/transfer`): a backup is a move into a SQLite file and a
//! directory, from a snapshot; a restore is a move out of it. None of them needs the server's help.
//!
//! What lies beside the database stays the owner's: the key of values (`secrets.key`) and the token of
//! the administrator are in the data directory, which goes on being used after a move, and are in no
//! backup unless they are asked for.

mod backup;
mod copying;
mod manifest;
mod marks;
mod migrate;
mod place;
mod pool;
mod restore;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;

use serde::Serialize;

pub use backup::{Backup, BackupPlan, back_up};
pub use migrate::{Migration, Moved, migrate};
pub use place::{ObjectsPlace, Place};
pub use restore::{RestorePlan, Restored, restore};

pub use crate::store::transfer::{Report, Step};

pub(crate) use manifest::newest_backup;
pub(crate) use marks::{check_marks, key_print};

/// Cause of an error, of whatever part.
type Cause = Box<dyn Error + Send + Sync>;

/// Reason why something was not moved, backed up or restored.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The directory is not that of a server.
    #[error("there is no database of a server: {0} is not there")]
    NoData(PathBuf),
    /// A server uses the data.
    #[error("a server uses {0}: stop it for the last part, and run this again")]
    InUse(String),
    /// A database could not be opened.
    #[error("cannot open {0}")]
    Open(String, #[source] Cause),
    /// Rows could not be copied.
    #[error("cannot copy the rows of {0}")]
    Rows(String, #[source] Cause),
    /// Objects could not be copied.
    #[error("cannot copy the object {0}")]
    Object(String, #[source] Cause),
    /// Objects could not be listed.
    #[error("cannot reach the objects in {0}")]
    Objects(String, #[source] Cause),
    /// A file could not be read or written.
    #[error("{what} {path}")]
    Io {
        /// Action that failed.
        what: &'static str,
        /// File or directory.
        path: PathBuf,
        /// Cause.
        #[source]
        source: std::io::Error,
    },
    /// The target holds something else.
    #[error("{0} is not empty, and what it holds is not of this server: name an empty one")]
    NotEmpty(String),
    /// The target was moved into before, and has been used since.
    #[error(
        "the data was moved to {0} before, and has been changed there since: nothing is overwritten"
    )]
    UsedSince(String),
    /// The target is half of another move.
    #[error("{0} holds half of a move of another server: name an empty one")]
    OtherMove(String),
    /// The source is itself half of a move.
    #[error("{0} is itself half of a move: end that first")]
    HalfSource(String),
    /// Somebody else does the same.
    #[error("something else is moving into {0} just now")]
    Busy(String),
    /// The copy differs from the source.
    #[error("the copy differs from the source in {0}: nothing was ended; run this again")]
    Differs(String),
    /// Objects that rows name are not there, or not as the rows say.
    #[error("{} of the objects that rows name are damaged or not there: {}", .0.len(), few(.0))]
    Damaged(Vec<String>),
    /// A part of a backup is not what its manifest says.
    #[error("{0} is not as the manifest says: this backup is damaged")]
    DamagedBackup(PathBuf),
    /// There is no whole backup.
    #[error("there is no whole backup in {0}")]
    NoBackup(PathBuf),
    /// A backup of another format.
    #[error("{0} was made by another version of russet, which is needed to restore it")]
    OtherFormat(PathBuf),
    /// The key is not the one that values are sealed with.
    #[error("{0} is not the key that the values in this backup are sealed with")]
    OtherKey(PathBuf),
    /// The data directory was moved away.
    #[error(
        "its {what} went to {to}: start the server with that, or delete {mark} to go back to \
         what was there before"
    )]
    MovedAway {
        /// Database or objects.
        what: &'static str,
        /// Address.
        to: String,
        /// File that says so.
        mark: PathBuf,
    },
    /// A restore into the data directory has not ended.
    #[error("a restore into it has not ended: run `russet server restore` again, as before")]
    HalfRestored,
}

/// Names a few of many.
fn few(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let more = if names.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// Returns an error of a file.
pub(crate) fn file_error<'a>(
    what: &'static str,
    path: &'a std::path::Path,
) -> impl FnOnce(std::io::Error) -> MoveError + 'a {
    move |source| MoveError::Io { what, path: path.to_owned(), source }
}

/// Content of a table, to compare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct TableContent {
    /// Number of rows.
    pub rows: u64,
    /// Sum of the BLAKE3 hashes of the rows.
    pub hash: String,
}

/// Contents of all tables, by name.
pub type Tables = BTreeMap<String, TableContent>;

fn table_contents(contents: BTreeMap<String, crate::store::transfer::Content>) -> Tables {
    let content = |content: crate::store::transfer::Content| TableContent {
        rows: content.rows,
        hash: content.hash(),
    };
    contents.into_iter().map(|(name, of)| (name, content(of))).collect()
}

/// Names the first table in which two databases differ.
fn check_same(wanted: &Tables, found: &Tables) -> Result<(), MoveError> {
    let differs = |(name, content): &(&String, &TableContent)| found.get(*name) != Some(*content);
    match wanted.iter().find(differs) {
        Some((name, wanted)) => {
            let found = found.get(name).map_or(0, |found| found.rows);
            Err(MoveError::Differs(format!("{name} ({} rows and {found})", wanted.rows)))
        }
        None => Ok(()),
    }
}
