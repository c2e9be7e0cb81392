//! Judgement on a source that shows no release. Pure.
//!
//! Threat: whoever is between this machine and its source can hold releases back. Every manifest
//! expires, and the expiry of the newest one that was seen is kept, so that silence is told from
//! "there is nothing newer", and is a failure from then on.

use std::time::Duration;

use russet_protocol::local::Update;

/// The newest manifest that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its counter.
    pub(crate) counter: u64,
    /// End of its time, in seconds since 1970.
    pub(crate) expires_s: u64,
}

impl Seen {
    /// Returns how long ago it expired, for people; `None` while it is in force.
    pub(crate) fn expired(self, now_s: u64) -> Option<String> {
        let since = now_s.checked_sub(self.expires_s)?;
        Some(russet_text::format_duration(Duration::from_secs(since)))
    }
}

/// State of a machine whose source shows nothing. `absence` says what is missing.
pub(super) fn judge_absence(absence: &str, seen: Option<Seen>, now_s: u64) -> Update {
    let Some(seen) = seen else {
        let why =
            format!("{absence}, and this machine has never seen a manifest; check `update.source`");
        return Update::NotOffered { why };
    };
    let number = seen.counter;
    match seen.expired(now_s) {
        Some(ago) => Update::Failed {
            why: format!(
                "{absence}, and manifest number {number}, the newest that was seen, expired {ago} ago; \
                 the source is not kept up to date, or somebody holds releases back"
            ),
        },
        None => Update::NotOffered {
            why: format!(
                "{absence}, though manifest number {number} was seen before; the source was emptied, \
                 or somebody holds releases back"
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use russet_protocol::local::Update;

    use super::{Seen, judge_absence};

    #[test]
    fn silence_is_never_up_to_date_and_is_a_failure_once_what_was_seen_has_expired() {
        let at = |seen, now_s| judge_absence("there is no manifest", seen, now_s);
        let seen = Some(Seen { counter: 7, expires_s: 1_000 });
        for (update, said) in
            [(at(None, 5_000), "never seen"), (at(seen, 999), "number 7 was seen before")]
        {
            assert!(
                matches!(&update, Update::NotOffered { why } if why.contains(said)),
                "{update:?}"
            );
        }
        for now_s in [1_000, 5_000, u64::MAX] {
            let update = at(seen, now_s);
            let Update::Failed { why } = update else { panic!("{update:?}") };
            assert!(why.contains("expired") && why.contains("holds releases back"), "{why}");
        }
    }
}
