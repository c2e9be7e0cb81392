//! The agent's job in launchd: install, start, stop, and how it stands.
//!
//! The traps that this goes around, all met by others:
//! - a `bootout` is over only some seconds after the command (NixOS/nix-installer, headroom#1289):
//!   a `bootstrap` before that fails with 5. So the job is waited to be gone, and 5 is tried again
//!   for a while;
//! - a job that was disabled once, by a person or an old `unload -w`, stays so until `enable`;
//! - `kickstart` uses the file as it was when it was loaded, so a changed file needs `bootout` and
//!   `bootstrap`.

use std::path::Path;
use std::time::{Duration, Instant};

use super::launchctl::{self, ALREADY, IN_PROGRESS, IO_ERROR, NO_PROCESS, NOT_FOUND};
use crate::command::Tools;
use crate::job::{JobState, ServiceError};

/// Timeout of a job's end: its `ExitTimeOut` of 60 s, after which launchd kills it,
/// and some more.
const GONE: Duration = Duration::from_secs(90);

/// Time for which a refused `bootstrap` is tried again. Up to 5 s were measured (headroom#1289).
const SETTLES: Duration = Duration::from_secs(20);

/// launchd, and how patient to be with it.
#[derive(Clone, Debug)]
pub struct Launchd {
    tools: Tools,
    gone: Duration,
    settles: Duration,
    pause: Duration,
}

impl Launchd {
    /// launchd by these tools.
    #[must_use]
    pub fn new(tools: Tools) -> Self {
        Self { tools, gone: GONE, settles: SETTLES, pause: Duration::from_millis(500) }
    }

    /// Returns the state of the job.
    ///
    /// # Errors
    ///
    /// launchctl does not say.
    pub fn state(&self) -> Result<JobState, ServiceError> {
        let disabled = launchctl::print_disabled(&self.tools).run()?;
        let disabled = disabled.status.success() && launchctl::parse_disabled(&disabled.text());
        let printed = launchctl::loaded_state(launchctl::print(&self.tools).run()?)?;
        let state = printed.map_or_else(JobState::default, |text| launchctl::parse_print(&text));
        Ok(JobState { enabled: !disabled, ..state })
    }

    /// Lets the job start with the system.
    ///
    /// # Errors
    ///
    /// launchctl refuses.
    pub fn enable(&self) -> Result<(), ServiceError> {
        launchctl::run_launchctl(launchctl::enable(&self.tools), "enable the job")
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
        let output = launchctl::kickstart(&self.tools).run()?;
        // RunAtLoad was quicker.
        if output.status.success() || launchctl::failed_with(&output, &[ALREADY]) {
            return Ok(());
        }
        Err(launchctl::explain_failure(&output, "start the job"))
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
        let output = launchctl::bootout(&self.tools).run()?;
        let begun = output.status.success()
            || launchctl::failed_with(&output, &[IN_PROGRESS, NO_PROCESS, NOT_FOUND]);
        if !begun && self.is_loaded()? {
            return Err(launchctl::explain_failure(&output, "stop the job"));
        }
        let start = Instant::now();
        while self.is_loaded()? {
            if start.elapsed() > self.gone {
                return Err(ServiceError::TimedOut {
                    what: format!("the job did not end within {:?} of its boot-out", self.gone),
                    hint: "see what it does with `sudo sample russet`, or end it with `sudo \
                           launchctl kill SIGKILL system/dev.russet.agent`"
                        .to_owned(),
                });
            }
            std::thread::sleep(self.pause);
        }
        Ok(())
    }

    /// Stops and starts it, with the file as it is now.
    ///
    /// # Errors
    ///
    /// Those of [`Launchd::stop`] and [`Launchd::start`].
    pub fn restart(&self, plist: &Path) -> Result<(), ServiceError> {
        self.stop()?;
        self.start(plist)
    }

    fn bootstrap(&self, plist: &Path) -> Result<(), ServiceError> {
        let start = Instant::now();
        loop {
            let output = launchctl::bootstrap(&self.tools, plist).run()?;
            if output.status.success() {
                return Ok(());
            }
            // Loaded by somebody else meanwhile, or all the time.
            if launchctl::failed_with(&output, &[IO_ERROR, ALREADY]) && self.is_loaded()? {
                return Ok(());
            }
            let may_settle = launchctl::failed_with(&output, &[IO_ERROR, ALREADY]);
            if !may_settle || start.elapsed() > self.settles {
                return Err(launchctl::explain_failure(&output, "load the job"));
            }
            std::thread::sleep(self.pause);
        }
    }

    fn is_loaded(&self) -> Result<bool, ServiceError> {
        Ok(launchctl::loaded_state(launchctl::print(&self.tools).run()?)?.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::Launchd;
    use crate::command::Tools;
    use crate::command::testing::fake_tool;
    use std::path::Path;
    use std::time::Duration;

    /// A launchctl that keeps its state in files beside it: `loaded`, `disabled`, `slow` (how
    /// many more times a booted-out job is still there), `settling` (how many bootstraps are
    /// refused yet), and writes down what it was asked.
    const LAUNCHD: &str = r#"
cd "${0%/*}"
echo "$*" >>asked
count() { n=$(cat "$1" 2>/dev/null || echo 0); [ "$n" -gt 0 ] && echo $((n - 1)) >"$1"; }
case $1 in
print)
  if [ -e leaving ] && ! count slow; then rm -f leaving loaded; fi
  if [ ! -e loaded ]; then
    echo 'Could not find service "dev.russet.agent" in domain for system' >&2; exit 113
  fi
  printf 'system/dev.russet.agent = {\n\tstate = running\n\tpid = 42\n\tlast exit code = (never exited)\n}\n' ;;
print-disabled)
  echo 'disabled services = {'
  [ -e disabled ] && printf '\t"dev.russet.agent" => disabled\n'
  echo '}' ;;
enable) rm -f disabled ;;
bootstrap)
  if [ -e disabled ]; then echo 'Bootstrap failed: 5: Input/output error' >&2; exit 5; fi
  if [ -e loaded ] || count settling; then
    echo 'Bootstrap failed: 5: Input/output error' >&2; exit 5
  fi
  touch loaded ;;
kickstart)
  [ -e busy ] && { echo 'Could not kickstart service: 37: Operation already in progress' >&2; exit 37; }
  [ -e loaded ] || { echo 'Could not find service "dev.russet.agent" in domain for system' >&2; exit 113; } ;;
bootout)
  [ -e loaded ] || { echo 'Boot-out failed: 3: No such process' >&2; exit 3; }
  [ -e refused ] && { echo 'Boot-out failed: 5: Input/output error' >&2; exit 5; }
  touch leaving
  [ -e slow ] && { echo 'Boot-out failed: 36: Operation now in progress' >&2; exit 36; }
  exit 0 ;;
esac
"#;

    struct Mac {
        dir: tempfile::TempDir,
        launchd: Launchd,
    }

    impl Mac {
        fn new(files: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().unwrap();
            fake_tool(dir.path(), "launchctl", LAUNCHD);
            for (name, text) in files {
                std::fs::write(dir.path().join(name), text).unwrap();
            }
            let launchd = Launchd {
                gone: Duration::from_secs(2),
                settles: Duration::from_secs(2),
                pause: Duration::from_millis(1),
                ..Launchd::new(Tools::below(dir.path()))
            };
            Self { dir, launchd }
        }

        fn asked(&self, verb: &str) -> usize {
            let asked = std::fs::read_to_string(self.dir.path().join("asked")).unwrap();
            asked.lines().filter(|line| line.split(' ').next() == Some(verb)).count()
        }
    }

    const PLIST: &str = "/Library/LaunchDaemons/dev.russet.agent.plist";

    #[test]
    fn a_job_is_loaded_started_and_stopped_and_each_twice_is_as_good_as_once() {
        let mac = Mac::new(&[]);
        assert!(!mac.launchd.state().unwrap().loaded);
        mac.launchd.start(Path::new(PLIST)).unwrap();
        mac.launchd.start(Path::new(PLIST)).unwrap();
        assert_eq!((mac.asked("bootstrap"), mac.asked("kickstart")), (1, 2));
        let state = mac.launchd.state().unwrap();
        assert_eq!((state.loaded, state.enabled, state.pid), (true, true, Some(42)));
        mac.launchd.stop().unwrap();
        mac.launchd.stop().unwrap();
        assert_eq!(mac.asked("bootout"), 1);
        assert!(!mac.launchd.state().unwrap().loaded);
    }

    #[test]
    fn a_slow_boot_out_is_waited_for_before_the_job_is_loaded_again() {
        let mac = Mac::new(&[("loaded", ""), ("slow", "5"), ("settling", "3")]);
        mac.launchd.restart(Path::new(PLIST)).unwrap();
        // Refused three times while launchd let go of the label.
        assert_eq!(mac.asked("bootstrap"), 4);
        assert!(mac.launchd.state().unwrap().loaded);
    }

    #[test]
    fn a_job_that_does_not_go_is_an_error_that_says_what_to_do() {
        let mac = Mac::new(&[("loaded", ""), ("slow", "1000000")]);
        let launchd = Launchd { gone: Duration::from_millis(50), ..mac.launchd.clone() };
        let error = launchd.stop().unwrap_err();
        assert!(error.to_string().contains("did not end"), "{error}");
        assert!(error.hint().unwrap().contains("launchctl kill"));
    }

    #[test]
    fn a_job_that_runs_at_load_and_is_kicked_at_that_moment_is_started() {
        let mac = Mac::new(&[("busy", "")]);
        mac.launchd.start(Path::new(PLIST)).unwrap();
    }

    #[test]
    fn a_disabled_job_is_seen_refused_and_enabled() {
        let mac = Mac::new(&[("disabled", "")]);
        assert!(!mac.launchd.state().unwrap().enabled);
        let launchd = Launchd { settles: Duration::ZERO, ..mac.launchd.clone() };
        let error = launchd.start(Path::new(PLIST)).unwrap_err();
        assert!(error.to_string().contains("loaded already, or its file"), "{error}");
        mac.launchd.enable().unwrap();
        mac.launchd.start(Path::new(PLIST)).unwrap();
    }

    #[test]
    fn a_refused_boot_out_is_reported_with_what_launchctl_said() {
        let mac = Mac::new(&[("loaded", ""), ("refused", "")]);
        let error = mac.launchd.stop().unwrap_err();
        assert!(error.to_string().contains("could not stop the job"), "{error}");
        assert!(error.to_string().contains("Boot-out failed: 5"), "{error}");
    }

    #[test]
    fn where_there_is_no_launchctl_that_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let error = Launchd::new(Tools::below(dir.path())).state().unwrap_err();
        assert!(error.to_string().contains("there is no such program"), "{error}");
    }
}
