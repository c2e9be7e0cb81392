//! The task agent: one process that runs one task as the slot's user.
//!
//! It is started as root or as the caller, reads its assignment from the standard input, gives up
//! root for good, and only then does anything else. Then it fetches the task's config, runs the
//! steps, keeps their output on disk and sends it, ends what the job left running, reports the
//! outcome and leaves a record of it.
//!
//! The same program, started in other modes, sends what a killed task agent left behind, gives a
//! task back, and cleans a slot: all of that happens inside directories that a job could write
//! to, so it is never done by root.

mod api;
mod artifacts;
mod assemble;
mod assignment;
mod checkout;
mod clean;
mod command;
mod credentials;
mod directories;
mod disk;
mod environment;
mod environment_size;
mod events;
mod external;
mod flush;
mod heartbeat;
mod history;
mod home;
mod hooks;
mod job;
mod journal;
mod kept;
mod kill;
mod login_path;
mod machine_step;
mod own_socket;
mod owner_step;
mod privileges;
mod process_table;
mod pty;
mod reader;
mod reaper;
mod record;
mod refusals;
mod run;
mod script;
mod secrets;
mod setup;
mod shell;
mod spool;
mod ssh;
mod ssh_keys;
mod step_end;
mod stop;
mod storage;
mod supervisor;
mod test_results;
mod trim;
mod upload;
mod warm_up;
mod xcode;

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use nix::fcntl::Flock;
use russet_platform::shared_directories::SharedDirectoryList;
use russet_protocol::supervise::{Assignment, Mode, exit};

use crate::stderr::print_error;

#[cfg(test)]
mod testing;

/// The whole `russet task-agent`. Call it first thing in `main`: it needs to be the only thread.
#[must_use]
pub fn main() -> ExitCode {
    let code = run_assignment();
    ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}

fn run_assignment() -> i32 {
    let assignment = match assignment::take() {
        Ok(assignment) => assignment,
        Err(error) => {
            print_error(&error);
            return exit::BAD_ASSIGNMENT;
        }
    };
    // Only root can reach these, and the user that it becomes may use no others.
    let mut copies = open_copies(&assignment);
    let kept = kept::KeptDirectories::open(&assignment);
    let gone = open_gone(&assignment);
    let memory = open_memory(&assignment);
    let reach = clean::Reach::take(&assignment);
    let draft = (assignment.mode == Mode::Survey)
        .then(|| SharedDirectoryList::of_machine().open_draft())
        .transpose();
    let (user, is_gui) = (assignment.user.as_ref(), assignment.gui.is_some());
    if let Err(error) = privileges::drop_for_good(user, &assignment.limits, is_gui) {
        print_error(&error);
        return exit::NOT_DROPPED;
    }
    // Where the slot's directories are gone, the modes below say so when they use them.
    drop(std::env::set_current_dir(&assignment.dirs.work));
    match assignment.mode {
        Mode::Run => {
            let local = copies.pop().map(|(_, dir)| storage::Local::new(dir)).unwrap_or_default();
            local.tidy();
            run::run_process(assignment, run::Opened { local, reach, kept })
        }
        Mode::Flush => flush::flush(assignment),
        Mode::Clean => clean::clean_slot(&assignment, &reach),
        Mode::EmptyAside => clean::empty_aside(&copies),
        Mode::Unclaim => flush::unclaim(assignment),
        Mode::External => external::external(assignment),
        Mode::Trim => {
            let trim = |asked| trim::trim_all(asked, &copies, &gone, memory);
            assignment.trim.as_ref().map_or(exit::BAD_ASSIGNMENT, trim)
        }
        Mode::Survey => match draft {
            Ok(draft) => draft.map_or(exit::BAD_ASSIGNMENT, clean::list_shared_directories),
            Err(error) => {
                print_error(&format!("could not make the list of shared directories: {error}"));
                exit::NOT_REPORTED
            }
        },
    }
}

/// Opens the directories of sets that go.
fn open_gone(assignment: &Assignment) -> Vec<(PathBuf, Flock<OwnedFd>)> {
    let uid = user_id(assignment);
    assignment.trim.as_ref().map_or_else(Vec::new, |trim| kept::open_gone(&trim.gone, uid))
}

/// Opens the file of what trimming knows from earlier, which is root's.
fn open_memory(assignment: &Assignment) -> Option<File> {
    let path = assignment.trim.as_ref()?.memory.as_ref()?;
    let mut options = File::options();
    options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC);
    let opened = options.open(path);
    opened.map_err(|error| print_error(&format!("{}: {error}", path.display()))).ok()
}

/// Returns the id of the user that this process becomes or is.
fn user_id(assignment: &Assignment) -> u32 {
    assignment.user.as_ref().map_or_else(|| nix::unistd::getuid().as_raw(), |user| user.uid)
}

/// Opens the directories that the assignment names and that only root can reach: for a task that of
/// the copies of archives that it may use, which it can do without; to trim all of those; and those
/// that were moved aside.
fn open_copies(assignment: &Assignment) -> Vec<(PathBuf, OwnedFd)> {
    let uid = user_id(assignment);
    let of_trim = assignment.trim.iter().flat_map(|trim| &trim.copies);
    let mut opened = Vec::new();
    let of_task = assignment.caches.iter().filter(|_| assignment.mode == Mode::Run);
    let aside = assignment.aside.iter().filter(|_| assignment.mode == Mode::EmptyAside);
    for path in of_task.chain(of_trim).chain(aside) {
        match storage::open_local(path, uid) {
            Ok(dir) => opened.push((path.clone(), dir)),
            Err(error) => print_error(&format!("could not open {}: {error}", path.display())),
        }
    }
    opened
}
