//! A job of Russet's in launchd.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::command::Tools;
use crate::job::{self, JobState, ServiceError};
use crate::layout::Layout;
use crate::macos_tools::launchd::Launchd;

/// Arguments with which `russet` calls [`Service::reload`] of the agent's job, and of the server's.
const RELOAD_AGENT: [&str; 2] = ["agent", "reload-job"];
const RELOAD_SERVER: [&str; 2] = ["server", "reload-job"];

/// launchd, and the job's file.
#[derive(Clone, Debug)]
pub struct Service {
    launchd: Launchd,
    plist: PathBuf,
}

impl Service {
    /// The agent's, of the system.
    #[must_use]
    pub fn system(layout: &Layout) -> Self {
        let loaded = layout.state().join("job.plist");
        let launchd = Launchd::new(job::AGENT, Tools::system(), loaded, reloader(RELOAD_AGENT));
        Self { launchd, plist: layout.daemon_plist() }
    }

    /// The control plane's, of the system, with this file. `loaded` is where the file that was
    /// loaded last is kept.
    #[must_use]
    pub fn of_server(plist: PathBuf, loaded: PathBuf, _instead: String) -> Self {
        let launchd = Launchd::new(job::SERVER, Tools::system(), loaded, reloader(RELOAD_SERVER));
        Self { launchd, plist }
    }

    /// The job's file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.plist.clone()
    }

    /// Returns true if there is a service manager: always.
    ///
    /// # Errors
    ///
    /// None.
    pub fn available(&self) -> Result<(), ServiceError> {
        Ok(())
    }

    /// Returns the state of the job.
    ///
    /// # Errors
    ///
    /// launchctl does not say.
    pub fn state(&self) -> Result<JobState, ServiceError> {
        self.launchd.state()
    }

    /// Lets the job start with the system.
    ///
    /// # Errors
    ///
    /// launchctl refuses.
    pub fn enable(&self) -> Result<(), ServiceError> {
        self.launchd.enable()
    }

    /// launchd forgets a job with its file; an override for a job that is gone would only trip
    /// up the next installation.
    ///
    /// # Errors
    ///
    /// None.
    pub fn disable(&self) -> Result<(), ServiceError> {
        Ok(())
    }

    /// Forgets the job, whose file is gone. launchd forgot it when it was stopped.
    ///
    /// # Errors
    ///
    /// None.
    pub fn forget(&self) -> Result<(), ServiceError> {
        Ok(())
    }

    /// Loads and starts it. One that runs goes on.
    ///
    /// # Errors
    ///
    /// launchctl refuses.
    pub fn start(&self) -> Result<(), ServiceError> {
        self.launchd.start(&self.plist)
    }

    /// Stops the agent, and waits until launchd has let go of it. Its tasks go on.
    ///
    /// # Errors
    ///
    /// launchctl refuses, or the job does not end.
    pub fn stop(&self) -> Result<(), ServiceError> {
        self.launchd.stop()
    }

    /// Loads it anew from its file, whatever becomes of the caller's terminal: for a process of its
    /// own.
    ///
    /// # Errors
    ///
    /// Those of [`Service::stop`] and [`Service::start`].
    pub fn reload(&self) -> Result<(), ServiceError> {
        self.launchd.reload(&self.plist)
    }

    /// Starts it anew, with its file as it is now. Whoever calls may be killed meanwhile.
    ///
    /// # Errors
    ///
    /// Those of [`Service::stop`] and [`Service::start`].
    pub fn restart(&self) -> Result<(), ServiceError> {
        self.launchd.restart(&self.plist)
    }
}

/// Returns the command that reloads a job in a process of its own. Without a path of its own it
/// starts no process, and says so.
fn reloader(arguments: [&str; 2]) -> Vec<OsString> {
    let program = std::env::current_exe().ok().map(PathBuf::into_os_string);
    let arguments = arguments.map(OsString::from);
    program.into_iter().flat_map(|program| [program].into_iter().chain(arguments.clone())).collect()
}
