use super::Launchd;
use crate::command::Tools;
use crate::command::testing::fake_tool;
use crate::job::AGENT;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

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
  printf 'system/dev.russet.agent = {\n\tstate = running\n\tpid = %s\n\tlast exit code = (never exited)\n}\n' "$(cat pid 2>/dev/null || echo 42)" ;;
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
  case $2 in -k) echo 43 >pid ;; esac
  [ -e busy ] && { echo 'Could not kickstart service: 37: Operation already in progress' >&2; exit 37; }
  [ -e loaded ] || { echo 'Could not find service "dev.russet.agent" in domain for system' >&2; exit 113; } ;;
bootout)
  while [ -e wait ]; do sleep 0.01; done
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
            ..Launchd::new(
                AGENT,
                Tools::below(dir.path()),
                dir.path().join("loaded.plist"),
                reloader(dir.path()),
            )
        };
        Self { dir, launchd }
    }

    fn asked(&self, verb: &str) -> usize {
        let asked = std::fs::read_to_string(self.dir.path().join("asked")).unwrap();
        asked.lines().filter(|line| line.split(' ').next() == Some(verb)).count()
    }
}

const PLIST: &str = "/Library/LaunchDaemons/dev.russet.agent.plist";

/// This very program, as [`reload_in_a_process_of_its_own`].
fn reloader(directory: &Path) -> Vec<std::ffi::OsString> {
    let program = std::env::current_exe().unwrap();
    let name = "macos_tools::launchd::tests::reload_in_a_process_of_its_own";
    let place = format!("RUSSET_TEST_RELOAD={}", directory.display());
    let words = ["/usr/bin/env", &place, program.to_str().unwrap(), name, "--exact"];
    let words = words.into_iter().chain(["--ignored", "--nocapture"]);
    words.map(std::ffi::OsString::from).collect()
}

#[test]
#[ignore = "the process that others start to reload the job"]
fn reload_in_a_process_of_its_own() {
    let Some(directory) = std::env::var_os("RUSSET_TEST_RELOAD") else { return };
    let directory = Path::new(&directory);
    let tools = Tools::below(directory);
    let launchd = Launchd {
        pause: Duration::from_millis(1),
        ..Launchd::new(AGENT, tools, directory.join("loaded.plist"), Vec::new())
    };
    if let Err(error) = launchd.reload(&directory.join("plist")) {
        panic!("{error}");
    }
}

/// Waits for something that has to happen.
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(30), "no {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_job_whose_file_did_not_change_is_restarted_in_one_step() {
    let mac = Mac::new(&[("plist", "one")]);
    let plist = mac.dir.path().join("plist");
    mac.launchd.start(&plist).unwrap();
    mac.launchd.restart(&plist).unwrap();
    assert_eq!((mac.asked("bootout"), mac.asked("bootstrap")), (0, 1));
    assert_eq!(mac.launchd.state().unwrap().pid, Some(43));
    // One that is not loaded is loaded.
    mac.launchd.stop().unwrap();
    mac.launchd.restart(&plist).unwrap();
    assert_eq!(mac.asked("bootstrap"), 2);
}

#[test]
fn a_job_whose_file_changed_or_that_somebody_else_loaded_is_loaded_anew() {
    let mac = Mac::new(&[("plist", "one"), ("loaded", "")]);
    let plist = mac.dir.path().join("plist");
    mac.launchd.restart(&plist).unwrap();
    assert_eq!((mac.asked("bootout"), mac.asked("bootstrap")), (1, 1));
    std::fs::write(&plist, "two").unwrap();
    mac.launchd.restart(&plist).unwrap();
    assert_eq!((mac.asked("bootout"), mac.asked("bootstrap")), (2, 2));
    mac.launchd.restart(&plist).unwrap();
    assert_eq!((mac.asked("bootout"), mac.asked("bootstrap")), (2, 2));
}

#[test]
fn a_reload_that_fails_is_an_error_with_its_reason() {
    let mac = Mac::new(&[("plist", "one"), ("loaded", ""), ("refused", "")]);
    let error = mac.launchd.restart(&mac.dir.path().join("plist")).unwrap_err();
    assert!(error.to_string().contains("Boot-out failed"), "{error}");
}

#[test]
fn a_reload_is_finished_when_its_terminal_goes_and_whoever_asked_for_it_is_killed() {
    let mac = Mac::new(&[("plist", "one"), ("loaded", ""), ("wait", "")]);
    let path = |name: &str| mac.dir.path().join(name);
    let words = reloader(mac.dir.path());
    // As `russet agent restart` over ssh: a group of its own, with the reloader in it.
    let script = "\"$@\" & echo $! >\"$0\"; wait";
    let mut asked = std::process::Command::new("/bin/sh")
        .args(["-c", script])
        .arg(path("reloader"))
        .args(&words)
        .process_group(0)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("boot-out", || {
        std::fs::read_to_string(path("asked")).is_ok_and(|text| text.contains("bootout"))
    });
    let reloader: i32 = std::fs::read_to_string(path("reloader")).unwrap().trim().parse().unwrap();
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
        kill(Pid::from_raw(reloader), signal).unwrap();
    }
    let group = Pid::from_raw(i32::try_from(asked.id()).unwrap());
    killpg(group, Signal::SIGKILL).unwrap();
    asked.wait().unwrap();
    drop(asked.stderr.take());
    std::fs::remove_file(path("wait")).unwrap();
    wait_until("job", || {
        let text = std::fs::read_to_string(path("asked")).unwrap();
        path("loaded").exists() && text.contains("bootstrap") && text.contains("kickstart")
    });
}

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
    mac.launchd.stop().unwrap();
    mac.launchd.start(Path::new(PLIST)).unwrap();
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
    let launchd = Launchd::new(AGENT, Tools::below(dir.path()), "/nowhere".into(), Vec::new());
    let error = launchd.state().unwrap_err();
    assert!(error.to_string().contains("there is no such program"), "{error}");
}
