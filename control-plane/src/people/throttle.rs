//! Slows those who try passwords. Pure but for its table: time comes from outside.
//!
//! Attempts are counted for the account and for the address that they come from, and each failure
//! after the first few makes the next attempt wait longer. Threat: somebody who fails on purpose locks
//! the owner of an account out. A browser that its owner has signed in with before brings a mark, and
//! is counted by itself: what others do does not slow it. The admin token is not slowed at all, since
//! it cannot be guessed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Failures that make nobody wait.
const FREE_FAILURES: u32 = 5;

/// Longest wait for an account or a marked browser, in milliseconds.
const MAX_ACCOUNT_WAIT_MS: i64 = 60_000;

/// Longest wait for an address, in milliseconds.
const MAX_ADDRESS_WAIT_MS: i64 = 15 * 60_000;

/// Time after which an attempt is forgotten, in milliseconds.
const FORGET_MS: i64 = 3_600_000;

/// The most attempts that are remembered.
const MAX_ENTRIES: usize = 20_000;

/// The one that attempts are counted for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Counted {
    Account(String),
    Address(IpAddr),
    /// A browser that the account was signed in with before: the account, and the mark.
    Browser(String, String),
    /// Secret that somebody who is signed in may guess: the purpose, and the account.
    Guess(&'static str, String),
}

impl Counted {
    fn max_wait_ms(&self) -> i64 {
        match self {
            Self::Account(_) | Self::Browser(..) | Self::Guess(..) => MAX_ACCOUNT_WAIT_MS,
            Self::Address(_) => MAX_ADDRESS_WAIT_MS,
        }
    }
}

/// Returns those that an attempt is counted for.
pub(crate) fn counted_for(account: &str, address: IpAddr, mark: Option<String>) -> Vec<Counted> {
    match mark {
        Some(mark) => vec![Counted::Browser(account.to_owned(), mark)],
        None => vec![Counted::Account(account.to_owned()), Counted::Address(address)],
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    failures: u32,
    next_ms: i64,
    last_ms: i64,
}

/// Failures of late.
#[derive(Debug, Default)]
pub(crate) struct Throttle(HashMap<Counted, Entry>);

impl Throttle {
    /// Counts an attempt as a failure before it is made, so that many at a time are counted too.
    ///
    /// # Errors
    ///
    /// The time to wait before the next one, in milliseconds: this one is not made.
    pub(crate) fn begin(&mut self, counted: &[Counted], now_ms: i64) -> Result<(), i64> {
        let next_ms = counted.iter().filter_map(|of| self.0.get(of)).map(|entry| entry.next_ms);
        let wait_ms = next_ms.max().unwrap_or(0) - now_ms;
        if wait_ms > 0 {
            return Err(wait_ms);
        }
        self.forget(now_ms);
        for of in counted {
            let fresh = Entry { failures: 0, next_ms: 0, last_ms: now_ms };
            let entry = self.0.entry(of.clone()).or_insert(fresh);
            if now_ms - entry.last_ms >= FORGET_MS {
                *entry = fresh;
            }
            entry.failures = entry.failures.saturating_add(1);
            entry.last_ms = now_ms;
            entry.next_ms = now_ms + wait_after(entry.failures).min(of.max_wait_ms());
        }
        Ok(())
    }

    /// Notes that the attempt was a success: what was counted for it is forgotten.
    pub(crate) fn succeed(&mut self, counted: &[Counted]) {
        for of in counted {
            self.0.remove(of);
        }
    }

    /// Forgets what is over, and where there is too much, what has failed least.
    fn forget(&mut self, now_ms: i64) {
        if self.0.len() < MAX_ENTRIES {
            return;
        }
        self.0.retain(|_, entry| now_ms - entry.last_ms < FORGET_MS);
        let mut least = 1;
        while self.0.len() >= MAX_ENTRIES {
            self.0.retain(|_, entry| entry.failures > least);
            least = least.saturating_mul(2);
        }
    }
}

/// Returns the wait after a number of failures, in milliseconds.
fn wait_after(failures: u32) -> i64 {
    match failures.checked_sub(FREE_FAILURES) {
        None | Some(0) => 0,
        Some(more) => 1000_i64.saturating_mul(1_i64 << more.min(20)),
    }
}

/// Attempts of late, at this server.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<Throttle>);

impl Attempts {
    /// Looks at and changes the table.
    pub(crate) fn with<T>(&self, f: impl FnOnce(&mut Throttle) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{MAX_ENTRIES, Throttle, counted_for};

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn each_failure_after_the_first_few_makes_the_next_attempt_wait_longer() {
        let mut throttle = Throttle::default();
        let counted = counted_for("ana", address(1), None);
        let mut now_ms = 0;
        let mut tried = 0;
        while now_ms < 3_600_000 {
            match throttle.begin(&counted, now_ms) {
                Ok(()) => tried += 1,
                Err(wait_ms) => now_ms += wait_ms,
            }
        }
        assert!((10..=20).contains(&tried), "{tried} attempts in an hour");
    }

    #[test]
    fn an_attack_on_an_account_from_everywhere_leaves_its_owner_in() {
        let mut throttle = Throttle::default();
        for last in 0..=255 {
            for _ in 0..5 {
                let _waits = throttle.begin(&counted_for("ana", address(last), None), 0);
            }
        }
        assert!(throttle.begin(&counted_for("ana", address(7), None), 0).is_err());
        let own = counted_for("ana", address(7), Some("mark".to_owned()));
        assert!(throttle.begin(&own, 0).is_ok());
        throttle.succeed(&own);
        // A mark of another account or a stolen one is slowed like everything else.
        let slowed = (0..20).any(|_| throttle.begin(&own, 0).is_err());
        assert!(slowed);
    }

    #[test]
    fn a_success_ends_the_wait_and_memory_is_bounded() {
        let mut throttle = Throttle::default();
        let counted = counted_for("ana", address(1), None);
        for _ in 0..6 {
            let _counted = throttle.begin(&counted, 0);
        }
        assert!(throttle.begin(&counted, 0).is_err());
        throttle.succeed(&counted);
        assert!(throttle.begin(&counted, 0).is_ok());
        for number in 0..3 * MAX_ENTRIES {
            let address = IpAddr::from(u32::try_from(number).unwrap().to_be_bytes());
            let _counted = throttle.begin(&counted_for(&number.to_string(), address, None), 1);
        }
        assert!(throttle.0.len() <= MAX_ENTRIES + 2);
    }
}
