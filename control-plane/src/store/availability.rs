//! Errors that say that the database, or a connection to it, is not there at the moment.

use sqlx::Error;
use sqlx::sqlite::SqliteError;

use crate::lacks::Lack;
use crate::listen::is_out_of_descriptors;

/// Codes with which PostgreSQL ends a session: `admin_shutdown`, `crash_shutdown`,
/// `database_dropped`, `idle_session_timeout` and `idle_in_transaction_session_timeout`; all that
/// begins with `08` says the same (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
const END_CODES: [&str; 5] = ["57P01", "57P02", "57P04", "57P05", "25P03"];

/// Codes with which it takes no session: `too_many_connections` and `cannot_connect_now`.
const FULL_CODES: [&str; 2] = ["53300", "57P03"];

/// Results of SQLite (<https://www.sqlite.org/rescode.html>), without their extensions: another
/// connection has the database (`SQLITE_BUSY`) or a table of it (`SQLITE_LOCKED`), and a file cannot
/// be opened (`SQLITE_CANTOPEN`), which a database that was open a moment ago is for lack of
/// descriptors.
const SQLITE_BUSY: u32 = 5;
const SQLITE_LOCKED: u32 = 6;
const SQLITE_CANTOPEN: u32 = 14;

/// Returns what there was too little of, for an error after which the same may work a moment later.
pub(super) fn lack_of(error: &Error) -> Option<Lack> {
    if let Error::Io(error) = error
        && is_out_of_descriptors(error)
    {
        return Some(Lack::Descriptors);
    }
    if matches!(error, Error::PoolTimedOut) {
        return Some(Lack::DatabaseConnections);
    }
    if is_lost(error) {
        return Some(Lack::Database);
    }
    let error = error.as_database_error()?;
    let code = error.code()?;
    if error.try_downcast_ref::<SqliteError>().is_some() {
        return lack_of_sqlite(code.parse().ok()?);
    }
    FULL_CODES.contains(&&*code).then_some(Lack::DatabaseConnections)
}

fn lack_of_sqlite(code: u32) -> Option<Lack> {
    // The low byte is the result, the others say more about it.
    match code & 0xff {
        SQLITE_BUSY | SQLITE_LOCKED => Some(Lack::Writer),
        SQLITE_CANTOPEN => Some(Lack::Descriptors),
        _ => None,
    }
}

/// Returns true where the connection to PostgreSQL broke, or the database ended it.
pub(super) fn is_lost(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::PoolClosed => true,
        Error::Database(error) if error.try_downcast_ref::<SqliteError>().is_none() => {
            error.code().is_some_and(|code| code.starts_with("08") || END_CODES.contains(&&*code))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn what_may_work_a_moment_later_is_told_from_what_will_not() {
        let io = |kind| Error::Io(io::Error::from(kind));
        assert_eq!(lack_of(&io(io::ErrorKind::ConnectionReset)), Some(Lack::Database));
        assert_eq!(lack_of(&io(io::ErrorKind::UnexpectedEof)), Some(Lack::Database));
        let emfile = Error::Io(io::Error::from_raw_os_error(nix::errno::Errno::EMFILE as i32));
        assert_eq!(lack_of(&emfile), Some(Lack::Descriptors));
        assert_eq!(lack_of(&Error::PoolTimedOut), Some(Lack::DatabaseConnections));
        assert_eq!(lack_of(&Error::RowNotFound), None);
        assert_eq!(lack_of(&Error::WorkerCrashed), None);
    }

    #[test]
    fn results_of_sqlite_count_with_their_extensions() {
        // SQLITE_BUSY, SQLITE_BUSY_SNAPSHOT, SQLITE_LOCKED_SHAREDCACHE, SQLITE_CANTOPEN, and what is
        // none of them: SQLITE_FULL, SQLITE_IOERR, SQLITE_CONSTRAINT.
        let lacks = [5, 517, 262, 14, 13, 10, 19].map(lack_of_sqlite);
        let (writer, files) = (Some(Lack::Writer), Some(Lack::Descriptors));
        assert_eq!(lacks, [writer, writer, writer, files, None, None, None]);
    }
}
