//! Nothing of a task outlives it.
//!
//! First what would start things again (the user's crontab, `at` jobs, its launchd domain), then
//! its processes, then its IPC objects and its files in directories that everybody shares. At
//! the end of a task what had to be ended or removed is shown in a step of its own, because it
//! is often what an author wonders about ("my server was gone in the next job").
//!
//! What belongs to a user is only touched where that user is the slot's alone. For a caller who
//! is a person, only what descends from the task agent is.

mod files;
mod processes;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use russet_protocol::supervise::{Assignment, SlotUser, exit};
use russet_protocol::task::CLEAN_UP_STEP;

use super::context::{Context, StepEnd};
use super::{complain, os};

/// Deleting what a job left may take so long; the rest is for the next clean-up.
const LONGEST_DELETION: Duration = Duration::from_secs(60);

/// Ends and removes what the job left behind, and shows it.
pub(crate) async fn end_of_task(context: &Context) {
    let user = context.assignment.user.as_ref();
    let sessions = context.reaper.sessions();
    let reaper = context.reaper.clone();
    let mut lines = sweep_processes(user, &sessions, &|| reaper.reap_now());
    if let Some(user) = dedicated(user) {
        lines.extend(sweep_things(user, &context.assignment));
    }
    if lines.is_empty() {
        return;
    }
    context.step_started(CLEAN_UP_STEP, "Clean up", false, None);
    if let Ok(log) = context.spool.log(CLEAN_UP_STEP) {
        context.say(&log, &lines.join("\n"));
    }
    context.step_finished(CLEAN_UP_STEP, &StepEnd::success());
    // The uploader has something to do meanwhile.
    tokio::task::yield_now().await;
}

/// Cleans a slot after its task: processes, shared things, and the slot's own directories, which
/// are empty afterwards. Returns the exit code.
pub(crate) fn clean(assignment: &Assignment) -> i32 {
    let user = assignment.user.as_ref();
    if let Some(user) = dedicated(user) {
        for line in sweep_processes(Some(user), &BTreeSet::new(), &|| {}) {
            complain(&line);
        }
        sweep_things(user, assignment);
    }
    let until = Instant::now() + LONGEST_DELETION;
    let dirs = &assignment.dirs;
    let mut code = exit::REPORTED;
    for dir in [&dirs.work, &dirs.home, &dirs.tmp, &dirs.spool] {
        if let Err(error) = files::empty(dir, until) {
            complain(&format!("could not empty {}: {error}", dir.display()));
            code = exit::NOT_REPORTED;
        }
    }
    code
}

/// The user, if all of it is the slot's and this process is it.
fn dedicated(user: Option<&SlotUser>) -> Option<&SlotUser> {
    user.filter(|user| user.dedicated && user.uid == nix::unistd::getuid().as_raw())
}

fn sweep_processes(
    user: Option<&SlotUser>,
    sessions: &BTreeSet<i32>,
    reap: &dyn Fn(),
) -> Vec<String> {
    match dedicated(user) {
        Some(user) => {
            let mut lines =
                if user.name.is_some() { os::stop_respawning(user.uid) } else { vec![] };
            lines.extend(processes::end_all_of_user(user.uid, reap));
            lines
        }
        None => processes::end_descendants(sessions, reap),
    }
}

/// IPC objects, and files in shared directories.
fn sweep_things(user: &SlotUser, assignment: &Assignment) -> Vec<String> {
    let mut lines = Vec::new();
    match os::remove_ipc(user.uid) {
        0 => {}
        1 => lines.push("removed a System V IPC object that the job left".to_owned()),
        count => lines.push(format!("removed {count} System V IPC objects that the job left")),
    }
    let until = Instant::now() + LONGEST_DELETION;
    let spared: Vec<PathBuf> = assignment.dirs.root.ancestors().map(PathBuf::from).collect();
    for dir in os::SHARED_DIRECTORIES {
        lines.extend(files::remove_owned(dir.as_ref(), user.uid, &spared, until));
    }
    lines
}
