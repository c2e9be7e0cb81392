//! The stores of the servers of these tests: PostgreSQL, and versitygw, which speaks S3. Where one is
//! not installed they are listed as skipped, and run on SQLite, or on a directory.

use russet_test_object_store::Bucket;
use russet_test_postgres::Database;

/// Returns a new database.
pub(crate) fn database() -> Option<Database> {
    russet_test_postgres::database()
}

/// Returns a new bucket.
pub(crate) fn bucket() -> Option<Bucket> {
    russet_test_object_store::bucket()
}
