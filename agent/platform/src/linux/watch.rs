//! Waiting for a file to change, with inotify(7).

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Tells when a file was written to, or another took its name.
#[derive(Debug)]
pub struct FileWatch {
    queue: AsyncFd<OwnedFd>,
}

impl FileWatch {
    /// Watches from now on. What is watched is the directory, so the file may come later.
    ///
    /// # Errors
    ///
    /// The directory is absent or cannot be read, or the system watches as much as it can.
    pub fn new(path: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let flags =
            AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        inotify.add_watch(parent.unwrap_or(Path::new(".")), flags)?;
        // SAFETY: the descriptor is owned by what waits for it, so it stays open meanwhile.
        let queue =
            unsafe { AsyncFd::register_with_interest(OwnedFd::from(inotify), Interest::READABLE)? };
        Ok(Self { queue })
    }

    /// Returns when something may have changed since the last call. May be abandoned.
    ///
    /// # Errors
    ///
    /// The system does not say.
    pub async fn changed(&mut self) -> io::Result<()> {
        let mut ready = self.queue.readable().await?;
        // What exactly it was is seen in the file.
        let mut buffer = [0; 4096];
        while nix::unistd::read(&self.queue, &mut buffer).is_ok_and(|count| count > 0) {}
        ready.clear_ready();
        Ok(())
    }
}
