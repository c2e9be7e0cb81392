//! Messages to `russet-boot`, which started this process: the progress of the start. And messages
//! of
//! `russet-boot`: the versions that it went back from.
//!
//! The files are described in `docs/service.md`, their text is in `russet_protocol::boot_files`.
//! That nothing can be said to `russet-boot` is no reason to end: it only means that a version in
//! probation is not believed.

use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use libc::O_NOFOLLOW;
use russet_protocol::boot_files::{BAD, Bad, HEALTH, Health, PROBATION, Probation, parse_bad};
use russet_protocol::local::Update;

use super::Sink;
use super::api::Api;
use super::board::Board;
use russet_platform::clock::Clock;
use russet_platform::http;

/// Pauses between two tries to reach the control plane.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Interval of looking whether `russet-boot` has believed a version.
const BELIEVED_SOON: Duration = Duration::from_millis(100);

/// A longer list is none of `russet-boot`.
const LONGEST: u64 = 64 * 1024;

/// The directory of these files.
#[derive(Clone, Debug)]
pub(super) struct BootState(PathBuf);

impl BootState {
    pub(super) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Says that slots are there and tasks adopted, and that the control plane answers as soon
    /// as it does. It is asked for nothing and shown no token: that a claim is refused is for a
    /// person to change, and going back to another version does not help.
    pub(super) async fn prove(self, api: Api, board: Arc<Board>, clock: Clock) {
        self.say(Health::Ready);
        let mut pauses = http::backoff(FIRST_PAUSE, LONGEST_PAUSE);
        while !api.answers().await {
            clock.sleep(pauses.next_pause()).await;
        }
        self.say(Health::Proved);
        while is_in_probation(&self.0) {
            clock.sleep(BELIEVED_SOON).await;
        }
        if matches!(board.status().update, Some(Update::Proving { .. })) {
            board.update(Update::Unknown, clock.wall_ms());
        }
    }

    fn say(&self, health: Health) {
        if let Err(error) = self.write(&health.text(std::process::id())) {
            tracing::warn!(%error, path = %self.0.display(), "could not tell russet-boot");
        }
    }

    /// Returns the note that was written when this version was put in place, until `russet-boot`
    /// believes it.
    fn probation(&self) -> Option<Probation> {
        Probation::parse(&read(&self.0.join(PROBATION)).ok()?)
    }

    fn write(&self, text: &str) -> io::Result<()> {
        let draft = self.0.join(format!("{HEALTH}.new"));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600).custom_flags(O_NOFOLLOW);
        options.open(&draft)?.write_all(text.as_bytes())?;
        std::fs::rename(&draft, self.0.join(HEALTH))
    }

    /// Tells people of this version, if it has to prove itself, or else of the newest one that was
    /// taken back.
    pub(super) fn report(&self, sink: &Sink) {
        if let Some(Probation { version, .. }) = self.probation() {
            sink.board.update(Update::Proving { version }, sink.clock.wall_ms());
            return;
        }
        let Some(Bad { version, reason: why, .. }) = bad_versions(&self.0).pop() else { return };
        sink.warn(format!("version {version} was taken back on this machine: it {why}"));
        // One that is older than this one is history.
        if is_newer(&version, &sink.board.status().agent_version) {
            sink.board.update(Update::RolledBack { version, why }, sink.clock.wall_ms());
        }
    }
}

/// Returns true if the version that runs has yet to prove itself.
pub(crate) fn is_in_probation(boot_state: &Path) -> bool {
    boot_state.join(PROBATION).exists()
}

/// Returns true if a version, as `1.10.0`, comes after another. One that is not so written does: it
/// is none of those before.
fn is_newer(version: &str, than: &str) -> bool {
    let numbers = |text: &str| -> Option<Vec<u64>> {
        text.split(['.', '-', '+']).take(3).map(|number| number.parse().ok()).collect()
    };
    match (numbers(version), numbers(than)) {
        (Some(version), Some(than)) => version > than,
        _ => true,
    }
}

/// The versions that `russet-boot` went back from, the newest last; none where nothing says so.
#[must_use]
pub fn bad_versions(boot_state: &Path) -> Vec<Bad> {
    parse_bad(&read(&boot_state.join(BAD)).unwrap_or_default())
}

fn read(path: &Path) -> io::Result<String> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.read(true).custom_flags(O_NOFOLLOW).open(path)?;
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::{BootState, bad_versions, is_newer};
    use crate::launch::{Event, Sink};
    use russet_protocol::boot_files::{HEALTH, Health, PROBATION, Probation};
    use russet_protocol::local::Update;

    #[test]
    fn russet_boot_hears_of_this_very_process() {
        let dir = tempfile::tempdir().unwrap();
        BootState::new(dir.path()).say(Health::Ready);
        let text = std::fs::read_to_string(dir.path().join(HEALTH)).unwrap();
        assert_eq!(Health::parse(&text, std::process::id()), Some(Health::Ready));
        assert_eq!(Health::parse(&text, 1), None);
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(is_newer("1.10.0", "1.9.3"));
        assert!(!is_newer("1.9.3", "1.9.3"));
        assert!(!is_newer("1.9.3-rc1", "1.10.0"));
        assert!(is_newer("unknown", "1.10.0"));
    }

    #[test]
    fn a_version_that_was_taken_back_is_reported_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(bad_versions(dir.path()), []);
        let text =
            "bad 1.3.0 7.1.2 crashed was killed by signal 11\nbad 1.4.0 8.1.2 hung was not ready\n";
        std::fs::write(dir.path().join("bad"), text).unwrap();
        let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
        let sink = Sink { events: Some(sender), ..Sink::default() };
        BootState::new(dir.path()).report(&sink);
        let (version, why) = ("1.4.0".to_owned(), "was not ready".to_owned());
        assert_eq!(sink.board.status().update, Some(Update::RolledBack { version, why }));
        let Ok(Event::Notice(text)) = events.try_recv() else { panic!("nothing was said") };
        assert!(text.contains("1.4.0") && text.contains("was not ready"), "{text}");
        assert_eq!(bad_versions(dir.path()).len(), 2);
    }

    #[test]
    fn a_version_that_has_to_prove_itself_is_reported_before_any_that_was_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("bad"), "bad 1.4.0 8.1.2 hung was not ready\n").unwrap();
        let probation =
            Probation { version: "1.5.0".to_owned(), bundle: "9.1.2".to_owned(), limit: 60 };
        std::fs::write(dir.path().join(PROBATION), probation.text()).unwrap();
        let sink = Sink::default();
        BootState::new(dir.path()).report(&sink);
        assert_eq!(
            sink.board.status().update,
            Some(Update::Proving { version: "1.5.0".to_owned() })
        );
    }
}
