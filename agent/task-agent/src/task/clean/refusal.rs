//! Errors of what the system refuses to delete for a user, whoever tries again and how often.

use std::io;

use nix::errno::Errno;

/// Returns true for an error that is a refusal: a data vault of macOS and an immutable file (EPERM),
/// what somebody else owns (EACCES), what is mounted (EBUSY, EROFS). Everything else in the same
/// directory is gone then.
pub(super) fn is_refusal(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| is_refused(Errno::from_raw(code)))
}

fn is_refused(error: Errno) -> bool {
    matches!(error, Errno::EPERM | Errno::EACCES | Errno::EBUSY | Errno::EROFS)
}

/// Returns the error that counts, of the one so far and another one. A directory is not empty where
/// something in it was refused; other errors are no refusals, and win.
pub(super) fn graver_error(before: Option<Errno>, now: Errno) -> Errno {
    match before {
        Some(before) if is_not_empty(now) => before,
        Some(before) if is_refused(now) && !is_not_empty(before) => before,
        Some(before) if !is_refused(before) && !is_not_empty(before) => before,
        _ => now,
    }
}

fn is_not_empty(error: Errno) -> bool {
    matches!(error, Errno::ENOTEMPTY | Errno::EEXIST)
}

#[cfg(test)]
mod tests {
    use super::{graver_error, is_refusal, is_refused};
    use nix::errno::Errno;
    use proptest::prelude::*;

    /// Errors of deleting.
    const ERRORS: [Errno; 9] = [
        Errno::EPERM,
        Errno::EACCES,
        Errno::EBUSY,
        Errno::EROFS,
        Errno::ENOTEMPTY,
        Errno::EEXIST,
        Errno::EIO,
        Errno::EMFILE,
        Errno::ENAMETOOLONG,
    ];

    proptest! {
        #[test]
        fn a_sweep_was_refused_only_if_every_error_is_a_refusal_or_follows_from_one(
            met in proptest::collection::vec(0..ERRORS.len(), 1..8),
        ) {
            let met: Vec<Errno> = met.into_iter().map(|index| ERRORS[index]).collect();
            let counts = met.iter().fold(None, |before, now| Some(graver_error(before, *now)));
            let follows = |error: &Errno| matches!(error, Errno::ENOTEMPTY | Errno::EEXIST);
            let wanted = met.iter().all(|error| is_refused(*error) || follows(error))
                && !met.iter().all(follows);
            prop_assert_eq!(counts.is_some_and(is_refused), wanted, "{:?}", met);
        }
    }

    #[test]
    fn an_error_that_is_not_the_systems_is_no_refusal() {
        assert!(is_refusal(&Errno::EPERM.into()));
        assert!(!is_refusal(&std::io::Error::other("there is too much in it")));
        assert!(!is_refusal(&std::io::ErrorKind::PermissionDenied.into()));
    }
}
