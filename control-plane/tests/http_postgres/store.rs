//! The store of the servers of these tests: PostgreSQL. Where it is not installed they are listed as
//! skipped, and run on SQLite.

use russet_test_postgres::Database;

/// Returns a new database.
pub(crate) fn database() -> Option<Database> {
    russet_test_postgres::database()
}
