//! The stores of the servers of these tests: SQLite, and a directory.

use russet_test_object_store::Bucket;
use russet_test_postgres::Database;

/// Returns none: the server makes its own.
pub(crate) fn database() -> Option<Database> {
    None
}

/// Returns none: objects are files in the data directory.
pub(crate) fn bucket() -> Option<Bucket> {
    None
}
