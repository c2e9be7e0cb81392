//! Putting a package's files in place: what is not the bundle, and everything where no agent runs.

use std::path::Path;
use std::time::Duration;

use super::PackageError;
use super::arrival::{self, Arrival};
use super::check::check_arrival;
use crate::files::{have_same_content, open_directory, remove_tree};
use crate::update::exchange::{Staged, put_in_place};
use russet_platform::layout::Layout;
use russet_platform::replace::{copy_file, sync_directory, write};
use russet_platform::users::{StateLock, lock_state};

/// Note that a new russet-boot waits for a restart of the job.
const RESTART: &str = "restart";

/// Probation of a version that was put in place while no agent ran: the usual one.
const PROBATION: Duration = Duration::from_secs(300);

/// Result of [`place_unless_running`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    /// This version is in place.
    InPlace(String),
    /// An agent runs, and sees to it.
    ByAgent,
    /// Nothing came, and nothing waits.
    Nothing,
}

/// Work that is left when everything is in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Finishing {
    /// The job has to be started again: its russet-boot is another one.
    pub restarts: bool,
    /// The companion has to be started again.
    pub restarts_menubar: bool,
}

/// Returns true if an agent runs. One that is just being started anew does not, for a moment.
///
/// # Errors
///
/// The state directory's lock cannot be looked at.
pub fn is_agent_running(layout: &Layout) -> Result<bool, PackageError> {
    Ok(matches!(lock_installation(&layout.state())?, Locked::ByAgent))
}

/// Puts everything that came in place, where no agent runs. What an agent has taken is left to it: the
/// version may be in place already, and have to prove itself first.
///
/// # Errors
///
/// Reason not to trust what came, or not to put it in place.
pub fn place_unless_running(layout: &Layout, now_s: u64) -> Result<Placed, PackageError> {
    let state = layout.state();
    let _lock = match lock_installation(&state)? {
        Locked::ByAgent => return Ok(Placed::ByAgent),
        Locked::Here(lock) => lock,
    };
    let is_taken = arrival::take_incoming(layout)?;
    let Some(arrival) = arrival::read_arrived(layout)? else { return Ok(Placed::Nothing) };
    if !is_taken {
        return Ok(Placed::ByAgent);
    }
    check_arrival(&arrival, layout)?;
    place_bundle(&arrival, layout, now_s)?;
    place_others(layout)?;
    arrival::forget_arrived(layout)?;
    Ok(Placed::InPlace(arrival.note.version))
}

enum Locked {
    /// An agent runs.
    ByAgent,
    /// None does, as long as this lives; without a state directory none can.
    Here(Option<StateLock>),
}

fn lock_installation(state: &Path) -> Result<Locked, PackageError> {
    if !state.is_dir() {
        return Ok(Locked::Here(None));
    }
    let locked = open_directory(nix::fcntl::AT_FDCWD, state)
        .and_then(|directory| lock_state(&directory))
        .map_err(PackageError::file("lock", state))?;
    Ok(locked.map_or(Locked::ByAgent, |lock| Locked::Here(Some(lock))))
}

fn place_bundle(arrival: &Arrival, layout: &Layout, now_s: u64) -> Result<(), PackageError> {
    let (from, to) = (arrival.bundle(layout), layout.bundle());
    let is_same = have_same_content(&arrival.executable(layout), &layout.executable());
    if !from.exists() || is_same.unwrap_or(false) {
        return Ok(());
    }
    // With a version before, and a place for russet-boot to remember it, as an update does it.
    if to.exists() && layout.boot_state().is_dir() {
        let staged = Staged {
            version: arrival.note.version.clone(),
            bundle: from,
            layout: layout.clone(),
            state: layout.state(),
            probation: PROBATION,
        };
        return put_in_place(&staged, now_s)
            .map_err(|error| PackageError::Version(error.to_string()));
    }
    move_aside(&to, &layout.previous())?;
    std::fs::rename(&from, &to).map_err(PackageError::file("put in place", &to))?;
    sync(&layout.code())
}

/// Puts russet-boot, the uninstaller and the companion in place. Running it again finishes what was
/// killed.
///
/// # Errors
///
/// A file cannot be written.
pub fn place_others(layout: &Layout) -> Result<Finishing, PackageError> {
    let Some(arrival) = arrival::read_arrived(layout)? else { return Ok(Finishing::default()) };
    let agent = arrival.agent();
    let note = arrival.directory.join(RESTART);
    for name in ["russet-boot", "uninstall.sh"] {
        let (from, to) = (agent.join(name), layout.code().join(name));
        if !from.exists() || have_same_content(&from, &to).unwrap_or(false) {
            continue;
        }
        // Noted first: killed after it was exchanged, the next run knows.
        if to == layout.boot() && to.exists() {
            write(&note, b"", 0o600).map_err(PackageError::file("write", &note))?;
        }
        copy_file(&from, &to, 0o755).map_err(PackageError::file("write", &to))?;
    }
    let restarts_menubar = place_menubar(&arrival, layout)?;
    Ok(Finishing { restarts: note.exists(), restarts_menubar })
}

/// Puts the companion in place. One that runs goes on with the files that it has open.
fn place_menubar(arrival: &Arrival, layout: &Layout) -> Result<bool, PackageError> {
    let (from, to) = (arrival.menubar(layout), layout.menubar_bundle());
    let before = from.with_extension("before");
    if !from.exists() {
        // Put in place by a run that was killed before the companion was started again.
        return Ok(before.exists());
    }
    move_aside(&to, &before)?;
    std::fs::rename(&from, &to).map_err(PackageError::file("put in place", &to))?;
    sync(&layout.code())?;
    Ok(true)
}

/// Moves a directory to another name, in the place of what has it. One that is not there is moved.
fn move_aside(from: &Path, to: &Path) -> Result<(), PackageError> {
    if from.symlink_metadata().is_err() {
        return Ok(());
    }
    remove_tree(to).map_err(PackageError::file("remove", to))?;
    std::fs::rename(from, to).map_err(PackageError::file("move aside", from))
}

fn sync(code: &Path) -> Result<(), PackageError> {
    sync_directory(code).map_err(PackageError::file("sync", code))
}
