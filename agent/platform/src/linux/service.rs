//! A job of Russet's in systemd, where systemd runs.
//!
//! Elsewhere (a container, OpenRC, runit) there is nothing to ask: the error says which command
//! another supervisor has to run.

use std::path::PathBuf;

use crate::command::{Output, Tools};
use crate::job::{self, Job, JobState, ServiceError};
use crate::layout::Layout;

const SYSTEMCTL: &str = "/usr/bin/systemctl";

/// sd_booted(3): this directory exists where systemd is the running service manager.
const BOOTED: &str = "/run/systemd/system";

/// `systemctl` fails with this for a unit that it does not know.
const NOT_FOUND: i32 = 5;

/// systemd, and the job's file.
#[derive(Clone, Debug)]
pub struct Service {
    job: Job,
    tools: Tools,
    booted: PathBuf,
    unit: PathBuf,
    /// Advice for another supervisor.
    instead: String,
}

impl Service {
    /// The agent's, of the system.
    #[must_use]
    pub fn system(layout: &Layout) -> Self {
        Self::with(layout, Tools::system(), PathBuf::from(BOOTED))
    }

    /// One that is asked through these tools, where `booted` says whether it runs.
    pub fn with(layout: &Layout, tools: Tools, booted: PathBuf) -> Self {
        let instead = format!(
            "let your supervisor run `{}` as root and restart it when it ends; on TERM it leaves \
             running tasks to the next start",
            layout.boot().display()
        );
        Self { job: job::AGENT, tools, booted, unit: layout.systemd_unit(), instead }
    }

    /// The control plane's, of the system, with this file. `instead` says what another supervisor
    /// has to do.
    #[must_use]
    pub fn of_server(unit: PathBuf, _loaded: PathBuf, instead: String) -> Self {
        let booted = PathBuf::from(BOOTED);
        Self { job: job::SERVER, tools: Tools::system(), booted, unit, instead }
    }

    /// The job's file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.unit.clone()
    }

    /// Returns true if there is a service manager.
    ///
    /// # Errors
    ///
    /// [`ServiceError::None`] with what to do instead.
    pub fn available(&self) -> Result<(), ServiceError> {
        if self.booted.is_dir() {
            return Ok(());
        }
        Err(ServiceError::None {
            what: "systemd does not run on this machine, and no other service manager is known"
                .to_owned(),
            hint: self.instead.clone(),
        })
    }

    /// Returns the state of the job.
    ///
    /// # Errors
    ///
    /// There is no systemd, or it does not say.
    pub fn state(&self) -> Result<JobState, ServiceError> {
        self.available()?;
        let properties = "--property=LoadState,ActiveState,SubState,MainPID,ExecMainCode,\
                          ExecMainStatus,UnitFileState";
        let command = self.tools.command(SYSTEMCTL).args(["show", self.job.unit, properties]);
        Ok(parse_show(&command.run_ok()?.text()))
    }

    /// Lets the job start with the system.
    ///
    /// # Errors
    ///
    /// systemctl refuses.
    pub fn enable(&self) -> Result<(), ServiceError> {
        self.run("daemon-reload", None, "read its units again")?;
        self.run("enable", Some(self.job.unit), "enable the unit")
    }

    /// Keeps it from starting with the system.
    ///
    /// # Errors
    ///
    /// systemctl refuses.
    pub fn disable(&self) -> Result<(), ServiceError> {
        match self.run("disable", Some(self.job.unit), "disable the unit") {
            Err(ServiceError::Known { .. }) | Ok(()) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// Forgets the job, whose file is gone.
    ///
    /// # Errors
    ///
    /// systemctl refuses.
    pub fn forget(&self) -> Result<(), ServiceError> {
        match self.available() {
            Ok(()) => self.run("daemon-reload", None, "read its units again"),
            Err(_) => Ok(()),
        }
    }

    /// Starts it. One that runs goes on.
    ///
    /// # Errors
    ///
    /// systemctl refuses.
    pub fn start(&self) -> Result<(), ServiceError> {
        self.prepare()?;
        self.run("start", Some(self.job.unit), "start the unit")
    }

    fn prepare(&self) -> Result<(), ServiceError> {
        self.run("daemon-reload", None, "read its units again")?;
        // A unit that failed too often stays down until this.
        self.run("reset-failed", Some(self.job.unit), "forget its failures").or_else(not_loaded)
    }

    /// Stops the agent, and waits for that. Its tasks go on.
    ///
    /// # Errors
    ///
    /// systemctl refuses.
    pub fn stop(&self) -> Result<(), ServiceError> {
        self.run("stop", Some(self.job.unit), "stop the unit").or_else(not_loaded)
    }

    /// Stops and starts it, in one step of systemd's: whoever calls may be killed meanwhile.
    ///
    /// # Errors
    ///
    /// systemctl refuses.
    pub fn restart(&self) -> Result<(), ServiceError> {
        self.prepare()?;
        self.run("restart", Some(self.job.unit), "restart the unit")
    }

    /// As [`Service::restart`]: systemd needs no process of its own for it.
    ///
    /// # Errors
    ///
    /// systemctl refuses.
    pub fn reload(&self) -> Result<(), ServiceError> {
        self.restart()
    }

    fn run(&self, verb: &str, unit: Option<&str>, doing: &str) -> Result<(), ServiceError> {
        self.available()?;
        let command = self.tools.command(SYSTEMCTL).arg(verb).args(unit);
        let output = command.limit(std::time::Duration::from_secs(120)).run()?;
        if output.status.success() {
            Ok(())
        } else {
            Err(explain_failure(&output, doing, &self.job))
        }
    }
}

/// Accepts that a job is not loaded: it is stopped.
fn not_loaded(error: ServiceError) -> Result<(), ServiceError> {
    match error {
        ServiceError::Known { .. } => Ok(()),
        other => Err(other),
    }
}

fn explain_failure(output: &Output, doing: &str, job: &Job) -> ServiceError {
    let Job { unit, install, .. } = job;
    let said = output.error_text();
    let unknown = output.code() == Some(NOT_FOUND)
        || said.contains("not loaded")
        || said.contains("does not exist")
        || said.contains("not found");
    if unknown {
        return ServiceError::Known {
            what: format!("systemd could not {doing}: it does not know {unit}"),
            hint: format!("install it with `sudo {install}`"),
            source: Box::new(output.failed(None)),
        };
    }
    let hint = format!("see `systemctl status {unit}` and `journalctl -u {unit}`");
    output.failed(Some(hint)).into()
}

fn parse_show(text: &str) -> JobState {
    let get = |key: &str| {
        text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default()
    };
    let number = |key: &str| get(key).parse::<u32>().ok().filter(|&number| number != 0);
    // CLD_EXITED; a process that still runs or was killed has no exit code.
    let exited = get("ExecMainCode") == "1";
    JobState {
        loaded: get("LoadState") == "loaded",
        enabled: get("UnitFileState") == "enabled",
        pid: number("MainPID"),
        throttled: get("SubState") == "auto-restart",
        last_exit: get("ExecMainStatus").parse().ok().filter(|_| exited),
        words: format!("{} ({})", get("ActiveState"), get("SubState")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Service, parse_show};
    use crate::command::Tools;
    use crate::command::testing::fake_tool;
    use crate::job::ServiceError;
    use crate::layout::Layout;
    use std::path::Path;

    #[test]
    fn without_systemd_the_command_for_another_supervisor_is_named() {
        let service =
            Service::with(&Layout::default(), Tools::system(), "/no/such/directory".into());
        let error = service.start().unwrap_err();
        assert!(matches!(error, ServiceError::None { .. }));
        assert!(error.hint().unwrap().contains("`/opt/russet/russet-boot`"));
    }

    /// systemd 252 (Debian 12), `systemctl show --property=…` of a unit in these states.
    #[test]
    fn the_state_is_read_from_properties() {
        let running = "LoadState=loaded\nActiveState=active\nSubState=running\nMainPID=812\nExecMainCode=0\nExecMainStatus=0\nUnitFileState=enabled\n";
        let state = parse_show(running);
        assert_eq!((state.pid, state.enabled, state.last_exit), (Some(812), true, None));
        assert_eq!(state.words, "active (running)");
        let waits = "LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nMainPID=0\nExecMainCode=1\nExecMainStatus=3\nUnitFileState=disabled\n";
        let state = parse_show(waits);
        assert_eq!((state.pid, state.throttled, state.last_exit), (None, true, Some(3)));
        let gone = "LoadState=not-found\nActiveState=inactive\nSubState=dead\nMainPID=0\nExecMainCode=0\nExecMainStatus=0\nUnitFileState=\n";
        assert!(!parse_show(gone).loaded);
    }

    #[test]
    fn a_unit_that_systemd_does_not_know_is_stopped_and_not_started() {
        let dir = tempfile::tempdir().unwrap();
        // systemd 252's words.
        fake_tool(
            dir.path(),
            "systemctl",
            "case $1 in
             start) echo 'Failed to start russet-agent.service: Unit russet-agent.service not found.' >&2; exit 5 ;;
             stop) echo 'Failed to stop russet-agent.service: Unit russet-agent.service not loaded.' >&2; exit 5 ;;
             reset-failed) echo 'Failed to reset failed state of unit russet-agent.service: Unit russet-agent.service not loaded.' >&2; exit 1 ;;
             disable) echo 'Failed to disable unit: Unit file russet-agent.service does not exist.' >&2; exit 1 ;;
             enable) echo 'Failed to enable unit: Access denied' >&2; exit 1 ;;
             esac",
        );
        let service = Service::with(
            &Layout::below(Path::new("/x")),
            Tools::below(dir.path()),
            dir.path().to_owned(),
        );
        service.stop().unwrap();
        service.disable().unwrap();
        let error = service.start().unwrap_err();
        assert!(error.to_string().contains("does not know russet-agent.service"), "{error}");
        assert!(error.hint().unwrap().contains("russet agent install"));
        let error = service.enable().unwrap_err();
        assert!(error.to_string().contains("Access denied"), "{error}");
        assert!(error.hint().unwrap().contains("journalctl"));
    }
}
