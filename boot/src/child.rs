//! The agent as a child: started with fixed arguments, watched until it ends.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use crate::ended::{End, Ended};
use crate::layout::Layout;
use crate::memory::Memory;
use crate::signals::Signals;
use crate::state::State;

/// After TERM the agent needs less than 30 s; launchd and systemd kill after 60 s.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(45);

/// Interval of looking at an agent that was told to end.
const LEAVE_INTERVAL: Duration = Duration::from_millis(100);

#[cfg(target_os = "macos")]
const HOST: &str = "launchd";
#[cfg(not(target_os = "macos"))]
const HOST: &str = "systemd";

/// The agent while it runs.
pub(crate) struct Run {
    child: Child,
    /// Its standard input, on which nothing is ever written: should this process be killed, it
    /// ends, and the agent leaves its tasks to the next one. It closes when this is dropped.
    _life: Option<ChildStdin>,
}

impl Run {
    /// Starts the agent in a process group of its own.
    pub(crate) fn start(exe: &Path, layout: &Layout) -> std::io::Result<Self> {
        let mut child = Command::new(exe)
            .args(["agent", "run", "--host", HOST, "--config"])
            .arg(layout.config())
            .arg("--boot-state")
            .arg(layout.boot_state())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()?;
        let life = child.stdin.take();
        Ok(Self { child, _life: life })
    }

    /// Waits for its end, forwards a TERM, and watches the bundle `current` while it is in
    /// probation.
    pub(crate) fn watch(
        mut self,
        signals: &Signals,
        state: &mut State,
        memory: &mut Memory,
        current: &str,
    ) -> End {
        let began = Instant::now();
        let mut leave_by = None;
        loop {
            // In this order: what it said last is heard.
            let has_ended = self.has_ended();
            let (report, ran) = (state.report(self.child.id()), began.elapsed());
            if memory.advance(current, report.health, ran) {
                state.save(memory);
                state.keep_note(memory.note().as_ref());
            }
            let end = |ended| End {
                ended,
                health: report.health,
                is_asked: report.is_asked,
                is_mute: !state.is_usable(),
                ran,
            };
            if has_ended {
                return end(self.reap());
            }
            if signals.must_end() && leave_by.is_none() {
                self.signal(libc::SIGTERM);
                leave_by = Some(Instant::now() + LEAVE_TIMEOUT);
            }
            if leave_by.is_some_and(|at| Instant::now() >= at) {
                return end(self.reap());
            }
            if leave_by.is_none() && memory.is_late(ran) {
                self.reap();
                return end(Ended::TooLate);
            }
            let leaving = leave_by.map(|_| LEAVE_INTERVAL);
            signals.wait(leaving.or_else(|| memory.look_after(current, ran)));
        }
    }

    /// Returns true if it has ended. It stays a zombie, so that its number is nobody else's.
    fn has_ended(&self) -> bool {
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: a siginfo_t of zeros is one, and says that nothing has ended.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: the structure lives through the call.
        let result = unsafe { libc::waitid(libc::P_PID, self.child.id(), &raw mut info, flags) };
        // SAFETY: the call filled it in for the end of a child, or left it as it was.
        result != 0 || unsafe { info.si_pid() } != 0
    }

    /// Sends a signal to the agent alone.
    fn signal(&self, signal: i32) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // SAFETY: kill takes two integers. The child was not waited for, so the number is its.
            unsafe { libc::kill(pid, signal) };
        }
    }

    /// Ends it, if it has not ended, and every process of its group.
    ///
    /// Threat: a version leaves a process behind that holds the state directory's lock, and no
    /// other version can start. Tasks have groups and sessions of their own and go on.
    fn reap(&mut self) -> Ended {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // SAFETY: kill takes two integers. The group's number is the child's, which was not
            // waited for.
            unsafe { libc::kill(-pid, libc::SIGKILL) };
        }
        // A child that was killed is gone at once, or it is in the kernel and will be.
        self.child.wait().map_or(Ended::Signal(libc::SIGKILL), Ended::from)
    }
}
