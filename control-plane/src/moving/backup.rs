//! `russet server backup`: a consistent copy while the server runs.
//!
//! The rows are of one snapshot, and the objects that they name are copied before and after it is
//! taken. An object is deleted after the row that names it; so one that is gone, and that no row names
//! any more by now, was deleted in between, and a new snapshot is taken. Objects have unique names
//! and are never changed, so what was copied once stays good.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use super::manifest::{
    ADMIN_TOKEN, DATABASE, Entry, Manifest, OBJECT_LIST, SECRETS_KEY, backups, read_list, summary,
    write_list,
};
use super::place::{Place, private_dir, sync_dir};
use super::pool::{DRAFT, Pool, files};
use super::{MoveError, Tables, file_error, table_contents};
use crate::data_dir::write_private;
use crate::objects::Objects;
use crate::store::transfer::{self, Named, Report, Side, Step, TransferError, named_objects};

/// Objects that are copied at a time.
const AT_ONCE: usize = 4;

/// Snapshots that are taken before a server that deletes all the time is given up on.
const MAX_SNAPSHOTS: u32 = 8;

/// A backup to make.
#[derive(Clone, Debug)]
pub struct BackupPlan {
    /// Data of the server.
    pub from: Place,
    /// Directory of backups.
    pub into: PathBuf,
    /// Number of backups that stay. `None`: all of them.
    pub keep: Option<u32>,
    /// File with the key of values, where it is not in the data directory.
    pub secrets_key_file: Option<PathBuf>,
    /// Adds the key of values and the token of the administrator.
    pub with_keys: bool,
}

/// Result of a backup.
#[derive(Clone, Debug, Serialize)]
pub struct Backup {
    /// Directory of the backup.
    pub path: PathBuf,
    /// Content of each table.
    pub tables: Tables,
    /// Objects that it holds.
    pub objects: u64,
    /// Bytes of them.
    pub object_bytes: u64,
    /// Bytes that were copied now; the others were there from earlier backups.
    pub bytes_copied: u64,
    /// Objects that rows name and that are damaged or not there.
    pub damaged: Vec<String>,
    /// There are sealed values, and their key is not part of the backup.
    pub needs_key: bool,
    /// Backups that were removed for `keep`.
    pub removed: Vec<PathBuf>,
}

/// Objects that are in the pool.
#[derive(Debug, Default)]
struct Kept {
    by_name: HashMap<String, Entry>,
    bytes_copied: u64,
}

/// Makes a backup.
///
/// # Errors
///
/// [`MoveError`] says what is in the way. There is no backup then; what was copied of the objects
/// stays for the next one.
pub async fn back_up(plan: &BackupPlan, report: Report<'_>) -> Result<Backup, MoveError> {
    let (mut source, version) = plan.from.open_database().await?;
    let objects = plan.from.open_objects().await?;
    private_dir(&plan.into)?;
    let _lock = lock(&plan.into)?;
    remove_drafts(&plan.into)?;
    let pool = Pool::open(&plan.into)?;
    let mut kept = Kept { by_name: kept_before(&plan.into, &pool)?, bytes_copied: 0 };
    let of_source =
        |error: TransferError| MoveError::Rows(plan.from.database_name(), Box::new(error));
    // Most of it, before the rows are fixed.
    let named = named_objects(&mut source).await.map_err(of_source)?;
    keep_objects(&objects, &pool, &named, &mut kept, report).await?;
    let mut round = 1;
    let (draft, tables, named, damaged) = loop {
        let draft = plan.into.join(format!("{DRAFT}{}", crate::objects::unique_name()));
        let (tables, named) =
            copy_snapshot(&mut source, &draft, report).await.map_err(of_source)?;
        let damaged = keep_objects(&objects, &pool, &named, &mut kept, report).await?;
        let named_now = named_objects(&mut source).await.map_err(of_source)?;
        if damaged.iter().all(|name| named_now.contains_key(name)) || round == MAX_SNAPSHOTS {
            break (draft, tables, named, damaged);
        }
        remove_dir(&draft)?;
        round += 1;
    };
    let entries: Vec<Entry> =
        named.keys().filter_map(|name| kept.by_name.get(name).cloned()).collect();
    let manifest = write_rest(plan, &draft, version, &entries, tables, &damaged).await?;
    let path = finish(&plan.into, &draft)?;
    let removed = remove_old(&plan.into, plan.keep)?;
    pool.sweep(&plan.into)?;
    Ok(Backup {
        path,
        tables: manifest.tables,
        objects: manifest.objects,
        object_bytes: manifest.object_bytes,
        bytes_copied: kept.bytes_copied,
        damaged,
        needs_key: manifest.secrets_key.is_some() && !manifest.has_keys,
        removed,
    })
}

/// Keeps other backups out of the directory.
fn lock(dir: &Path) -> Result<File, MoveError> {
    let path = dir.join("lock");
    let mut options = File::options();
    let file = options
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(file_error("cannot open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(MoveError::Busy(dir.display().to_string())),
        Err(TryLockError::Error(error)) => Err(file_error("cannot lock", &path)(error)),
    }
}

/// Removes what a kill left.
fn remove_drafts(dir: &Path) -> Result<(), MoveError> {
    for path in files(dir)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(DRAFT) {
            remove_dir(&path)?;
        }
    }
    Ok(())
}

fn remove_dir(path: &Path) -> Result<(), MoveError> {
    std::fs::remove_dir_all(path).map_err(file_error("cannot remove", path))
}

/// Returns the objects of earlier backups that are in the pool, by name.
fn kept_before(dir: &Path, pool: &Pool) -> Result<HashMap<String, Entry>, MoveError> {
    let mut known = HashMap::new();
    for backup in backups(dir)? {
        for entry in read_list(&backup.join(OBJECT_LIST))? {
            if pool.has(&entry.blake3, entry.size) {
                known.insert(entry.name.clone(), entry);
            }
        }
    }
    Ok(known)
}

/// Copies the objects that are named and not in the pool. Returns those that are not there, or not
/// as rows say.
async fn keep_objects(
    objects: &Objects,
    pool: &Pool,
    named: &Named,
    kept: &mut Kept,
    report: Report<'_>,
) -> Result<Vec<String>, MoveError> {
    let total = named.len() as u64;
    let lacking: Vec<(&String, &Option<String>)> =
        named.iter().filter(|(name, _)| !kept.by_name.contains_key(*name)).collect();
    let mut done = total - lacking.len() as u64;
    let copies = lacking.into_iter().map(|(name, hash)| async move {
        pool.keep(objects, name, hash.as_deref()).await.map(|entry| (name, entry))
    });
    let mut damaged = Vec::new();
    let mut copies = stream::iter(copies).buffer_unordered(AT_ONCE);
    while let Some((name, entry)) = copies.try_next().await? {
        match entry {
            Some(entry) => {
                kept.bytes_copied += entry.size;
                kept.by_name.insert(name.clone(), entry);
            }
            None => damaged.push(name.clone()),
        }
        done += 1;
        report(Step::Objects { done, total, bytes: kept.bytes_copied });
    }
    damaged.sort();
    report(Step::Objects { done: total, total, bytes: kept.bytes_copied });
    Ok(damaged)
}

/// Copies the rows of one moment, and says which objects they name.
async fn copy_snapshot(
    source: &mut Side,
    draft: &Path,
    report: Report<'_>,
) -> Result<(Tables, Named), TransferError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let to_io = |error: std::io::Error| TransferError::Database(sqlx::Error::Io(error));
    std::fs::DirBuilder::new().mode(0o700).create(draft).map_err(to_io)?;
    let mut target =
        Side::create_sqlite(&draft.join(DATABASE)).await.map_err(|error| match error {
            crate::store::OpenError::Connect(error) => TransferError::Database(error),
            other => TransferError::Database(sqlx::Error::Configuration(Box::new(other))),
        })?;
    source.begin_snapshot().await?;
    let done = copy_rows(source, &mut target, report).await;
    source.end_snapshot().await?;
    let (tables, named) = done?;
    target.close().await?;
    Ok((tables, named))
}

async fn copy_rows(
    source: &mut Side,
    target: &mut Side,
    report: Report<'_>,
) -> Result<(Tables, Named), TransferError> {
    let done = transfer::transfer(source, target, true, report).await?;
    let named = named_objects(source).await?;
    transfer::settle(target).await?;
    let found = table_contents(transfer::contents(target).await?);
    let wanted = table_contents(done.tables);
    match wanted.iter().find(|(name, content)| found.get(*name) != Some(*content)) {
        Some((name, _)) => Err(TransferError::Differs(name.clone())),
        None => Ok((wanted, named)),
    }
}

/// Writes what belongs to a backup besides the database.
async fn write_rest(
    plan: &BackupPlan,
    draft: &Path,
    version: i64,
    entries: &[Entry],
    tables: Tables,
    damaged: &[String],
) -> Result<Manifest, MoveError> {
    let database = draft.join(DATABASE);
    let failed =
        |error: TransferError| MoveError::Rows(database.display().to_string(), Box::new(error));
    let opened = Side::read_sqlite(&database).await;
    let mut side =
        opened.map_err(|error| MoveError::Open(database.display().to_string(), Box::new(error)))?;
    let installation = transfer::installation(&mut side).await.map_err(failed)?;
    let secrets_key = transfer::secrets_key(&mut side).await.map_err(failed)?;
    side.close().await.map_err(|error| failed(error.into()))?;
    File::open(&database)
        .and_then(|file| file.sync_all())
        .map_err(file_error("cannot sync", &database))?;
    let list = draft.join(OBJECT_LIST);
    write_list(&list, entries)?;
    if plan.with_keys {
        copy_keys(plan, draft)?;
    }
    let manifest = Manifest {
        format: Manifest::FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        schema: version_of(&plan.from, version),
        created: jiff::Timestamp::now().to_string(),
        installation,
        database: summary(&database)?,
        object_list: summary(&list)?,
        tables,
        objects: entries.len() as u64,
        object_bytes: entries.iter().map(|entry| entry.size).sum(),
        damaged: damaged.to_vec(),
        secrets_key,
        has_keys: plan.with_keys,
    };
    manifest.write(draft)?;
    sync_dir(draft)?;
    Ok(manifest)
}

/// The schema of the copy is that of SQLite, whatever it is a copy of.
fn version_of(from: &Place, version: i64) -> i64 {
    if from.database.is_none() { version } else { transfer::sqlite_version() }
}

fn copy_keys(plan: &BackupPlan, draft: &Path) -> Result<(), MoveError> {
    let beside = |name| plan.from.data_dir.join(name);
    let key = plan.secrets_key_file.clone().unwrap_or_else(|| beside(SECRETS_KEY));
    for (from, name) in [(key, SECRETS_KEY), (beside(ADMIN_TOKEN), ADMIN_TOKEN)] {
        let bytes = zeroize::Zeroizing::new(
            std::fs::read(&from).map_err(file_error("cannot read", &from))?,
        );
        let to = draft.join(name);
        write_private(&to, &bytes).map_err(file_error("cannot write", &to))?;
    }
    Ok(())
}

/// Gives a backup that is whole its name.
fn finish(dir: &Path, draft: &Path) -> Result<PathBuf, MoveError> {
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ").to_string();
    let path = dir.join(stamp);
    std::fs::rename(draft, &path).map_err(file_error("cannot name the backup", &path))?;
    sync_dir(dir)?;
    Ok(path)
}

/// Removes the oldest backups above a number.
fn remove_old(dir: &Path, keep: Option<u32>) -> Result<Vec<PathBuf>, MoveError> {
    let Some(keep) = keep else { return Ok(Vec::new()) };
    let mut all = backups(dir)?;
    let extra = all.len().saturating_sub(keep.max(1) as usize);
    all.truncate(extra);
    for path in &all {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let gone = dir.join(format!("{DRAFT}removed-{name}"));
        std::fs::rename(path, &gone).map_err(file_error("cannot remove", path))?;
        remove_dir(&gone)?;
    }
    Ok(all)
}
