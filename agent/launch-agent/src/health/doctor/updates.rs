//! Check that the source of updates still shows releases: the newest manifest that this machine has
//! seen is in force.

use std::io;
use std::path::Path;

use crate::health::{Check, Level};
use crate::update::{Seen, newest_seen};

const NAME: &str = "updates";

/// Looks at what the agent has noted.
pub(super) fn check_updates(state: &Path, now_s: u64) -> Check {
    judge_seen(&newest_seen(state), now_s)
}

fn judge_seen(seen: &io::Result<Option<Seen>>, now_s: u64) -> Check {
    match seen {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let found = "what the agent has seen cannot be read as this user; try `sudo`";
            Check::new(NAME, Level::Unknown, found.to_owned(), "")
        }
        Err(error) => {
            let found = format!("what the agent noted of updates cannot be read: {error}");
            let hint = "without it nothing is installed: restore or remove `update.json` in the state \
                        directory; without its counters an old release could be shown once more";
            Check::new(NAME, Level::Warning, found, hint)
        }
        Ok(None) => {
            let found = "no release of `update.source` has been seen yet".to_owned();
            let hint = "`sudo russet agent update check` looks now, and says what is wrong";
            Check::new(NAME, Level::Warning, found, hint)
        }
        Ok(Some(seen)) => match seen.expired(now_s) {
            Some(ago) => {
                let number = seen.counter;
                let found = format!(
                    "manifest number {number}, the newest that was seen, expired {ago} ago"
                );
                let hint = "the source is not kept up to date, or somebody holds releases back: \
                            `sudo russet agent update check` says what it shows now";
                Check::new(NAME, Level::Warning, found, hint)
            }
            None => {
                let found = format!("manifest number {} was seen and is in force", seen.counter);
                Check::new(NAME, Level::Ok, found, "")
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{Level, Seen, judge_seen};

    #[test]
    fn a_source_that_shows_nothing_any_more_is_a_warning() {
        let seen = Ok(Some(Seen { counter: 7, expires_s: 1_000 }));
        let check = judge_seen(&seen, 999);
        assert_eq!(check.level, Level::Ok);
        let check = judge_seen(&seen, 100_000);
        assert!(check.level == Level::Warning && check.found.contains("expired"), "{check:?}");
        assert!(check.hint.unwrap().contains("holds releases back"));
        assert_eq!(judge_seen(&Ok(None), 0).level, Level::Warning);
        let error = |kind| judge_seen(&Err(io::Error::from(kind)), 0).level;
        assert_eq!(error(io::ErrorKind::PermissionDenied), Level::Unknown);
        assert_eq!(error(io::ErrorKind::InvalidData), Level::Warning);
    }
}
