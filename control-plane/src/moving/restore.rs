//! `russet server restore`: a backup becomes the data of a server, everything checked by its hash.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use tokio_util::io::ReaderStream;
use zeroize::Zeroizing;

use super::manifest::{
    ADMIN_TOKEN, DATABASE, Entry, MANIFEST, Manifest, OBJECT_LIST, SECRETS_KEY, backups, read_list,
    summary,
};
use super::marks::{RESTORING_DRAFT, note_restored, note_restoring, restoring};
use super::place::{Place, open_target, private_dir, sync_dir};
use super::pool::{Pool, files};
use super::{MoveError, Tables, check_same, file_error, key_print, table_contents};
use crate::clock::{Clock as _, SystemClock};
use crate::data_dir::write_private;
use crate::objects::{ObjectError, Objects};
use crate::secrets::KEY_LENGTH;
use crate::store::DatabaseUrl;
use crate::store::transfer::{self, Report, Side, State, Step, TransferError};

/// Objects that are copied at a time.
const AT_ONCE: usize = 4;

/// Names of what may lie in an empty data directory: also what a restore leaves that is killed while it
/// notes that it begins.
const ALLOWED: [&str; 6] =
    ["lock", "lost+found", SECRETS_KEY, ADMIN_TOKEN, "releases", RESTORING_DRAFT];

/// The copy of a backup's database on its way to PostgreSQL.
const PASSING: &str = "restore.db";

/// A restore.
#[derive(Clone, Debug)]
pub struct RestorePlan {
    /// A backup, or a directory of backups, of which the newest is taken.
    pub backup: PathBuf,
    /// Destination: an empty data directory, and an empty database.
    pub to: Place,
    /// File with the key of values, which is copied into the data directory.
    pub secrets_key_file: Option<PathBuf>,
}

/// Result of a restore.
#[derive(Clone, Debug, Serialize)]
pub struct Restored {
    /// The backup.
    pub backup: PathBuf,
    /// Time at which it was made, RFC 3339.
    pub created: String,
    /// Content of each table, as in the backup.
    pub tables: Tables,
    /// Objects that were restored.
    pub objects: u64,
    /// Objects that were damaged or not there when the backup was made.
    pub damaged: Vec<String>,
    /// There are sealed values, and their key is still to be brought.
    pub needs_key: bool,
}

/// Restores a backup.
///
/// # Errors
///
/// [`MoveError`] says what is in the way. The same call goes on with what is half done; no server
/// starts on it.
pub async fn restore(plan: &RestorePlan, report: Report<'_>) -> Result<Restored, MoveError> {
    let backup = find(&plan.backup)?;
    let manifest = Manifest::read(&backup)?;
    if manifest.schema > transfer::sqlite_version() {
        return Err(MoveError::OtherFormat(backup));
    }
    check_file(&backup.join(DATABASE), &manifest.database)?;
    check_file(&backup.join(OBJECT_LIST), &manifest.object_list)?;
    let name = backup.display().to_string();
    check_empty(&plan.to, &name)?;
    private_dir(&plan.to.data_dir)?;
    let _held = plan.to.hold()?;
    note_restoring(&plan.to.data_dir, &name)?;
    let needs_key = bring_keys(plan, &backup, &manifest)?;
    let entries = read_list(&backup.join(OBJECT_LIST))?;
    let pool = Pool::open(backup.parent().unwrap_or(&backup))?;
    bring_objects(&pool, &plan.to.open_objects().await?, &entries, report).await?;
    match &plan.to.database {
        None => bring_sqlite(&plan.to, &backup, &manifest).await?,
        Some(url) => bring_postgres(&plan.to, url, &backup, &manifest, report).await?,
    }
    note_restored(&plan.to.data_dir)?;
    Ok(Restored {
        backup,
        created: manifest.created,
        tables: manifest.tables,
        objects: entries.len() as u64,
        damaged: manifest.damaged,
        needs_key,
    })
}

fn find(path: &Path) -> Result<PathBuf, MoveError> {
    let path = std::fs::canonicalize(path).map_err(file_error("cannot find", path))?;
    if path.join(MANIFEST).is_file() {
        return Ok(path);
    }
    backups(&path)?.pop().ok_or(MoveError::NoBackup(path))
}

fn check_file(path: &Path, wanted: &super::manifest::Summary) -> Result<(), MoveError> {
    match summary(path)? == *wanted {
        true => Ok(()),
        false => Err(MoveError::DamagedBackup(path.to_owned())),
    }
}

/// Refuses a data directory that holds something, unless it is the half of this restore.
fn check_empty(to: &Place, backup: &str) -> Result<(), MoveError> {
    if !to.data_dir.exists() {
        return Ok(());
    }
    match restoring(&to.data_dir)? {
        Some(before) if before == backup => return Ok(()),
        Some(_) => return Err(MoveError::HalfRestored),
        None => {}
    }
    let is_other = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        !ALLOWED.contains(&name.as_str())
    };
    match files(&to.data_dir)?.iter().any(is_other) {
        true => Err(MoveError::NotEmpty(to.data_dir.display().to_string())),
        false => Ok(()),
    }
}

/// Brings the key of values and the token of the administrator, where they are. Returns true where
/// the key is needed and not there.
fn bring_keys(plan: &RestorePlan, backup: &Path, manifest: &Manifest) -> Result<bool, MoveError> {
    let place = plan.to.data_dir.join(SECRETS_KEY);
    let in_backup = manifest.has_keys.then(|| backup.join(SECRETS_KEY));
    if let Some(from) = plan.secrets_key_file.clone().or(in_backup) {
        let key = read_key(&from, manifest)?;
        write_private(&place, key.as_slice()).map_err(file_error("cannot write", &place))?;
    } else if place.exists() {
        read_key(&place, manifest)?;
    }
    if manifest.has_keys {
        let (from, to) = (backup.join(ADMIN_TOKEN), plan.to.data_dir.join(ADMIN_TOKEN));
        let token = std::fs::read(&from).map_err(file_error("cannot read", &from))?;
        write_private(&to, &Zeroizing::new(token)).map_err(file_error("cannot write", &to))?;
    }
    Ok(manifest.secrets_key.is_some() && !place.exists())
}

/// Reads a key, which has to be the one of the backup.
fn read_key(path: &Path, manifest: &Manifest) -> Result<Zeroizing<[u8; KEY_LENGTH]>, MoveError> {
    let bytes = Zeroizing::new(std::fs::read(path).map_err(file_error("cannot read", path))?);
    let key: Result<[u8; KEY_LENGTH], _> = bytes.as_slice().try_into();
    let key = Zeroizing::new(key.map_err(|_| MoveError::OtherKey(path.to_owned()))?);
    match manifest.secrets_key.as_ref().is_none_or(|print| *print == key_print(&key)) {
        true => Ok(key),
        false => Err(MoveError::OtherKey(path.to_owned())),
    }
}

async fn bring_objects(
    pool: &Pool,
    to: &Objects,
    entries: &[Entry],
    report: Report<'_>,
) -> Result<(), MoveError> {
    let (total, mut done, mut bytes) = (entries.len() as u64, 0, 0);
    let copies = entries.iter().map(|entry| bring_object(pool, to, entry));
    let mut copies = stream::iter(copies).buffer_unordered(AT_ONCE);
    while let Some(copied) = copies.try_next().await? {
        done += 1;
        bytes += copied;
        report(Step::Objects { done, total, bytes });
    }
    Ok(())
}

/// Returns the number of bytes that were copied.
async fn bring_object(pool: &Pool, to: &Objects, entry: &Entry) -> Result<u64, MoveError> {
    let failed = |error: ObjectError| MoveError::Object(entry.name.clone(), Box::new(error));
    let path = pool.path(&entry.blake3);
    let read = tokio::fs::File::open(&path).await;
    let file = match read {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(MoveError::DamagedBackup(path));
        }
        opened => opened.map_err(file_error("cannot read", &path))?,
    };
    if to.size(&entry.name).await.map_err(failed)? == Some(entry.size)
        && to.hash(&entry.name).await.map_err(failed)? == entry.blake3
    {
        return Ok(0);
    }
    let body = ReaderStream::new(file).map_err(axum::Error::new);
    match to.put_stream(&entry.name, body, u64::MAX, Some(&entry.blake3)).await {
        Ok(written) => Ok(written.size),
        Err(ObjectError::OtherHash(_)) => Err(MoveError::DamagedBackup(path)),
        Err(error) => Err(failed(error)),
    }
}

/// Copies the database of a backup, checked by its hash.
fn copy_database(backup: &Path, to: &Path, manifest: &Manifest) -> Result<(), MoveError> {
    let failed = || file_error("cannot write", to);
    let from = backup.join(DATABASE);
    let mut source = File::open(&from).map_err(file_error("cannot read", &from))?;
    let mut options = File::options();
    let mut target =
        options.create(true).truncate(true).write(true).mode(0o600).open(to).map_err(failed())?;
    std::io::copy(&mut source, &mut target).map_err(failed())?;
    target.sync_all().map_err(failed())?;
    check_file(to, &manifest.database).map_err(|_| MoveError::DamagedBackup(from))
}

async fn bring_sqlite(to: &Place, backup: &Path, manifest: &Manifest) -> Result<(), MoveError> {
    let file = to.sqlite_file();
    copy_database(backup, &file, manifest)?;
    let name = file.display().to_string();
    let failed = |error: TransferError| MoveError::Rows(name.clone(), Box::new(error));
    let opened = Side::read_sqlite(&file).await;
    let mut side = opened.map_err(|error| MoveError::Open(name.clone(), Box::new(error)))?;
    let found = transfer::contents(&mut side).await.map_err(failed)?;
    check_same(&manifest.tables, &table_contents(found))?;
    side.close().await.map_err(|error| failed(error.into()))?;
    sync_dir(&to.data_dir)
}

async fn bring_postgres(
    to: &Place,
    url: &DatabaseUrl,
    backup: &Path,
    manifest: &Manifest,
    report: Report<'_>,
) -> Result<(), MoveError> {
    let name = url.to_string();
    let failed = |error: TransferError| MoveError::Rows(name.clone(), Box::new(error));
    let file = to.data_dir.join(PASSING);
    copy_database(backup, &file, manifest)?;
    // Brings one of an older version up to date.
    let opened = Side::create_sqlite(&file).await;
    let mut source =
        opened.map_err(|error| MoveError::Open(file.display().to_string(), Box::new(error)))?;
    let mut target = open_target(url).await?;
    match transfer::state(&mut target).await.map_err(failed)? {
        State::Empty => {}
        State::Half(of) if of == manifest.installation => {}
        State::Half(_) => return Err(MoveError::OtherMove(name)),
        State::Used(of) if of != manifest.installation => return Err(MoveError::NotEmpty(name)),
        // It was cut off behind its end.
        State::Used(_) => {
            let of_source =
                |error: TransferError| MoveError::Rows(file.display().to_string(), Box::new(error));
            let (wanted, found) = (
                table_contents(transfer::contents(&mut source).await.map_err(of_source)?),
                table_contents(transfer::contents(&mut target).await.map_err(failed)?),
            );
            check_same(&wanted, &found).map_err(|_| MoveError::UsedSince(name.clone()))?;
            return std::fs::remove_file(&file).map_err(file_error("cannot remove", &file));
        }
    }
    let now_ms = SystemClock::new().wall_ms();
    let begun = transfer::begin_move(&mut target, &manifest.installation, now_ms).await;
    if !begun.map_err(failed)? {
        return Err(MoveError::Busy(name));
    }
    let done = transfer::transfer(&mut source, &mut target, true, report).await.map_err(failed)?;
    let found = transfer::contents(&mut target).await.map_err(failed)?;
    check_same(&table_contents(done.tables), &table_contents(found))?;
    transfer::end_move(&mut target).await.map_err(failed)?;
    std::fs::remove_file(&file).map_err(file_error("cannot remove", &file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restore_that_was_killed_while_it_noted_its_beginning_may_begin_again() {
        let temp = tempfile::tempdir().unwrap();
        let to = Place { data_dir: temp.path().to_owned(), database: None, objects: None };
        std::fs::write(temp.path().join("lock"), "").unwrap();
        std::fs::write(temp.path().join("restoring.new"), "").unwrap();
        check_empty(&to, "one").unwrap();
        note_restoring(temp.path(), "one").unwrap();
        std::fs::write(temp.path().join("russet.db"), "").unwrap();
        check_empty(&to, "one").unwrap();
        assert!(matches!(check_empty(&to, "two"), Err(MoveError::HalfRestored)));
        note_restored(temp.path()).unwrap();
        assert!(matches!(check_empty(&to, "one"), Err(MoveError::NotEmpty(_))));
    }
}
