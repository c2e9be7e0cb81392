//! What a clean-up needs and only root can open: taken before the process becomes the slot's user.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::fstat;
use russet_platform::os;
use russet_platform::shared_directories::{SharedDirectory, SharedDirectoryList};
use russet_protocol::supervise::{Assignment, Mode};

use super::files;
use super::moment::{Beginning, Moment};
use crate::stderr::print_error;

/// Directories that everybody may write to and nobody else may list, at most. Each costs a
/// descriptor.
const MAX_UNREADABLE: usize = 64;

/// Where a clean-up looks.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// Directories beyond those that every system of this kind has.
    pub(super) listed: Vec<PathBuf>,
    /// Those that their users cannot list.
    pub(super) unreadable: Vec<(PathBuf, OwnedFd)>,
    /// Message queues that are mounted nowhere.
    pub(super) queues: Option<OwnedFd>,
    /// Begin of the task, where the user had nothing in shared directories before it.
    beginning: Option<Beginning>,
}

impl Reach {
    /// Opens what there is. Call it before privileges are dropped; who has none to drop ends and
    /// removes nothing but what descends from this process.
    pub(crate) fn take(assignment: &Assignment) -> Self {
        let is_cleaning = matches!(assignment.mode, Mode::Run | Mode::Clean | Mode::External);
        if !is_cleaning || !nix::unistd::geteuid().is_root() {
            return Self::default();
        }
        let beginning = (assignment.mode == Mode::Run && assignment.is_swept).then(Beginning::now);
        let mut reach = Self { beginning, ..Self::default() };
        match os::open_message_queues() {
            Ok(queues) => reach.queues = queues,
            Err(error) => print_error(&format!("could not open the message queues: {error}")),
        }
        match SharedDirectoryList::of_machine().read() {
            Ok(all) => all.into_iter().for_each(|shared| reach.add(shared)),
            Err(error) => {
                print_error(&format!("could not read the list of shared directories: {error}"));
            }
        }
        reach
    }

    fn add(&mut self, shared: SharedDirectory) {
        let is_common =
            os::SHARED_DIRECTORIES.iter().any(|common| shared.path == Path::new(common));
        if shared.is_readable {
            if !is_common {
                self.listed.push(shared.path);
            }
        } else if self.unreadable.len() < MAX_UNREADABLE
            && let Ok(dir) = files::open_directory(AT_FDCWD, &shared.path)
            // Somebody may have put another directory in its place.
            && fstat(&dir).is_ok_and(|stat| stat.st_mode & 0o007 == 0o003)
        {
            self.unreadable.push((shared.path, dir));
        }
    }

    /// Returns a time before which the user had nothing in shared directories.
    pub(super) fn since(&self) -> Option<Moment> {
        self.beginning.and_then(Beginning::earliest)
    }
}
