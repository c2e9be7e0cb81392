//! Children: those that we started, and orphans that became ours.
//!
//! On Linux the task agent adopts what daemonizes below it, so it has to wait for processes that
//! it never heard of. One place waits for all of them and passes on the status of those that
//! somebody asked about; nobody else may call `wait`.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};

use russet_platform::os;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

type Waiting = Arc<Mutex<Known>>;

#[derive(Debug, Default)]
struct Known {
    waiting: HashMap<i32, oneshot::Sender<ExitStatus>>,
    /// Sessions that processes were made to lead, by their leaders, which is what they are named by.
    sessions: BTreeSet<i32>,
}

/// Starts processes and waits for them.
#[derive(Clone, Debug)]
pub(crate) struct Reaper(Waiting);

/// A process that was started.
#[derive(Debug)]
pub(crate) struct Child {
    /// Its id. It stays its own until `exit` has been received.
    pub(crate) pid: i32,
    exit: oneshot::Receiver<ExitStatus>,
}

impl Child {
    /// Returns when the process has ended. May be dropped and called again until then.
    pub(crate) async fn exited(&mut self) -> io::Result<ExitStatus> {
        (&mut self.exit).await.map_err(|_| io::Error::other("nobody waits for children any more"))
    }

    /// Returns what receives its exit status, once.
    pub(crate) fn into_exit(self) -> oneshot::Receiver<ExitStatus> {
        self.exit
    }
}

impl Reaper {
    /// Begins to wait for children, for as long as the runtime lives.
    pub(crate) fn start() -> io::Result<Self> {
        let waiting = Waiting::default();
        let mut ended = signal(SignalKind::child())?;
        let reaper = Self(Arc::clone(&waiting));
        tokio::spawn(async move {
            // Signals coalesce, so every one of them is about all that have ended.
            while ended.recv().await.is_some() {
                reap_children(&waiting);
            }
        });
        Ok(reaper)
    }

    /// Starts a process.
    pub(crate) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        // Held so that the process cannot be waited for before it is known.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let child = command.spawn()?;
        let pid = child.id().cast_signed();
        let (sender, exit) = oneshot::channel();
        known.waiting.insert(pid, sender);
        Ok(Child { pid, exit })
    }

    /// Starts a process that makes a session of its own.
    pub(crate) fn spawn_session(&self, command: &mut Command) -> io::Result<Child> {
        let child = self.spawn(command)?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.sessions.insert(child.pid);
        Ok(child)
    }

    /// The session that steps are started in, where it is this process's own.
    pub(crate) fn own_session() -> BTreeSet<i32> {
        let session = nix::unistd::getsid(None).ok();
        session
            .filter(|id| *id == nix::unistd::getpid())
            .map(nix::unistd::Pid::as_raw)
            .into_iter()
            .collect()
    }

    /// That session, and those of processes that made one.
    pub(crate) fn sessions(&self) -> BTreeSet<i32> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Self::own_session().into_iter().chain(known.sessions.iter().copied()).collect()
    }

    /// Waits for everything that has ended by now.
    pub(crate) fn reap_now(&self) {
        reap_children(&self.0);
    }
}

fn reap_children(waiting: &Waiting) {
    let mut known = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let mut status = 0;
        // SAFETY: The pointer is to a status that lives through the call.
        let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
        if pid <= 0 {
            return;
        }
        if known.sessions.contains(&pid) && is_session_empty(pid) {
            // Its number may be somebody else's from now on.
            known.sessions.remove(&pid);
        }
        if let Some(sender) = known.waiting.remove(&pid) {
            // Whoever asked may be gone by now.
            sender.send(ExitStatus::from_raw(status)).ok();
        }
    }
}

/// Returns true if nobody is in a session any more.
fn is_session_empty(session: i32) -> bool {
    let has_left = |process: &os::ProcessInfo| process.session != session || process.is_zombie;
    os::processes().is_ok_and(|processes| processes.iter().all(has_left))
}
