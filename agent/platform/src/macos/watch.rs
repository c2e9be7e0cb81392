//! Waiting for a file to change, with kqueue(2).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use nix::sys::event::{EvFlags, EventFilter, FilterFlag, KEvent, Kqueue};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Tells when a file was written to, or another took its name.
#[derive(Debug)]
pub struct FileWatch {
    queue: AsyncFd<Queue>,
    path: PathBuf,
    directory: File,
    /// The file that has the name now. A new one is watched as soon as it has it.
    file: Option<File>,
}

#[derive(Debug)]
struct Queue(Kqueue);

impl AsRawFd for Queue {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl FileWatch {
    /// Watches from now on: the file, and its directory, where another one can take its name.
    ///
    /// # Errors
    ///
    /// The directory is absent or cannot be read, or there is no room for another descriptor.
    pub fn new(path: &Path) -> io::Result<Self> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = File::open(parent.unwrap_or(Path::new(".")))?;
        let queue = Queue(Kqueue::new()?);
        // SAFETY: the queue owns its descriptor and is owned by what waits for it, so it stays open
        // meanwhile.
        let queue = unsafe { AsyncFd::register_with_interest(queue, Interest::READABLE)? };
        let mut watch = Self { queue, path: path.to_owned(), directory, file: None };
        watch.add(&watch.directory)?;
        watch.look()?;
        Ok(watch)
    }

    fn add(&self, file: &File) -> io::Result<()> {
        let ident = usize::try_from(file.as_raw_fd()).map_err(io::Error::other)?;
        let what = FilterFlag::NOTE_WRITE | FilterFlag::NOTE_EXTEND | FilterFlag::NOTE_RENAME;
        let flags = EvFlags::EV_ADD | EvFlags::EV_CLEAR;
        let change = KEvent::new(ident, EventFilter::EVFILT_VNODE, flags, what, 0, 0);
        self.queue.get_ref().0.kevent(&[change], &mut [], None)?;
        Ok(())
    }

    /// Watches whatever has the name now. Closing the one before ends its watch.
    fn look(&mut self) -> io::Result<()> {
        self.file = File::open(&self.path).ok();
        self.file.as_ref().map_or(Ok(()), |file| self.add(file))
    }

    /// Returns when something may have changed since the last call. May be abandoned.
    ///
    /// # Errors
    ///
    /// The system does not say.
    pub async fn changed(&mut self) -> io::Result<()> {
        let mut ready = self.queue.readable().await?;
        let none =
            KEvent::new(0, EventFilter::EVFILT_VNODE, EvFlags::empty(), FilterFlag::empty(), 0, 0);
        let mut events = [none; 4];
        let now = nix::libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // What exactly it was is seen in the file.
        while self.queue.get_ref().0.kevent(&[], &mut events, Some(now))? > 0 {}
        ready.clear_ready();
        drop(ready);
        // Before the caller reads: what is written from now on is seen.
        self.look()
    }
}
