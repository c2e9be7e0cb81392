//! Directories that could not be emptied: trying again, moving them aside, or holding the slot.
//!
//! Threat: a job can make what not even root may delete without a grant (a data vault of macOS, the
//! container of a sandboxed app), by accident or on purpose. One such file must not take a slot away
//! for ever, and many must not fill the disk.

use std::time::Duration;

use russet_protocol::backoff::Backoff;

/// Refusals in a row after which directories are moved aside: a service of the system may hold a
/// file for a moment.
pub(crate) const MAX_REFUSALS: u32 = 3;

/// Directories of a slot that are kept aside at most.
pub(crate) const MAX_DIRECTORIES: usize = 3;

/// Bytes of a slot that are kept aside at most, as far as they can be measured.
pub(crate) const MAX_BYTES: u64 = 20_000_000_000;

/// Pauses between attempts to empty what was moved aside.
const FIRST_TRY_INTERVAL: Duration = Duration::from_secs(60);
const MAX_TRY_INTERVAL: Duration = Duration::from_secs(3600);

/// Directories that are kept aside, or are to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Their number.
    pub(crate) directories: usize,
    /// Bytes in them.
    pub(crate) bytes: u64,
}

/// The fate of directories that the system refused to empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// They stay, and are tried again.
    Retry,
    /// They are moved aside, and the slot gets fresh ones.
    MoveAside,
    /// They stay, and the slot is held: there is no more room aside.
    Hold(Limit),
}

/// The limit that is in the way of moving more aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Limit {
    /// [`MAX_DIRECTORIES`].
    #[error("{MAX_DIRECTORIES} directories of earlier tasks are kept aside already")]
    Directories,
    /// [`MAX_BYTES`].
    #[error(
        "more than {} of earlier tasks would be kept aside",
        russet_text::format_size(MAX_BYTES)
    )]
    Bytes,
}

/// Decides on directories that were refused `refusals` times in a row.
pub(crate) fn decide_fate(refusals: u32, aside: Kept, refused: Kept) -> Fate {
    if refusals < MAX_REFUSALS {
        Fate::Retry
    } else if aside.directories.saturating_add(refused.directories) > MAX_DIRECTORIES {
        Fate::Hold(Limit::Directories)
    } else if aside.bytes.saturating_add(refused.bytes) > MAX_BYTES {
        Fate::Hold(Limit::Bytes)
    } else {
        Fate::MoveAside
    }
}

/// Returns the pause after `failed` attempts to empty what is aside.
pub(crate) fn try_pause(failed: u32) -> Duration {
    Backoff::pause(FIRST_TRY_INTERVAL, MAX_TRY_INTERVAL, failed)
}

#[cfg(test)]
mod tests {
    use super::{Fate, Kept, Limit, MAX_BYTES, MAX_DIRECTORIES, MAX_REFUSALS, decide_fate};
    use proptest::prelude::*;
    use std::time::Duration;

    fn kept() -> impl Strategy<Value = Kept> {
        let bytes = prop_oneof![0..MAX_BYTES * 2, Just(u64::MAX), Just(0)];
        (0..6_usize, bytes).prop_map(|(directories, bytes)| Kept { directories, bytes })
    }

    proptest! {
        #[test]
        fn what_is_kept_aside_never_exceeds_its_limits_and_nothing_moves_early(
            refused in proptest::collection::vec((kept(), 0..6_u32), 1..20),
        ) {
            let mut aside = Kept::default();
            for (more, refusals) in refused {
                let fate = decide_fate(refusals, aside, more);
                prop_assert_eq!(fate == Fate::Retry, refusals < MAX_REFUSALS);
                if fate == Fate::MoveAside {
                    aside.directories += more.directories;
                    aside.bytes += more.bytes;
                }
                prop_assert!(aside.directories <= MAX_DIRECTORIES && aside.bytes <= MAX_BYTES);
            }
        }

        #[test]
        fn what_fits_is_moved_and_what_does_not_names_its_limit(aside in kept(), more in kept()) {
            let directories = aside.directories + more.directories;
            let bytes = aside.bytes.saturating_add(more.bytes);
            let wanted = match (directories > MAX_DIRECTORIES, bytes > MAX_BYTES) {
                (true, _) => Fate::Hold(Limit::Directories),
                (false, true) => Fate::Hold(Limit::Bytes),
                (false, false) => Fate::MoveAside,
            };
            prop_assert_eq!(decide_fate(MAX_REFUSALS, aside, more), wanted);
        }
    }

    #[test]
    fn attempts_become_rare_and_never_end() {
        let pauses: Vec<u64> = (0..8).map(|failed| super::try_pause(failed).as_secs()).collect();
        assert_eq!(pauses, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(super::try_pause(u32::MAX), Duration::from_secs(3600));
    }

    #[test]
    fn a_limit_is_told_in_words() {
        let said = [Limit::Directories, Limit::Bytes].map(|limit| limit.to_string());
        assert_eq!(said[0], "3 directories of earlier tasks are kept aside already");
        assert_eq!(said[1], "more than 20 GB of earlier tasks would be kept aside");
    }
}
