//! Tables as a database has them. Nothing here lists tables to copy: what a migration adds is copied
//! without being named, and only what must not be is named below.

use super::TransferError;
use super::cell::{Cell, Kind};
use super::side::Side;

/// Tables that belong to a database and not to what it holds: numbers of commits on SQLite, which go
/// on from the highest; moves into it; the servers that use it now, its own state, and holds of
/// those who copy its objects.
pub(super) const NOT_COPIED: [&str; 5] =
    ["counters", "moves", "servers", "database_state", "object_holds"];

/// Tables whose order of insertion matters: `rowid` is a column of theirs on PostgreSQL, and SQLite has
/// it unasked.
pub(super) const ORDERED: [&str; 1] = ["caches"];

/// Columns that mean something in one database alone: numbers of its commits, and times of its
/// clock. They are no part of a table's hash.
const LOCAL: [(&str, &str); 3] = [("*", "rev"), ("tasks", "granted"), ("tasks", "expires")];

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// See [`LOCAL`].
    pub(super) is_local: bool,
}

/// A table, with its columns sorted by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// Columns of the primary key, in its order.
    pub(super) key: Vec<usize>,
}

/// All columns of all tables: table, column, type, and place in the primary key, or -1.
const ON_SQLITE: &str = "SELECT m.name, c.name, c.type, c.pk - 1 \
     FROM sqlite_schema AS m, pragma_table_info(m.name) AS c \
     WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY m.name, c.name";

const ON_POSTGRES: &str = "SELECT c.relname::text, a.attname::text, \
     format_type(a.atttypid, NULL), coalesce(array_position(i.indkey::int2[], a.attnum), -1)::bigint \
     FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 \
     AND NOT a.attisdropped LEFT JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisprimary \
     WHERE c.relkind IN ('r', 'p') AND c.relnamespace = \
     (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) \
     ORDER BY c.relname::text COLLATE \"C\", a.attname::text COLLATE \"C\"";

/// Returns the tables of a database that are copied, by name.
pub(super) async fn tables(side: &mut Side) -> Result<Vec<Table>, TransferError> {
    let text = if side.is_postgres() { ON_POSTGRES } else { ON_SQLITE };
    let rows =
        side.fetch(text, Vec::new(), &[Kind::Text, Kind::Text, Kind::Text, Kind::Int]).await?;
    let mut read: Vec<(String, String, String, i64)> = rows
        .into_iter()
        .filter_map(|row| match <[Cell; 4]>::try_from(row) {
            Ok([Cell::Text(table), Cell::Text(column), Cell::Text(kind), Cell::Int(place)]) => {
                Some((table?, column?, kind?, place?))
            }
            _ => None,
        })
        .filter(|(table, ..)| !table.starts_with('_') && !NOT_COPIED.contains(&table.as_str()))
        .collect();
    if !side.is_postgres() {
        let rowid = |table: &str| (table.to_owned(), "rowid".to_owned(), "bigint".to_owned(), -1);
        read.extend(ORDERED.iter().map(|table| rowid(table)));
        read.sort();
    }
    let mut tables: Vec<Table> = Vec::new();
    let mut places: Vec<Vec<(i64, usize)>> = Vec::new();
    for (table, column, declared, place) in read {
        if tables.last().is_none_or(|last| last.name != table) {
            tables.push(Table { name: table.clone(), columns: Vec::new(), key: Vec::new() });
            places.push(Vec::new());
        }
        let kind = Kind::of(&declared)
            .ok_or_else(|| TransferError::Type { column: format!("{table}.{column}"), declared })?;
        let is_local = LOCAL.iter().any(|&(of, name)| (of == "*" || of == table) && name == column)
            || column == "rowid";
        if let (Some(last), Some(places)) = (tables.last_mut(), places.last_mut()) {
            if place >= 0 {
                places.push((place, last.columns.len()));
            }
            last.columns.push(Column { name: column, kind, is_local });
        }
    }
    for (table, mut places) in tables.iter_mut().zip(places) {
        places.sort_unstable();
        table.key = places.into_iter().map(|(_, index)| index).collect();
        if table.key.is_empty() {
            return Err(TransferError::NoKey(table.name.clone()));
        }
    }
    Ok(tables)
}

impl Table {
    pub(super) fn kinds(&self) -> Vec<Kind> {
        self.columns.iter().map(|column| column.kind).collect()
    }

    pub(super) fn key_kinds(&self) -> Vec<Kind> {
        self.key.iter().filter_map(|&index| self.columns.get(index)).map(|c| c.kind).collect()
    }

    /// Returns names for a statement, quoted.
    fn quoted<N: std::fmt::Display>(names: impl Iterator<Item = N>) -> String {
        names.map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn all_names(&self) -> String {
        Self::quoted(self.columns.iter().map(|column| &column.name))
    }

    pub(super) fn key_columns(&self) -> impl Iterator<Item = &Column> {
        self.key.iter().filter_map(|&index| self.columns.get(index))
    }

    pub(super) fn key_names(&self) -> String {
        Self::quoted(self.key_columns().map(|column| &column.name))
    }

    /// Returns the key of a whole row.
    pub(super) fn key_of(&self, row: &[Cell]) -> Vec<Cell> {
        self.key.iter().filter_map(|&index| row.get(index).cloned()).collect()
    }

    pub(super) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|c| c.name == column)
    }

    /// Returns true where the rows keep the order in which they were added.
    pub(super) fn is_ordered(&self) -> bool {
        ORDERED.contains(&self.name.as_str())
    }

    /// Returns true where two rows hold the same, apart from what is of one database alone.
    pub(super) fn is_same(&self, one: &[Cell], other: &[Cell]) -> bool {
        let is_compared = |index: usize| {
            self.columns.get(index).is_some_and(|c| !c.is_local || c.name == "rowid")
        };
        let same =
            |(index, (one, other)): (usize, (&Cell, &Cell))| !is_compared(index) || one == other;
        one.iter().zip(other).enumerate().all(same)
    }

    /// Returns the values of a row that count for the table's hash.
    pub(super) fn counted<'r>(&'r self, row: &'r [Cell]) -> impl Iterator<Item = &'r Cell> {
        self.columns.iter().zip(row).filter(|(column, _)| !column.is_local).map(|(_, cell)| cell)
    }
}
