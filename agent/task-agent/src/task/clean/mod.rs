//! Nothing of a task outlives it.
//!
//! First what would start things again (the user's launchd domain, its crontab, `at` jobs), then
//! its processes, then what it mounted, its IPC objects, its keys in the kernel and its files in
//! directories that are not the slot's. At the end of a task what had to be ended or removed is shown in a step of its own,
//! because it is often what an author wonders about ("my server was gone in the next job"), and
//! counted for the owner's metrics.
//!
//! Things of a user are only touched where that user is the slot's alone. For a caller who
//! is a person, only descendants of the task agent are.

mod aside;
pub(crate) mod files;
mod homes;
mod listing;
mod moment;
mod processes;
mod reach;
mod refusal;
mod respawn;
mod shared;
mod survey;
pub(crate) mod tally;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use russet_protocol::supervise::{Assignment, LeftBehind, SlotDirs, SlotUser, Tidy, exit};
use russet_protocol::task::CLEAN_UP_STEP;

pub(crate) use self::aside::empty_aside;
pub(crate) use self::reach::Reach;
pub(crate) use self::survey::list_shared_directories;
use self::tally::{Kind, Tally};
use super::credentials;
use super::journal::Journal;
use super::reaper::Reaper;
use super::step_end::StepEnd;
use crate::stderr::print_error;
use russet_platform::os;

/// Time for looking at everything and deleting what a job left. A helper is killed a little later,
/// and goes on the next time: what is deleted is done.
const MAX_CLEANING_TIME: Duration = Duration::from_secs(150);

/// The task agent's own share of that: heartbeats have no answer meanwhile.
const MAX_OWN_TIME: Duration = Duration::from_secs(10);

/// Findings of the clean-up at the end of a task.
#[derive(Debug)]
pub(crate) struct Cleaned {
    /// Number of things of each kind that the job had left.
    pub(crate) left: Vec<LeftBehind>,
    /// Set if all of it is gone, so that the slot may have its next task.
    pub(crate) is_done: bool,
}

impl Cleaned {
    /// Of a task of which nothing ran.
    pub(crate) fn nothing() -> Self {
        Self { left: Vec::new(), is_done: true }
    }
}

/// Ends and removes what the job left behind, shows it, and says how much it was.
pub(crate) async fn end_of_task(
    assignment: &Assignment,
    reach: &Reach,
    reaper: &Reaper,
    journal: &Journal,
) -> Cleaned {
    let user = assignment.user.as_ref();
    let sessions = reaper.sessions();
    let mut tally = Tally::default();
    let since = russet_platform::start_time(std::process::id());
    sweep_processes(assignment, since, &sessions, &|| reaper.reap_now(), &mut tally);
    credentials::remove(&assignment.dirs).iter().for_each(|line| print_error(line));
    if let Some(user) = dedicated_user(user) {
        let until = Instant::now() + MAX_OWN_TIME;
        sweep_things(user, assignment, reach, since, until, &mut tally);
    }
    if tally.is_worth_showing() {
        let table = tally.table(&|text| journal.masks().apply(text));
        journal.show_step(CLEAN_UP_STEP, "Clean up", &table, &StepEnd::success());
        // The uploader has something to do meanwhile.
        tokio::task::yield_now().await;
    }
    Cleaned { left: tally.numbers(), is_done: !tally.holds_slot() }
}

/// Cleans a slot after its task: processes, shared things, and the slot's own directories, which
/// are empty afterwards. Returns the exit code.
///
/// A process that does not end, a directory that does not get empty, a file elsewhere that stays and
/// a look around that does not end hold the slot: the next task would meet them. The last lines on
/// the standard error say which.
///
/// Where nothing is left but what the system refuses to delete in the slot's own directories, the
/// exit code says so, and the last line how much that is: root can move those aside.
pub(crate) fn clean_slot(assignment: &Assignment, reach: &Reach) -> i32 {
    let user = assignment.user.as_ref();
    let until = Instant::now() + MAX_CLEANING_TIME;
    let mut is_held = false;
    if let Some(user) = dedicated_user(user) {
        let mut tally = Tally::default();
        let since = assignment.gui.as_ref().and_then(|gui| gui.since);
        sweep_processes(assignment, since, &BTreeSet::new(), &|| {}, &mut tally);
        sweep_things(user, assignment, reach, since, until, &mut tally);
        tally.complaints().iter().for_each(|line| print_error(&tally::one_line(line)));
        is_held = tally.holds_slot();
    }
    let dirs = &assignment.dirs;
    // Of a task agent that was killed.
    credentials::remove(dirs).iter().for_each(|line| print_error(line));
    let mut kept = Vec::new();
    for dir in [&dirs.work, &dirs.home, &dirs.tmp, &dirs.spool] {
        if let Err(error) = files::empty_directory(dir, until) {
            print_error(&format!("could not empty {}: {error}", dir.display()));
            // One that the owner chose cannot be moved aside.
            is_held |= !refusal::is_refusal(&error) || !dir.starts_with(&dirs.root);
            kept.push(dir);
        }
    }
    match (is_held, kept.is_empty()) {
        (true, _) => exit::NOT_REPORTED,
        (false, true) => exit::REPORTED,
        (false, false) => {
            let bytes = kept.iter().map(|dir| aside::measure_path(dir)).sum();
            aside::print_sum(bytes);
            exit::REFUSED
        }
    }
}

/// The task agent's own emptying may take so long: heartbeats have no answer meanwhile. What takes
/// longer is for a helper.
const LONGEST_TIDYING: Duration = Duration::from_secs(2);

/// Empties the slot's directories at the very end of a task whose outcome is reported. Answers
/// whether all that was asked for is empty.
///
/// The spool comes last, and is only touched when the rest is empty: until then it says how the
/// task ended.
pub(crate) fn tidy_up(dirs: &SlotDirs, tidy: Tidy) -> bool {
    let work = match tidy {
        Tidy::Nothing => return false,
        Tidy::AllButWork => None,
        Tidy::All => Some(&dirs.work),
    };
    let until = Instant::now() + LONGEST_TIDYING;
    work.into_iter()
        .chain([&dirs.home, &dirs.tmp, &dirs.spool])
        .all(|dir| files::empty_directory(dir, until).is_ok())
}

/// Processes of a slot while its task runs.
#[derive(Debug)]
pub(crate) struct SlotProcesses {
    user: Option<SlotUser>,
    /// Set where the slot has a session at the screen, which has processes of its own.
    has_session: bool,
}

impl SlotProcesses {
    /// Processes of the slot that an assignment is for.
    pub(crate) fn of_assignment(assignment: &Assignment) -> Self {
        Self { user: assignment.user.clone(), has_session: assignment.gui.is_some() }
    }

    /// Lists the processes of the task, except for the task agent itself.
    pub(crate) fn list_running(&self) -> Vec<os::ProcessInfo> {
        let Ok(all) = os::processes() else { return Vec::new() };
        let me = std::process::id().cast_signed();
        let mut found = match dedicated_user(self.user.as_ref()) {
            Some(user) if self.has_session => {
                let since = russet_platform::start_time(me.unsigned_abs()).unwrap_or(u64::MAX);
                let own = all.into_iter().filter(|process| process.uid == user.uid);
                processes::begun_since(&own.collect::<Vec<_>>(), since)
            }
            Some(user) => all.into_iter().filter(|process| process.uid == user.uid).collect(),
            None => processes::descendants(&all, me, &Reaper::own_session()),
        };
        found.retain(|process| process.pid != me);
        found
    }
}

/// Everybody whose ancestors include `pid`.
pub(crate) fn descendants_of(processes: &[os::ProcessInfo], pid: i32) -> Vec<os::ProcessInfo> {
    processes::descendants(processes, pid, &BTreeSet::new())
}

/// The user, if all of it is the slot's and this process is it.
fn dedicated_user(user: Option<&SlotUser>) -> Option<&SlotUser> {
    user.filter(|user| user.dedicated && user.uid == nix::unistd::getuid().as_raw())
}

fn sweep_processes(
    assignment: &Assignment,
    since: Option<u64>,
    sessions: &BTreeSet<i32>,
    reap: &dyn Fn(),
    tally: &mut Tally,
) {
    match dedicated_user(assignment.user.as_ref()) {
        // The session at the screen goes on: what it began with stays.
        Some(user) if assignment.gui.is_some() => {
            respawn::stop_in_session(user.uid, tally);
            if let Some(since) = since {
                processes::end_since(user.uid, since, reap, tally);
            }
        }
        Some(user) => {
            // Only who is in the user database can have any of it.
            if user.name.is_some() {
                respawn::stop_respawning(user.uid, tally);
            }
            processes::end_all_of_user(user.uid, reap, tally);
        }
        None => processes::end_descendants(sessions, reap, tally),
    }
}

/// Mounts, IPC objects, keys, and files in directories that are not the slot's. `since` is the start
/// of the task agent, before which everything belongs to a session at the screen, if there is one.
fn sweep_things(
    user: &SlotUser,
    assignment: &Assignment,
    reach: &Reach,
    since: Option<u64>,
    until: Instant,
    tally: &mut Tally,
) {
    let has_session = assignment.gui.is_some();
    // Before anything is deleted: what is mounted may be somewhere in it, and be without end. Those
    // of a session at the screen are not told from its task's.
    if !has_session {
        unmount_all(user.uid, tally);
    }
    tally.removed_more(Kind::IpcObjects, u64::try_from(os::remove_ipc(user.uid)).unwrap_or(0));
    remove_keys(user.uid, tally);
    let dirs = &assignment.dirs;
    let spared: Vec<PathBuf> = dirs.root.ancestors().map(PathBuf::from).collect();
    let session = has_session.then(|| moment::of_process_start(since));
    let sweep = shared::Sweep { uid: user.uid, spared: &spared, until, session };
    for dir in os::SHARED_DIRECTORIES {
        let is_opened = reach.unreadable.iter().any(|(path, _)| path == Path::new(dir));
        if !is_opened {
            sweep.directory(Path::new(dir), kind_of(dir), reach.since(), tally);
        }
    }
    for dir in &reach.listed {
        sweep.directory(dir, Kind::SharedFiles, None, tally);
    }
    for (path, dir) in &reach.unreadable {
        sweep.open(dir, path, Kind::SharedFiles, tally);
    }
    if let Some(queues) = &reach.queues {
        sweep.open(queues, Path::new("/dev/mqueue"), Kind::IpcObjects, tally);
    }
    // Under the programs of a session they are in use.
    if !has_session {
        for dir in os::user_directories(user.uid) {
            sweep.directory(&dir, Kind::UserFiles, None, tally);
        }
    }
    homes::sweep_homes(&sweep, &dirs.home, user.name.is_some(), has_session, tally);
}

fn remove_keys(uid: u32, tally: &mut Tally) {
    let (removed, kept) = os::remove_keys(uid);
    tally.removed_more(Kind::KernelKeys, removed);
    if kept > 0 {
        let why = "their permissions do not allow it; they are gone when the machine starts again";
        tally.kept(Kind::KernelKeys, &format!("{kept} keys of user {uid} in the kernel"), why);
    }
}

/// POSIX IPC objects are files in memory on Linux.
fn kind_of(shared: &str) -> Kind {
    if shared.starts_with("/dev/") { Kind::IpcObjects } else { Kind::SharedFiles }
}

/// Takes down what the user mounted, as that user: a system lets those unmount who mounted.
/// Root takes no part in it. The path of a mount is the job's to choose, and what it leads to can
/// be exchanged between a look at the mount table and the unmounting.
fn unmount_all(uid: u32, tally: &mut Tally) {
    for (image, detached) in os::detach_images(uid) {
        match detached {
            Ok(()) => tally.removed(Kind::Mounts, 0, &image),
            Err(error) => tally.kept(Kind::Mounts, &image, &error.to_string()),
        }
    }
    // The last one first: it may stand on the others.
    for path in os::mounts(uid).iter().rev() {
        let shown = path.display().to_string();
        match os::unmount(path) {
            Ok(()) => tally.removed(Kind::Mounts, 0, &shown),
            Err(error) => tally.kept(Kind::Mounts, &shown, &error.to_string()),
        }
    }
}
