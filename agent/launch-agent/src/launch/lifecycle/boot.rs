//! Telling `russet-boot`, which started this process, how far it is, and telling people of the
//! versions that `russet-boot` went back from.
//!
//! The files are described in `docs/service.md`, their text is in `russet_protocol::boot_files`.
//! That nothing can be told to `russet-boot` is no reason to end: it only means that a version in
//! probation is not believed.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use libc::O_NOFOLLOW;
use russet_protocol::boot_files::{Bad, HEALTH, Health, Probation};
use russet_protocol::local::Update;

use crate::board::Board;
use crate::launch::events::EventSink;
use crate::launch::server::Api;
use crate::update::{bad_versions, is_in_probation, is_newer, probation};
use russet_platform::clock::Clock;
use russet_platform::http;

/// Pauses between two tries to reach the control plane.
const FIRST_INTERVAL: Duration = Duration::from_millis(500);
const MAX_INTERVAL: Duration = Duration::from_secs(10);

/// Interval of tries to note the end.
const END_INTERVAL: Duration = Duration::from_secs(1);

/// Interval at which the end of the probation is looked for.
const PROBATION_INTERVAL: Duration = Duration::from_millis(100);

/// The directory of these files.
#[derive(Clone, Debug)]
pub(in crate::launch) struct BootState(PathBuf);

impl BootState {
    pub(in crate::launch) fn new(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Tells that slots are there and tasks adopted, and that the control plane answers as soon
    /// as it does. It is asked for nothing and shown no token: that a claim is refused is for a
    /// person to change, and going back to another version does not help.
    pub(in crate::launch) async fn prove(self, api: Api, board: Arc<Board>, clock: Clock) {
        self.tell(Health::Ready);
        let mut pauses = http::backoff(FIRST_INTERVAL, MAX_INTERVAL);
        while !api.answers().await {
            clock.sleep(pauses.next_pause()).await;
        }
        self.tell(Health::Proved);
        while is_in_probation(&self.0) {
            clock.sleep(PROBATION_INTERVAL).await;
        }
        if matches!(board.status().update, Some(Update::Proving { .. })) {
            board.update(Update::Unknown, clock.wall_ms());
        }
    }

    /// Notes that this process ends because its owner wants it to, without which `russet-boot`
    /// starts it again. Returns when it is noted: an agent in single-task mode must not take a
    /// second task because a disk was full.
    pub(in crate::launch) async fn note_end(&self, clock: &Clock) {
        let mut was_said = false;
        while let Err(error) = self.write_end() {
            if !std::mem::replace(&mut was_said, true) {
                tracing::error!(
                    %error,
                    path = %self.0.display(),
                    "could not note that this agent ends as asked; it stays until it can, since it \
                     would be started again"
                );
            }
            clock.sleep(END_INTERVAL).await;
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the directory is root's; the text is parsed and believed in nothing else"
    )]
    fn write_end(&self) -> io::Result<()> {
        let told = std::fs::read_to_string(self.0.join(HEALTH)).unwrap_or_default();
        self.write(&Health::ending_text(&told, std::process::id()))
    }

    fn tell(&self, health: Health) {
        if let Err(error) = self.write(&health.text(std::process::id())) {
            tracing::warn!(%error, path = %self.0.display(), "could not tell russet-boot");
        }
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
    pub(in crate::launch) fn show_state(&self, sink: &EventSink) {
        if let Some(Probation { version, .. }) = probation(&self.0) {
            sink.board.update(Update::Proving { version }, sink.clock.wall_ms());
            return;
        }
        let Some(bad) = bad_versions(&self.0).pop() else { return };
        let (why, Bad { version, .. }) = (bad.why(), bad);
        sink.warn(format!("version {version} was taken back on this machine: it {why}"));
        // One that is older than this one is history.
        if is_newer(&version, &sink.board.status().agent_version) {
            sink.board.update(Update::RolledBack { version, why }, sink.clock.wall_ms());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BootState, bad_versions};
    use crate::board::Event;
    use crate::launch::events::EventSink;
    use russet_platform::clock::Clock;
    use russet_protocol::boot_files::{HEALTH, Health, PROBATION, Probation};
    use russet_protocol::local::Update;

    #[test]
    fn russet_boot_hears_of_this_very_process() {
        let dir = tempfile::tempdir().unwrap();
        BootState::new(dir.path()).tell(Health::Ready);
        let text = std::fs::read_to_string(dir.path().join(HEALTH)).unwrap();
        assert_eq!(Health::parse(&text, std::process::id()), Some(Health::Ready));
        assert_eq!(Health::parse(&text, 1), None);
    }

    #[tokio::test]
    async fn an_end_as_asked_is_noted_as_soon_as_there_is_room_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let boot = BootState::new(dir.path());
        boot.tell(Health::Proved);
        // In the way, as a disk without room is.
        let draft = dir.path().join(format!("{HEALTH}.new"));
        std::fs::create_dir(&draft).unwrap();
        let (clock, pid) = (Clock::system(), std::process::id());
        let mut noting = std::pin::pin!(boot.note_end(&clock));
        assert!(futures_util::poll!(&mut noting).is_pending());
        std::fs::remove_dir(&draft).unwrap();
        noting.await;
        let text = std::fs::read_to_string(dir.path().join(HEALTH)).unwrap();
        assert!(Health::ends_as_asked(&text, pid));
        assert_eq!(Health::parse(&text, pid), Some(Health::Proved));
    }

    #[test]
    fn a_version_that_was_taken_back_is_reported_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(bad_versions(dir.path()), []);
        let text =
            "bad 1.3.0 7.1.2 crashed was killed by signal 11\nbad 1.4.0 8.1.2 hung was not ready\n";
        std::fs::write(dir.path().join("bad"), text).unwrap();
        let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
        let sink = EventSink { events: Some(sender), ..EventSink::default() };
        BootState::new(dir.path()).show_state(&sink);
        let version = "1.4.0".to_owned();
        let why =
            "was not ready; it is not tried again on this machine, a later version is".to_owned();
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
        let sink = EventSink::default();
        BootState::new(dir.path()).show_state(&sink);
        assert_eq!(
            sink.board.status().update,
            Some(Update::Proving { version: "1.5.0".to_owned() })
        );
    }
}
