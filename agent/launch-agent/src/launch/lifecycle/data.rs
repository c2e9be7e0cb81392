//! The directory that slots lie in: its volume, and moving slots there that an earlier version has
//! elsewhere.
//!
//! Slots lay in the state directory once. On macOS that is below `/var`, a link, which tools that
//! compare paths as text do not get over. So they move, by one rename: a launch agent that is killed
//! finds them where they were or where they will be. A task that runs knows its paths, so nothing
//! moves under one, nor while this version has to prove itself; the records in the state directory
//! stay, where `russet-boot` and earlier versions look for them.

use std::io;
use std::path::{Path, PathBuf};

use russet_platform::replace::sync_directory;
use russet_platform::volume::{self, VolumeError};

use crate::config::Config;
use crate::launch::events::EventSink;

/// Directory of all slots, in that of state or of data.
const SLOTS: &str = "slots";

/// Decision about the slots of an earlier version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// They are where they should be, or there are none.
    Settled,
    /// They move.
    Move,
    /// A task runs in one of them, or this version may be taken back: they are used where they are
    /// until the next start.
    Wait,
    /// There are others at the new place already: those count.
    Leave,
}

/// State of a directory of slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    /// It is there.
    exists: bool,
    /// There is a task in one of them.
    is_busy: bool,
}

fn look_at(directory: &Path) -> Found {
    let slots = directory.join(SLOTS);
    // A link leads to those that have moved.
    if slots.is_symlink() {
        return Found::default();
    }
    let Ok(entries) = std::fs::read_dir(&slots) else { return Found::default() };
    let is_busy = entries.flatten().any(|slot| slot.path().join("journal.json").exists());
    Found { exists: true, is_busy }
}

/// Decides about slots in the state directory, where slots belong into `data`. `is_proving`: this
/// version may be taken back.
pub(super) fn choose_data(state: &Path, data: &Path, is_proving: bool) -> Choice {
    if state == data { Choice::Settled } else { decide(look_at(state), look_at(data), is_proving) }
}

fn decide(before: Found, now: Found, is_proving: bool) -> Choice {
    match (before, now) {
        (Found { exists: false, .. }, _) => Choice::Settled,
        (Found { is_busy: true, .. }, _) => Choice::Wait,
        (_, Found { exists: true, .. }) => Choice::Leave,
        _ if is_proving => Choice::Wait,
        _ => Choice::Move,
    }
}

/// Moves slots, where that was decided, and returns the directory in which they are used.
pub(super) fn place_slots(choice: Choice, state: &Path, data: &Path, sink: &EventSink) -> PathBuf {
    match choice {
        Choice::Settled | Choice::Leave => data.to_owned(),
        Choice::Wait => {
            tracing::info!(
                from = %state.display(), to = %data.display(),
                "slots move when the agent starts again and no task runs"
            );
            state.to_owned()
        }
        Choice::Move => match move_slots(state, data) {
            Ok(()) => {
                tracing::info!(from = %state.display(), to = %data.display(), "slots have moved");
                data.to_owned()
            }
            // They are empty but for copies, which are made again.
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                sink.warn(format!(
                    "slots are made anew in {}, which is on another volume than {}; those of before \
                     go when the agent is removed",
                    data.display(),
                    state.join(SLOTS).display()
                ));
                data.to_owned()
            }
            Err(error) => {
                sink.warn(format!(
                    "slots could not move from {} to {}: {error}; they are used where they are",
                    state.display(),
                    data.display()
                ));
                state.to_owned()
            }
        },
    }
}

/// Moves all slots by one rename. Both directories are root's, and nobody else may change them.
fn move_slots(state: &Path, data: &Path) -> io::Result<()> {
    // As whoever starts next finds it.
    drop(super::super::slot_dir::make_state(data)?);
    std::fs::rename(state.join(SLOTS), data.join(SLOTS))?;
    sync_directory(data)?;
    sync_directory(state)
}

/// Refuses directories on volumes that keep no owners, as far as that can be asked.
pub(super) fn check_volumes(config: &Config) -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let work =
        config.working_directory.as_deref().map(|text| PathBuf::from(text.replace("%s", "1")));
    let named = [&config.state_directory, &config.data_directory].into_iter();
    let named = named.chain(&work).chain(&config.housekeeping.paths);
    named.map(|path| volume::check_volume(path)).try_for_each(|checked| checked.map_err(in_words))
}

/// Refuses a directory on a volume that keeps no owners.
pub(super) fn check_directory(path: &Path) -> Result<(), String> {
    volume::check_directory(path).map_err(in_words)
}

fn in_words(error: VolumeError) -> String {
    format!("{error}\n  hint: {}", error.hint())
}

#[cfg(test)]
mod tests {
    use super::{Choice, Found, choose_data, decide, place_slots};
    use crate::launch::events::EventSink;
    use std::path::Path;

    #[test]
    fn slots_move_unless_a_task_runs_in_one_or_there_are_others_already() {
        let none = Found::default();
        let idle = Found { exists: true, is_busy: false };
        let busy = Found { exists: true, is_busy: true };
        assert_eq!(decide(idle, none, true), Choice::Wait);
        assert_eq!(decide(none, none, true), Choice::Settled);
        for (before, now, wanted) in [
            (none, none, Choice::Settled),
            (none, busy, Choice::Settled),
            (idle, none, Choice::Move),
            (busy, none, Choice::Wait),
            (busy, idle, Choice::Wait),
            (idle, idle, Choice::Leave),
            (idle, busy, Choice::Leave),
        ] {
            assert_eq!(decide(before, now, false), wanted, "{before:?} {now:?}");
        }
    }

    fn place(state: &Path, data: &Path) -> std::path::PathBuf {
        place_slots(choose_data(state, data, false), state, data, &EventSink::default())
    }

    #[test]
    fn slots_move_as_a_whole_once_no_task_runs_in_them() {
        let dir = tempfile::tempdir().unwrap();
        let (state, data) = (dir.path().join("state"), dir.path().join("deep/data"));
        std::fs::create_dir_all(state.join("slots/1/caches/x")).unwrap();
        assert_eq!(place(&state, &state), state);
        std::fs::write(state.join("slots/1/journal.json"), "{}").unwrap();
        assert_eq!(place(&state, &data), state);
        assert!(!data.exists());
        std::fs::remove_file(state.join("slots/1/journal.json")).unwrap();
        for _again in 0..2 {
            assert_eq!(place(&state, &data), data);
            assert!(data.join("slots/1/caches/x").exists() && !state.join("slots").exists());
        }
        // An earlier version ran meanwhile, and made some anew.
        std::fs::create_dir_all(state.join("slots/1/home")).unwrap();
        assert_eq!(place(&state, &data), data);
        assert!(data.join("slots/1/caches/x").exists());
        // What cannot move is used where it is.
        let other = dir.path().join("file");
        std::fs::write(&other, "").unwrap();
        assert_eq!(place(&state, &other.join("data")), state);
    }
}
