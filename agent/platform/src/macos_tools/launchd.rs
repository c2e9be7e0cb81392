//! The agent's job in launchd: install, start, stop, and how it stands.
//!
//! The traps that this goes around, all met by others:
//! - a `bootout` is over only some seconds after the command (NixOS/nix-installer, headroom#1289):
//!   a `bootstrap` before that fails with 5. So the job is waited to be gone, and 5 is tried again
//!   for a while;
//! - a job that was disabled once, by a person or an old `unload -w`, stays so until `enable`;
//! - `kickstart` uses the file as it was when it was loaded, so a changed file needs `bootout` and
//!   `bootstrap`. In between there is no job, and nothing but the next start of the Mac would bring
//!   it back: an ssh session that is cut there left machines without an agent
//!   (NousResearch/hermes-agent#28632). So a process of its own does both, in a session of its own
//!   and deaf to HUP, INT and TERM ([`Launchd::reload`]). A file that did not change needs neither:
//!   `kickstart -k` is one step. The file that was loaded last is kept beside russet-boot's files.

use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigHandler, Signal, signal};

use super::launchctl::{self, ALREADY, IN_PROGRESS, IO_ERROR, NO_PROCESS, NOT_FOUND};
use crate::command::Tools;
use crate::job::{Job, JobState, ServiceError};
use crate::{STANDARD_PATH, replace};

/// Timeout of a job's end: its `ExitTimeOut` of 60 s, after which launchd kills it,
/// and some more.
const GONE: Duration = Duration::from_secs(90);

/// Time for which a refused `bootstrap` is tried again. Up to 5 s were measured (headroom#1289).
const SETTLES: Duration = Duration::from_secs(20);

/// launchd, and how patient to be with it.
#[derive(Clone, Debug)]
pub struct Launchd {
    job: Job,
    tools: Tools,
    /// Copy of the file that was loaded last.
    loaded: PathBuf,
    /// Program and arguments that call [`Launchd::reload`] in a process of their own.
    reloader: Vec<OsString>,
    gone: Duration,
    settles: Duration,
    pause: Duration,
}

impl Launchd {
    /// A job of launchd, by these tools. `loaded` is where the file that was loaded last is kept;
    /// the program and arguments `reloader` call [`Launchd::reload`].
    #[must_use]
    pub fn new(job: Job, tools: Tools, loaded: PathBuf, reloader: Vec<OsString>) -> Self {
        let (gone, settles, pause) = (GONE, SETTLES, Duration::from_millis(500));
        Self { job, tools, loaded, reloader, gone, settles, pause }
    }

    /// Returns the state of the job.
    ///
    /// # Errors
    ///
    /// launchctl does not say.
    pub fn state(&self) -> Result<JobState, ServiceError> {
        let disabled = launchctl::print_disabled(&self.tools).run()?;
        let disabled =
            disabled.status.success() && launchctl::is_disabled(&disabled.text(), self.job.label);
        let printed =
            launchctl::loaded_state(launchctl::print(&self.tools, &self.job).run()?, &self.job)?;
        let state = printed.map_or_else(JobState::default, |text| launchctl::parse_print(&text));
        Ok(JobState { enabled: !disabled, ..state })
    }

    /// Lets the job start with the system.
    ///
    /// # Errors
    ///
    /// launchctl refuses.
    pub fn enable(&self) -> Result<(), ServiceError> {
        launchctl::run_launchctl(
            launchctl::enable(&self.tools, &self.job),
            "enable the job",
            &self.job,
        )
    }

    /// Loads the job from its file and starts it. One that is loaded is only started.
    ///
    /// # Errors
    ///
    /// launchctl refuses.
    pub fn start(&self, plist: &Path) -> Result<(), ServiceError> {
        if !self.is_loaded()? {
            self.bootstrap(plist)?;
        }
        let output = launchctl::kickstart(&self.tools, &self.job).run()?;
        // RunAtLoad was quicker.
        if output.status.success() || launchctl::failed_with(&output, &[ALREADY]) {
            return Ok(());
        }
        Err(launchctl::explain_failure(&output, "start the job", &self.job))
    }

    /// Ends the job and forgets it, and waits until it is gone. One that is not loaded is gone.
    ///
    /// # Errors
    ///
    /// launchctl refuses, or the job does not end.
    pub fn stop(&self) -> Result<(), ServiceError> {
        if !self.is_loaded()? {
            return Ok(());
        }
        let output = launchctl::bootout(&self.tools, &self.job).run()?;
        let begun = output.status.success()
            || launchctl::failed_with(&output, &[IN_PROGRESS, NO_PROCESS, NOT_FOUND]);
        if !begun && self.is_loaded()? {
            return Err(launchctl::explain_failure(&output, "stop the job", &self.job));
        }
        let start = Instant::now();
        while self.is_loaded()? {
            if start.elapsed() > self.gone {
                return Err(not_ended(&self.job, self.gone, "boot-out"));
            }
            std::thread::sleep(self.pause);
        }
        Ok(())
    }

    /// Starts it anew, with the file as it is now. Whoever calls may be killed meanwhile: there is a
    /// job afterwards.
    ///
    /// # Errors
    ///
    /// Those of [`Launchd::stop`] and [`Launchd::start`].
    pub fn restart(&self, plist: &Path) -> Result<(), ServiceError> {
        let state = self.state()?;
        if !state.loaded {
            return self.start(plist);
        }
        if is_same_file(&self.loaded, plist) {
            return self.restart_loaded(&state);
        }
        self.reload_apart()
    }

    /// Restarts the job that is loaded, and waits until it is another process.
    fn restart_loaded(&self, before: &JobState) -> Result<(), ServiceError> {
        let output = launchctl::restart(&self.tools, &self.job).limit(self.gone).run()?;
        if !output.status.success() && !launchctl::failed_with(&output, &[ALREADY]) {
            return Err(launchctl::explain_failure(&output, "restart the job", &self.job));
        }
        let start = Instant::now();
        while before.pid.is_some() && self.state()?.pid == before.pid {
            if start.elapsed() > self.gone {
                return Err(not_ended(&self.job, self.gone, "restart"));
            }
            std::thread::sleep(self.pause);
        }
        Ok(())
    }

    /// Forgets the job and loads it anew, from its file as it is now, undisturbed: for a process
    /// that does nothing else.
    ///
    /// # Errors
    ///
    /// Those of [`Launchd::stop`] and [`Launchd::start`], or there is no session of its own.
    pub fn reload(&self, plist: &Path) -> Result<(), ServiceError> {
        ignore_hangups().map_err(|error| self.reload_failed(error))?;
        self.stop()?;
        self.start(plist)
    }

    /// Has another process reload the job, and waits for it.
    fn reload_apart(&self) -> Result<(), ServiceError> {
        let (program, arguments) = self.reloader.split_first().ok_or_else(|| {
            self.reload_failed(std::io::Error::other("there is no program for it"))
        })?;
        let started = std::process::Command::new(program)
            .args(arguments)
            .env_clear()
            .env("PATH", STANDARD_PATH)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = started.map_err(|error| self.reload_failed(error))?;
        let mut said = String::new();
        if let Some(stderr) = &mut child.stderr {
            // What it says is an explanation; how it ended is what counts.
            let _unreadable = stderr.take(MAX_SAID_BYTES).read_to_string(&mut said);
        }
        let status = child.wait().map_err(|error| self.reload_failed(error))?;
        if status.success() {
            return Ok(());
        }
        let what = russet_text::one_line_within(said.trim(), MAX_SAID_CHARS);
        Err(self.reload_failed(std::io::Error::other(format!("{what} ({status})"))))
    }

    fn bootstrap(&self, plist: &Path) -> Result<(), ServiceError> {
        let start = Instant::now();
        // Whatever is noted from before is not what is loaded now.
        let _absent = replace::remove_file(&self.loaded);
        loop {
            let text = read_file(plist);
            let output = launchctl::bootstrap(&self.tools, plist).run()?;
            if output.status.success() {
                // Without the note the next restart loads the file anew, which is as good.
                if let Some(text) = text {
                    let _unnoted = replace::write(&self.loaded, &text, 0o600);
                }
                return Ok(());
            }
            // Loaded by somebody else meanwhile, or all the time.
            if launchctl::failed_with(&output, &[IO_ERROR, ALREADY]) && self.is_loaded()? {
                return Ok(());
            }
            let may_settle = launchctl::failed_with(&output, &[IO_ERROR, ALREADY]);
            if !may_settle || start.elapsed() > self.settles {
                return Err(launchctl::explain_failure(&output, "load the job", &self.job));
            }
            std::thread::sleep(self.pause);
        }
    }

    fn reload_failed(&self, source: std::io::Error) -> ServiceError {
        ServiceError::Reload { job: self.job, source }
    }

    fn is_loaded(&self) -> Result<bool, ServiceError> {
        Ok(launchctl::loaded_state(launchctl::print(&self.tools, &self.job).run()?, &self.job)?
            .is_some())
    }
}

/// Longest job file that is compared, in bytes.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// Bytes and characters of a reloader's last words.
const MAX_SAID_BYTES: u64 = 4096;
const MAX_SAID_CHARS: usize = 500;

/// Returns a file of root's. `None`: it cannot be read, or is longer than such a file.
fn read_file(path: &Path) -> Option<Vec<u8>> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let mut text = Vec::new();
    file.ok()?.take(MAX_FILE_BYTES + 1).read_to_end(&mut text).ok()?;
    u64::try_from(text.len()).is_ok_and(|length| length <= MAX_FILE_BYTES).then_some(text)
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    read_file(a).is_some_and(|text| read_file(b) == Some(text))
}

/// Makes this process, and the tools that it runs, deaf to a closed terminal and an interrupt, and
/// gives it a session of its own.
fn ignore_hangups() -> std::io::Result<()> {
    for deaf in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
        // SAFETY: SIG_IGN of <signal.h> runs no code of ours; nobody relies on the handler before.
        let before = unsafe { signal(deaf, SigHandler::SigIgn) };
        before?;
    }
    match nix::unistd::setsid() {
        // It is a leader already: of its own session, or of a group that has no terminal's.
        Ok(_) | Err(nix::Error::EPERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn not_ended(job: &Job, limit: Duration, of: &str) -> ServiceError {
    ServiceError::TimedOut {
        what: format!("the job did not end within {limit:?} of its {of}"),
        hint: format!(
            "see what it does with `sudo sample russet`, or end it with `sudo launchctl kill \
             SIGKILL system/{}`",
            job.label
        ),
    }
}

#[cfg(test)]
mod tests;
