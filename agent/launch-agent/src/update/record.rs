//! Memory of updates on this machine: the counters of manifests and their ends, its place in
//! rollouts, what is installed, what failed last, and what people who asked were answered.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use russet_protocol::boot_files::identity;
use russet_protocol::local::LookAnswer;
use serde::{Deserialize, Serialize};

use super::seen::Seen;
use russet_platform::layout::Layout;
use russet_platform::replace;

/// Name of the file in the state directory.
const NAME: &str = "update.json";

/// A longer file is none of ours, and is never written.
const LONGEST: u64 = 64 * 1024;

/// Maximum number of channels of which counters are kept. One that is forgotten could be replayed,
/// so none is.
pub(super) const MAX_CHANNELS: usize = 64;

/// Maximum number of answers that are kept.
const MAX_ANSWERS: usize = 8;

/// The file. Fields are only added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) version: u32,
    /// The highest counter that was seen, by channel.
    #[serde(default)]
    pub(super) counters: BTreeMap<String, u64>,
    /// Ends of the manifests with these counters, by channel, in seconds since 1970.
    #[serde(default)]
    pub(super) expires: BTreeMap<String, u64>,
    /// This machine's place in rollouts, from 0 to 999.
    #[serde(default)]
    pub(super) seed: Option<u16>,
    /// Version that was put in place last.
    #[serde(default)]
    pub(super) installed: Option<Installed>,
    /// Version that it replaced, where an update had put that in place: `russet-boot` goes back to
    /// it.
    #[serde(default)]
    pub(super) before: Option<Installed>,
    /// Version that could not be put in place.
    #[serde(default)]
    pub(super) failed: Option<Failed>,
    /// Number of the look that was asked for last. Numbers go on over restarts, so that an answer is
    /// never taken for that to another question.
    #[serde(default)]
    pub(super) looks: u64,
    /// Answers to those who asked, the newest last.
    #[serde(default)]
    pub(super) answers: Vec<LookAnswer>,
}

/// A version that was put in place, and the bundle that it is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Installed {
    pub(super) version: String,
    /// See `russet_protocol::boot_files::identity`.
    pub(super) bundle: String,
    /// In seconds since 1970.
    pub(super) at_s: u64,
}

/// A version that could not be put in place. It is left alone for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Failed {
    pub(super) version: String,
    pub(super) at_s: u64,
    #[serde(default)]
    pub(super) why: String,
}

/// Returns true if something happened less than `span_s` ago. A time in the future is not believed:
/// the clock was wrong then or is now, and nobody waits for a year because of it.
pub(super) fn is_recent(at_s: u64, now_s: u64, span_s: u64) -> bool {
    now_s.checked_sub(at_s).is_some_and(|since| since < span_s)
}

/// Seconds for which a version that could not be put in place is left alone.
pub(super) const FAILED_AGAIN_S: u64 = 3600;

/// Returns true if a version could not be put in place a short time ago.
pub(super) fn has_failed_lately(record: &Record, version: &str, now_s: u64) -> bool {
    let is_of_it = |failed: &Failed| {
        failed.version == version && is_recent(failed.at_s, now_s, FAILED_AGAIN_S)
    };
    record.failed.as_ref().is_some_and(is_of_it)
}

impl Record {
    pub(super) fn path(state: &Path) -> PathBuf {
        state.join(NAME)
    }

    /// Reads the record; an empty one where there is none.
    ///
    /// # Errors
    /// It cannot be read. Then there is no update: a counter that is not known is no protection.
    pub(super) fn read(state: &Path) -> io::Result<Self> {
        use std::io::Read as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut options = std::fs::OpenOptions::new();
        match options.read(true).custom_flags(libc::O_NOFOLLOW).open(Self::path(state)) {
            Ok(file) => {
                let mut text = Vec::new();
                file.take(LONGEST).read_to_end(&mut text)?;
                Ok(serde_json::from_slice(&text)?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    pub(super) fn write(&self, state: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(&Self { version: 1, ..self.clone() })?;
        if u64::try_from(text.len()).unwrap_or(u64::MAX) > LONGEST {
            return Err(io::Error::other("it would be longer than what is read"));
        }
        replace::write(&Self::path(state), &text, 0o600)
    }

    /// Notes a manifest that was shown and is believed. Returns false where there is no room for one
    /// more channel.
    pub(super) fn see(&mut self, channel: &str, seen: Seen) -> bool {
        if !self.counters.contains_key(channel) && self.counters.len() >= MAX_CHANNELS {
            return false;
        }
        let counter = self.counters.entry(channel.to_owned()).or_default();
        let expires = self.expires.entry(channel.to_owned()).or_default();
        if seen.counter > *counter {
            (*counter, *expires) = (seen.counter, seen.expires_s);
        } else if seen.counter == *counter {
            *expires = seen.expires_s.max(*expires);
        }
        true
    }

    /// The manifest that is in force longest, of those that were seen.
    pub(super) fn newest_seen(&self) -> Option<Seen> {
        let seen = self.expires.iter().map(|(channel, expires_s)| Seen {
            counter: self.counters.get(channel).copied().unwrap_or_default(),
            expires_s: *expires_s,
        });
        seen.max_by_key(|seen| seen.expires_s)
    }

    /// Notes an answer.
    pub(super) fn answer(&mut self, answer: LookAnswer) {
        self.answers.push(answer);
        self.answers.drain(..self.answers.len().saturating_sub(MAX_ANSWERS));
    }

    /// The version of a bundle, where an update put it in its place.
    pub(super) fn version_of(&self, bundle: &str) -> Option<&str> {
        self.known(bundle).map(|installed| &*installed.version)
    }

    /// Notes what is about to take the place of the bundle `current`.
    pub(super) fn install(self, installed: Installed, current: &str) -> Self {
        let before = self.known(current).cloned();
        Self { before, installed: Some(installed), failed: None, ..self }
    }

    fn known(&self, bundle: &str) -> Option<&Installed> {
        let all = self.installed.iter().chain(&self.before);
        all.into_iter().find(|installed| installed.bundle == bundle)
    }
}

/// Returns the identity of a bundle, if there is one.
pub(super) fn identity_of(bundle: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let meta = bundle.symlink_metadata().ok().filter(std::fs::Metadata::is_dir)?;
    Some(identity(meta.ino(), meta.mtime(), meta.mtime_nsec()))
}

/// The version that is installed: that of the manifest that the bundle in place came with; where
/// no update put it there, that of this program. Everything that tells a version tells this one.
///
/// `state` is the state directory, `boot_state` that of the files of `russet-boot`, which an agent
/// that is no service does not have.
pub(crate) fn installed_version(boot_state: Option<&Path>, state: &Path) -> String {
    let installed = || {
        let bundle = identity_of(&Layout::of_boot_state(boot_state?)?.bundle())?;
        Record::read(state).ok()?.version_of(&bundle).map(str::to_owned)
    };
    installed().unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned())
}

/// Returns the number of the look that was asked for last, also before a restart.
pub(crate) fn last_look(state: &Path) -> u64 {
    Record::read(state).map(|record| record.looks).unwrap_or_default()
}

/// Returns the newest manifest that was seen; `None` where none was.
///
/// # Errors
/// The record cannot be read.
pub(crate) fn newest_seen(state: &Path) -> io::Result<Option<Seen>> {
    Record::read(state).map(|record| record.newest_seen())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use russet_protocol::local::{LookAnswer, Update};

    use super::{Installed, MAX_CHANNELS, Record, Seen, identity_of, installed_version, is_recent};
    use russet_platform::layout::Layout;

    #[test]
    fn it_is_read_as_it_was_written_and_half_a_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Record::read(dir.path()).unwrap(), Record::default());
        let installed =
            Installed { version: "1.2.0".to_owned(), bundle: "7.1.2".to_owned(), at_s: 9 };
        let mut record = Record { installed: Some(installed), ..Record::default() };
        record.counters.insert("stable".to_owned(), 7);
        record.write(dir.path()).unwrap();
        let read = Record::read(dir.path()).unwrap();
        assert_eq!((read.counters["stable"], read.version_of("7.1.2")), (7, Some("1.2.0")));
        assert_eq!(read.version_of("8.1.2"), None);
        std::fs::write(Record::path(dir.path()), "{\"version\":1,").unwrap();
        assert!(Record::read(dir.path()).is_err());
    }

    #[test]
    fn the_version_that_is_gone_back_to_is_known_too() {
        let of = |version: &str| {
            let (version, bundle) = (version.to_owned(), format!("7.{version}"));
            Installed { version, bundle, at_s: 9 }
        };
        let first = Record::default().install(of("1.1.0"), "the package's");
        assert_eq!(first.before, None);
        let second = first.install(of("1.2.0"), "7.1.1.0");
        assert_eq!(second.version_of("7.1.1.0"), Some("1.1.0"));
        // It was taken back, and another one came.
        let third = second.install(of("1.3.0"), "7.1.1.0");
        assert_eq!(third.version_of("7.1.1.0"), Some("1.1.0"));
        assert_eq!(third.version_of("7.1.2.0"), None);
    }

    #[test]
    fn the_version_that_is_told_is_that_of_the_manifest_of_the_bundle_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::below(dir.path());
        let (state, boot) = (layout.state(), layout.boot_state());
        for path in [layout.bundle(), boot.clone()] {
            std::fs::create_dir_all(path).unwrap();
        }
        let own = env!("CARGO_PKG_VERSION");
        assert_eq!(installed_version(Some(&boot), &state), own);
        let bundle = identity_of(&layout.bundle()).unwrap();
        let installed = Installed { version: "9.0.1".to_owned(), bundle, at_s: 9 };
        Record::default().install(installed, "").write(&state).unwrap();
        assert_eq!(installed_version(Some(&boot), &state), "9.0.1");
        assert_eq!(installed_version(None, &state), own, "it is no service");
        std::fs::remove_dir_all(layout.bundle()).unwrap();
        assert_eq!(installed_version(Some(&boot), &state), own);
    }

    #[test]
    fn the_end_of_the_newest_manifest_is_kept_and_an_older_one_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut record = Record::default();
        assert_eq!(record.newest_seen(), None);
        let seen = |counter, expires_s| Seen { counter, expires_s };
        for manifest in [seen(5, 900), seen(7, 500), seen(6, 9_000), seen(7, 600), seen(7, 100)] {
            assert!(record.see("stable", manifest));
        }
        record.write(dir.path()).unwrap();
        assert_eq!(Record::read(dir.path()).unwrap().newest_seen(), Some(seen(7, 600)));
    }

    #[test]
    fn channels_and_answers_are_bounded_so_that_the_file_can_always_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let mut record = Record::default();
        let seen = Seen { counter: u64::MAX, expires_s: u64::MAX };
        for number in 0..MAX_CHANNELS {
            assert!(record.see(&format!("{number:064}"), seen));
        }
        assert!(!record.see("one-more", seen) && record.see(&format!("{:064}", 3), seen));
        for look in 0..100 {
            let update = Update::Failed { why: "ü\u{fffd}\"".repeat(1_000) }.shortened();
            record.answer(LookAnswer { look, update });
        }
        record.write(dir.path()).unwrap();
        let read = Record::read(dir.path()).unwrap();
        assert_eq!((read.answers.len(), read.answers.last().unwrap().look), (8, 99));
        record.counters.insert("x".repeat(70_000), 1);
        assert!(record.write(dir.path()).is_err(), "what cannot be read again is not written");
        assert!(Record::read(dir.path()).is_ok());
    }

    proptest! {
        /// A clock that was ahead keeps nothing away.
        #[test]
        fn a_time_in_the_future_is_not_recent(at: u64, now: u64, span in 1_u64..1_000_000) {
            prop_assert_eq!(is_recent(at, now, span), at <= now && now - at < span);
        }
    }

    #[test]
    fn what_a_later_version_added_is_no_reason_to_fail() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(Record::path(dir.path()), r#"{"version":3,"counters":{"x":1},"moon":true}"#)
            .unwrap();
        assert_eq!(Record::read(dir.path()).unwrap().counters["x"], 1);
    }
}
