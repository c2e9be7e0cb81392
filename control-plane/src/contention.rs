//! Transactions that the database took back because they and others waited for each other. Nothing
//! of them has happened, so they are done again; SQLite, with its one writer, takes none back.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Times that a transaction is begun.
const MAX_ATTEMPTS: u32 = 6;

/// Pause before the second time; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_millis(2);

/// Codes with which PostgreSQL says that it took a transaction back for another's sake:
/// `serialization_failure`, `deadlock_detected` and `lock_not_available`
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>). One whose connection broke
/// during its commit is not among them: it may have happened.
const CODES: [&str; 3] = ["40001", "40P01", "55P03"];

/// Transactions of this process that were done again, for metrics.
static RETRIES: AtomicU64 = AtomicU64::new(0);

/// Returns how many transactions this process has done again, on all its databases.
pub(crate) fn retry_count() -> u64 {
    RETRIES.load(Ordering::Relaxed)
}

/// Returns true for a code of the database that says so.
pub(crate) fn is_code(code: &str) -> bool {
    CODES.contains(&code)
}

/// Returns the pause before a transaction is done again that was begun `attempts` times; `None`
/// where that is enough.
fn retry_pause(is_contended: bool, attempts: u32) -> Option<Duration> {
    (is_contended && attempts < MAX_ATTEMPTS)
        .then(|| FIRST_PAUSE.saturating_mul(1 << attempts.saturating_sub(1)))
}

/// An error that may say that nothing has happened for another's sake.
pub(crate) trait MayContend {
    fn is_contended(&self) -> bool;
}

/// Does a whole transaction, again where the database took it back for another's sake.
pub(crate) async fn retry<T, E, F>(mut transaction: impl FnMut() -> F) -> Result<T, E>
where
    E: MayContend,
    F: Future<Output = Result<T, E>>,
{
    let mut attempts = 0;
    loop {
        attempts += 1;
        match transaction().await {
            Ok(done) => return Ok(done),
            Err(error) => match retry_pause(error.is_contended(), attempts) {
                Some(pause) => {
                    RETRIES.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(pause).await;
                }
                None => return Err(error),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::{FIRST_PAUSE, MAX_ATTEMPTS, MayContend, is_code, retry, retry_pause};

    struct Failed(bool);

    impl MayContend for Failed {
        fn is_contended(&self) -> bool {
            self.0
        }
    }

    #[test]
    fn what_was_taken_back_is_done_again_a_few_times_and_nothing_else_is() {
        assert_eq!(retry_pause(true, 1), Some(FIRST_PAUSE));
        assert_eq!(retry_pause(true, 3), Some(FIRST_PAUSE * 4));
        assert_eq!(retry_pause(true, MAX_ATTEMPTS), None);
        assert_eq!(retry_pause(false, 1), None);
        assert!(is_code("40P01") && !is_code("08006") && !is_code("23505"));
    }

    #[tokio::test]
    async fn a_transaction_is_begun_anew_until_it_is_not_in_the_way_of_others() {
        for (failures, is_contended, begun) in [(3, true, 4), (3, false, 1), (9, true, 6)] {
            let count = Cell::new(0);
            let done = retry(async || {
                count.set(count.get() + 1);
                if count.get() > failures { Ok(()) } else { Err(Failed(is_contended)) }
            })
            .await;
            assert_eq!(count.get(), begun);
            assert_eq!(done.is_ok(), begun > failures);
        }
    }
}
