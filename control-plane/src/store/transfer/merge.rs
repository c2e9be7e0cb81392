//! Merging a table into its copy.

use std::collections::BTreeSet;

use super::TransferError;
use super::cell::{Cell, Content, Kind};
use super::pages::Pages;
use super::schema::Table;
use super::side::Side;

/// Rows of a statement that writes. With all their columns they stay below the 32,766 values that a
/// statement of SQLite takes.
const BATCH: usize = 128;

/// Rows after which progress is told.
const REPORT_INTERVAL: u64 = 4096;

/// Result of [`merge_table`].
#[derive(Debug)]
pub(super) struct Merged {
    /// Rows that were written or deleted.
    pub(super) changed: u64,
    /// Content of the source.
    pub(super) content: Content,
}

pub(super) async fn count_rows(side: &mut Side, table: &Table) -> Result<u64, TransferError> {
    let rows = side.number(format!("SELECT count(*) FROM \"{}\"", table.name)).await?;
    Ok(u64::try_from(rows).unwrap_or(0))
}

/// Reads a whole table.
pub(super) async fn read_content(side: &mut Side, table: &Table) -> Result<Content, TransferError> {
    let mut content = Content::default();
    let mut pages = Pages::rows(table, false);
    while let Some(row) = pages.next(side).await? {
        content.add(table.counted(&row));
    }
    Ok(content)
}

/// Makes a table of the target hold what that of the source holds.
pub(super) async fn merge_table(
    source: &mut Side,
    target: &mut Side,
    table: &Table,
    is_last: bool,
    tell: &(dyn Fn(u64) + Sync),
) -> Result<Merged, TransferError> {
    let mut changed = 0;
    if count_rows(target, table).await? > 0 {
        changed += delete_extra(source, target, table).await?;
    }
    let mut content = Content::default();
    let mut late = Vec::new();
    let mut writes = Writes { table, batch: Vec::new(), late: &mut late, changed: 0 };
    let (mut ours, mut theirs) =
        (Pages::rows(table, target.is_postgres()), Pages::rows(table, target.is_postgres()));
    let mut there = theirs.next(target).await?;
    while let Some(row) = ours.next(source).await? {
        content.add(table.counted(&row));
        if content.rows % REPORT_INTERVAL == 0 {
            tell(content.rows);
        }
        let key = table.key_of(&row);
        while there.as_ref().is_some_and(|there| table.key_of(there) < key) {
            there = theirs.next(target).await?;
        }
        let is_there = there
            .as_ref()
            .is_some_and(|there| table.key_of(there) == key && table.is_same(there, &row));
        if !is_there {
            writes.add(target, row).await?;
        }
    }
    writes.flush(target).await?;
    changed += writes.changed;
    // What was kept out by a value that another row had, which has another one by now, or waits here
    // for the value of the first.
    for row in &late {
        delete_rows(target, table, &[table.key_of(row)]).await?;
    }
    for row in late {
        match write_rows(target, table, std::slice::from_ref(&row)).await {
            Ok(written) => changed += written,
            // The next transfer finds it: the source was written to meanwhile.
            Err(error) if is_taken(&error) && !is_last => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Merged { changed, content })
}

/// Deletes the rows that the source does not have. First, as they may hold values that are another
/// row's now.
async fn delete_extra(
    source: &mut Side,
    target: &mut Side,
    table: &Table,
) -> Result<u64, TransferError> {
    let is_postgres = target.is_postgres();
    let (mut ours, mut theirs) = (Pages::keys(table, is_postgres), Pages::keys(table, is_postgres));
    // U+0000 in a key is sorted before what PostgreSQL has instead, so the two orders may differ. At
    // worst such a row is deleted here, and written again.
    let mut replaced: BTreeSet<Vec<Cell>> = BTreeSet::new();
    let mut here = ours.next(source).await?;
    let mut deleted = 0;
    while let Some(key) = theirs.next(target).await? {
        while let Some(passed) = here.take_if(|here| *here < key) {
            if has_replaced(&passed) {
                replaced.insert(passed);
            }
            here = ours.next(source).await?;
        }
        let is_there = here.as_ref() == Some(&key) || replaced.contains(&key);
        // Where the orders differ, it may come later.
        if !is_there && !has_key(source, table, &key).await? {
            deleted += delete_rows(target, table, &[key]).await?;
        }
    }
    Ok(deleted)
}

fn has_replaced(key: &[Cell]) -> bool {
    key.iter().any(|cell| matches!(cell, Cell::Text(Some(text)) if text.contains('\u{FFFD}')))
}

async fn has_key(side: &mut Side, table: &Table, key: &[Cell]) -> Result<bool, sqlx::Error> {
    let text = format!("SELECT 1::bigint FROM \"{}\" WHERE {}", table.name, key_is(table, 0));
    let text = if side.is_postgres() { text } else { text.replace("::bigint", "") };
    Ok(!side.fetch(text, key.to_vec(), &[Kind::Int]).await?.is_empty())
}

/// Condition on the key, with values from behind `bound` on.
fn key_is(table: &Table, bound: usize) -> String {
    let parts = table
        .key_columns()
        .enumerate()
        .map(|(index, column)| format!("\"{}\" = ${}", column.name, bound + index + 1));
    parts.collect::<Vec<_>>().join(" AND ")
}

async fn delete_rows(
    target: &mut Side,
    table: &Table,
    keys: &[Vec<Cell>],
) -> Result<u64, sqlx::Error> {
    let width = table.key.len();
    let any: Vec<String> =
        (0..keys.len()).map(|row| format!("({})", key_is(table, row * width))).collect();
    let text = format!("DELETE FROM \"{}\" WHERE {}", table.name, any.join(" OR "));
    target.execute(text, keys.concat()).await
}

/// Rows that are gathered to be written at once.
struct Writes<'w> {
    table: &'w Table,
    batch: Vec<Vec<Cell>>,
    /// Rows whose place another one had.
    late: &'w mut Vec<Vec<Cell>>,
    changed: u64,
}

impl Writes<'_> {
    async fn add(&mut self, target: &mut Side, row: Vec<Cell>) -> Result<(), TransferError> {
        self.batch.push(row);
        if self.batch.len() >= BATCH {
            self.flush(target).await?;
        }
        Ok(())
    }

    async fn flush(&mut self, target: &mut Side) -> Result<(), TransferError> {
        let rows = std::mem::take(&mut self.batch);
        if rows.is_empty() {
            return Ok(());
        }
        match write_rows(target, self.table, &rows).await {
            Ok(written) => self.changed += written,
            Err(error) if is_taken(&error) => {
                for row in rows {
                    match write_rows(target, self.table, std::slice::from_ref(&row)).await {
                        Ok(written) => self.changed += written,
                        Err(error) if is_taken(&error) => self.late.push(row),
                        Err(error) => return Err(error.into()),
                    }
                }
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

fn is_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// Writes rows in place of those with the same keys.
async fn write_rows(
    target: &mut Side,
    table: &Table,
    rows: &[Vec<Cell>],
) -> Result<u64, sqlx::Error> {
    let is_postgres = target.is_postgres();
    let with_rowid = is_postgres && table.is_ordered();
    if with_rowid {
        // A column of this kind cannot be updated.
        let keys: Vec<Vec<Cell>> = rows.iter().map(|row| table.key_of(row)).collect();
        delete_rows(target, table, &keys).await?;
    }
    let width = table.columns.len();
    let places: Vec<String> = (0..rows.len())
        .map(|row| {
            let values: Vec<String> =
                (1..=width).map(|column| format!("${}", row * width + column)).collect();
            format!("({})", values.join(", "))
        })
        .collect();
    let sets: Vec<String> = table
        .columns
        .iter()
        .enumerate()
        .filter(|(index, _)| !table.key.contains(index))
        .map(|(_, column)| format!("\"{0}\" = excluded.\"{0}\"", column.name))
        .collect();
    let conflict = match () {
        () if with_rowid => String::new(),
        () if sets.is_empty() => format!(" ON CONFLICT ({}) DO NOTHING", table.key_names()),
        () => format!(" ON CONFLICT ({}) DO UPDATE SET {}", table.key_names(), sets.join(", ")),
    };
    let text = format!(
        "INSERT INTO \"{}\" ({}){} VALUES {}{conflict}",
        table.name,
        table.all_names(),
        if with_rowid { " OVERRIDING SYSTEM VALUE" } else { "" },
        places.join(", "),
    );
    let values = rows.iter().flat_map(|row| {
        table.columns.iter().zip(row).map(move |(column, cell)| match column.name.as_str() {
            // A number of a commit of another database: below all of this one's.
            "rev" if is_postgres => Cell::Int(Some(0)),
            _ => cell.clone(),
        })
    });
    target.execute(text, values.collect()).await
}
