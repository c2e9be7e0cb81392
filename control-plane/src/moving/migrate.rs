//! `russet server migrate`: a first part while the server runs, as often as one likes, and a last one
//! that moves what has changed since, checks everything and ends the move.

use serde::Serialize;

use super::copying::{Copied, Notes, copy_objects};
use super::marks::note_moved;
use super::place::{ObjectsPlace, Place, open_target};
use super::{MoveError, Tables, check_same, table_contents};
use crate::clock::{Clock as _, SystemClock};
use crate::store::DatabaseUrl;
use crate::store::transfer::{self, Report, Side, State, TransferError, named_objects};

/// Notes on objects that are in the target.
const NOTES: &str = "moved-objects";

/// A move.
#[derive(Clone, Debug)]
pub struct Migration {
    /// Data of the server.
    pub from: Place,
    /// Database that it goes to. `None`: it stays.
    pub database: Option<DatabaseUrl>,
    /// Place that the objects go to. `None`: they stay.
    pub objects: Option<ObjectsPlace>,
    /// The server has stopped: the move is ended.
    pub is_last: bool,
    /// Ends the move though objects are damaged or not there.
    pub allow_damaged: bool,
}

/// Result of a move, or of its first part.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Moved {
    /// It is ended: the server is to be started on the new place.
    pub is_ended: bool,
    /// Rows that were written or deleted now.
    pub rows_changed: u64,
    /// Content of each table, the same on both sides once it is ended.
    pub tables: Tables,
    /// Objects in the target.
    pub objects: u64,
    /// Bytes of objects that were copied now.
    pub bytes_copied: u64,
    /// Objects that rows name and that are damaged or not there.
    pub damaged: Vec<String>,
}

/// Moves the data of a server.
///
/// # Errors
///
/// [`MoveError`] says what is in the way. Whatever was moved stays, and the same call goes on from
/// there.
pub async fn migrate(plan: &Migration, report: Report<'_>) -> Result<Moved, MoveError> {
    let held = if plan.is_last { Some(plan.from.hold()?) } else { None };
    let (mut source, _) = plan.from.open_database().await?;
    let name = plan.from.database_name();
    let of_source = |error: TransferError| MoveError::Rows(name.clone(), Box::new(error));
    if plan.is_last && transfer::servers(&mut source).await.map_err(of_source)? > 0 {
        return Err(MoveError::InUse(name));
    }
    let mut moved = Moved::default();
    move_objects(plan, &mut source, &mut moved, report).await?;
    if let Some(url) = &plan.database {
        move_rows(plan, url, &mut source, &mut moved, report).await?;
    }
    if plan.is_last {
        let database = plan.database.as_ref().map(ToString::to_string);
        let objects = plan.objects.as_ref().map(ToString::to_string);
        note_moved(&plan.from.data_dir, database, objects)?;
        moved.is_ended = true;
    }
    drop(held);
    Ok(moved)
}

async fn move_objects(
    plan: &Migration,
    source: &mut Side,
    moved: &mut Moved,
    report: Report<'_>,
) -> Result<(), MoveError> {
    let Some(place) = &plan.objects else { return Ok(()) };
    let (from, to) = (plan.from.open_objects().await?, place.open().await?);
    let mut notes = Notes::open(&plan.from.data_dir.join(NOTES), &place.to_string())?;
    let of_source =
        |error: TransferError| MoveError::Rows(plan.from.database_name(), Box::new(error));
    let named = named_objects(source).await.map_err(of_source)?;
    let Copied { objects, bytes, damaged } =
        copy_objects(&from, &to, &named, &mut notes, report).await?;
    // While the server runs, what was named a moment ago may have been deleted since.
    if plan.is_last && !plan.allow_damaged && !damaged.is_empty() {
        return Err(MoveError::Damaged(damaged));
    }
    (moved.objects, moved.bytes_copied, moved.damaged) = (objects, bytes, damaged);
    Ok(())
}

async fn move_rows(
    plan: &Migration,
    url: &DatabaseUrl,
    source: &mut Side,
    moved: &mut Moved,
    report: Report<'_>,
) -> Result<(), MoveError> {
    let name = url.to_string();
    let failed = |error: TransferError| MoveError::Rows(name.clone(), Box::new(error));
    let id = transfer::installation(source).await.map_err(failed)?;
    let mut target = open_target(url).await?;
    match transfer::state(&mut target).await.map_err(failed)? {
        State::Empty => {}
        State::Half(other) if other != id => return Err(MoveError::OtherMove(name)),
        State::Half(_) => {}
        State::Used(other) if other != id => return Err(MoveError::NotEmpty(name)),
        // It was cut off behind its end, or nobody has used it since.
        State::Used(_) => {
            let (wanted, found) = (
                table_contents(transfer::contents(source).await.map_err(failed)?),
                table_contents(transfer::contents(&mut target).await.map_err(failed)?),
            );
            check_same(&wanted, &found).map_err(|_| MoveError::UsedSince(name.clone()))?;
            moved.tables = wanted;
            return Ok(());
        }
    }
    let now_ms = SystemClock::new().wall_ms();
    if !transfer::begin_move(&mut target, &id, now_ms).await.map_err(failed)? {
        return Err(MoveError::Busy(name));
    }
    let done =
        transfer::transfer(source, &mut target, plan.is_last, report).await.map_err(failed)?;
    moved.rows_changed = done.changed;
    moved.tables = table_contents(done.tables);
    if plan.is_last {
        let found = transfer::contents(&mut target).await.map_err(failed)?;
        check_same(&moved.tables, &table_contents(found))?;
        transfer::end_move(&mut target).await.map_err(failed)?;
    }
    let closed = target.close().await;
    closed.map_err(|error| MoveError::Rows(name.clone(), Box::new(error)))
}
