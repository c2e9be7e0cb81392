//! The store of the servers of these tests: SQLite.

use russet_test_postgres::Database;

/// Returns none: the server makes its own.
pub(crate) fn database() -> Option<Database> {
    None
}
