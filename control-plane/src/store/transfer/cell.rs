//! Values of rows in a form that is the same for both databases, and what rows of a table add up to.

use std::borrow::Borrow;

/// Type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Text,
    Bytes,
}

impl Kind {
    /// Reads the type of a column as either database names it.
    pub(super) fn of(declared: &str) -> Option<Self> {
        match declared.to_ascii_lowercase().as_str() {
            "integer" | "bigint" => Some(Self::Int),
            "text" => Some(Self::Text),
            "blob" | "bytea" => Some(Self::Bytes),
            _ => None,
        }
    }
}

/// Value of a column.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cell {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

impl Cell {
    /// Returns the value as PostgreSQL can hold it: U+0000 becomes U+FFFD, as the server itself
    /// writes it there.
    pub(super) fn without_nul(self) -> Self {
        match self {
            Self::Text(Some(text)) if text.contains('\0') => {
                Self::Text(Some(text.replace('\0', "\u{FFFD}")))
            }
            cell => cell,
        }
    }

    /// Adds the value to a hash: its type, its length, its bytes.
    fn hash_into(&self, hasher: &mut blake3::Hasher) {
        let mut add = |tag: u8, bytes: &[u8]| {
            hasher.update(&[tag]).update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        };
        match self {
            Self::Int(Some(number)) => add(b'i', &number.to_le_bytes()),
            Self::Text(Some(text)) if text.contains('\0') => {
                add(b't', text.replace('\0', "\u{FFFD}").as_bytes());
            }
            Self::Text(Some(text)) => add(b't', text.as_bytes()),
            Self::Bytes(Some(bytes)) => add(b'b', bytes),
            Self::Int(None) | Self::Text(None) | Self::Bytes(None) => add(b'n', &[]),
        }
    }
}

/// Content of a table: the number of its rows, and the sum of their BLAKE3 hashes (in four lanes of
/// 64 bits), which is the same in whatever order they are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) rows: u64,
    lanes: [u64; 4],
}

impl Content {
    /// Adds a row.
    pub(super) fn add<C: Borrow<Cell>>(&mut self, cells: impl Iterator<Item = C>) {
        let mut hasher = blake3::Hasher::new();
        cells.for_each(|cell| cell.borrow().hash_into(&mut hasher));
        let hash = hasher.finalize();
        for (lane, bytes) in self.lanes.iter_mut().zip(hash.as_bytes().chunks_exact(8)) {
            let mut word = [0; 8];
            word.copy_from_slice(bytes);
            *lane = lane.wrapping_add(u64::from_le_bytes(word));
        }
        self.rows += 1;
    }

    /// Returns the sum in hexadecimal.
    pub(crate) fn hash(&self) -> String {
        self.lanes.iter().map(|lane| format!("{lane:016x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, Content};

    fn content(rows: &[[Cell; 2]]) -> Content {
        let mut content = Content::default();
        rows.iter().for_each(|row| content.add(row.iter()));
        content
    }

    fn text(text: &str) -> Cell {
        Cell::Text(Some(text.to_owned()))
    }

    #[test]
    fn a_table_adds_up_to_the_same_in_any_order_and_to_something_else_where_a_value_differs() {
        let (a, b) = ([text("a"), Cell::Int(Some(1))], [text("b"), Cell::Int(None)]);
        let whole = content(&[a.clone(), b.clone()]);
        assert_eq!(whole, content(&[b.clone(), a.clone()]));
        assert_eq!(whole.rows, 2);
        assert_ne!(whole.hash(), content(&[a.clone(), a.clone()]).hash());
        assert_ne!(whole.hash(), content(&[a, [text("b"), Cell::Int(Some(0))]]).hash());
        // No value can be moved into its neighbour.
        assert_ne!(content(&[[text("ab"), text("c")]]), content(&[[text("a"), text("bc")]]));
        assert_ne!(
            content(&[[text(""), b[1].clone()]]),
            content(&[[Cell::Text(None), b[1].clone()]])
        );
    }

    #[test]
    fn what_postgresql_cannot_hold_counts_as_what_it_holds_instead() {
        let raw = content(&[[text("a\0b"), Cell::Int(None)]]);
        let kept = content(&[[text("a\0b").without_nul(), Cell::Int(None)]]);
        assert_eq!(raw, kept);
    }
}
