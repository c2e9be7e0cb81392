//! Rows of a table in the order of its key, a page at a time. Each page is a statement of its own, so
//! that a server goes on writing meanwhile.

use std::collections::VecDeque;

use super::cell::Cell;
use super::schema::Table;
use super::side::Side;

/// Rows of a page.
const PAGE: usize = 256;

/// Place in a table.
#[derive(Debug)]
pub(super) struct Pages<'t> {
    table: &'t Table,
    only_keys: bool,
    /// The rows become what PostgreSQL holds of them.
    for_postgres: bool,
    after: Option<Vec<Cell>>,
    read: VecDeque<Vec<Cell>>,
    is_at_end: bool,
}

impl<'t> Pages<'t> {
    pub(super) fn rows(table: &'t Table, for_postgres: bool) -> Self {
        let read = VecDeque::new();
        Self { table, only_keys: false, for_postgres, after: None, read, is_at_end: false }
    }

    /// Rows with the columns of the key alone, in its order.
    pub(super) fn keys(table: &'t Table, for_postgres: bool) -> Self {
        Self { only_keys: true, ..Self::rows(table, for_postgres) }
    }

    pub(super) async fn next(&mut self, side: &mut Side) -> Result<Option<Vec<Cell>>, sqlx::Error> {
        if self.read.is_empty() && !self.is_at_end {
            self.read_page(side).await?;
        }
        Ok(self.read.pop_front())
    }

    async fn read_page(&mut self, side: &mut Side) -> Result<(), sqlx::Error> {
        let Self { table, only_keys, .. } = *self;
        let key = table.key_names();
        let names = if only_keys { key.clone() } else { table.all_names() };
        let kinds = if only_keys { table.key_kinds() } else { table.kinds() };
        let values = self.after.take().unwrap_or_default();
        let places: Vec<String> = (1..=values.len()).map(|number| format!("${number}")).collect();
        let behind = match places.is_empty() {
            true => String::new(),
            false => format!("WHERE ({key}) > ({}) ", places.join(", ")),
        };
        let name = &table.name;
        let text = format!("SELECT {names} FROM \"{name}\" {behind}ORDER BY {key} LIMIT {PAGE}");
        let rows = side.fetch(text, values, &kinds).await?;
        self.is_at_end = rows.len() < PAGE;
        self.after = rows.last().map(|row| match only_keys {
            true => row.clone(),
            false => table.key_of(row),
        });
        let as_held = |row: Vec<Cell>| match self.for_postgres {
            true => row.into_iter().map(Cell::without_nul).collect(),
            false => row,
        };
        self.read = rows.into_iter().map(as_held).collect();
        Ok(())
    }
}
