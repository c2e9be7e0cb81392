//! Plain tables for listings: columns apart by two spaces, no lines, so that `awk` can read them.
//!
//! Names come from other people: a line feed or an escape code in one must not forge a row.

use russet_text::one_line;

/// A table, filled row by row.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these headings.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|text| (*text).to_owned()).collect()] }
    }

    /// Adds a row. An empty cell is shown as `-`, so that columns can be counted.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        let shown = |cell: String| if cell.is_empty() { "-".to_owned() } else { one_line(&cell) };
        self.rows.push(cells.into_iter().map(shown).collect());
    }

    /// The table as text, or `empty` where it has no rows.
    pub(crate) fn render(&self, empty: &str) -> String {
        if self.rows.len() == 1 {
            return format!("{empty}\n");
        }
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(&format!("{cell:width$}  "));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_line_up_and_control_characters_are_not_printed() {
        let mut table = Table::new(&["NAME", "STATE"]);
        table.row(["a-long-name".to_owned(), String::new()]);
        table.row(["b\n\x1b[2J".to_owned(), "up".to_owned()]);
        assert_eq!(
            table.render("none"),
            "NAME         STATE\na-long-name  -\nb \u{fffd}[2J       up\n"
        );
    }

    #[test]
    fn an_empty_table_says_so() {
        assert_eq!(Table::new(&["NAME"]).render("No runners."), "No runners.\n");
    }
}
