//! Control groups of tasks, delegated as systemd does it.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use super::{end_counting, start_counting};
use crate::support::installation::can_run_service;
use crate::support::{Installation, Lacks, Server, skip, wait_for};

/// A control group that is delegated as systemd does it; `None` where there can be none.
struct Delegated(std::path::PathBuf);

impl Delegated {
    fn make() -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
        let name = format!("russet-test-{}.service", std::process::id());
        let path = Path::new(mount.split(' ').nth(4)?).join(name);
        std::fs::create_dir(&path).ok()?;
        let made = Self(path);
        let path = std::ffi::CString::new(made.0.to_str()?).ok()?;
        let (mark, value) = (c"trusted.delegate", b"1");
        // SAFETY: names that end with a zero, and one byte.
        let set = unsafe {
            libc::setxattr(path.as_ptr(), mark.as_ptr(), value.as_ptr().cast(), value.len(), 0)
        };
        (set == 0).then_some(made)
    }

    fn processes(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.0.join("slot-1/cgroup.procs"));
        text.unwrap_or_default().lines().map(str::to_owned).collect()
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        for path in [self.0.join("slot-1"), self.0.clone()] {
            let limit = std::time::Instant::now() + Duration::from_secs(5);
            // What was killed takes a moment to be gone.
            while path.exists() && std::fs::remove_dir(&path).is_err() {
                if std::time::Instant::now() > limit {
                    eprintln!("{} is still there", path.display());
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

#[test]
fn a_task_has_a_control_group_of_its_own_and_all_of_it_ends_with_the_task() {
    if !can_run_service() {
        return;
    }
    let Some(delegated) = Delegated::make() else {
        skip(Lacks::Machine, "no control group can be made here");
        return;
    };
    let server = Server::start();
    let mut agent = Installation::new(&server, &[]);
    agent.bootstrap_in(&delegated.0);
    let first = agent.wait_proved(None);
    let pipeline = start_counting(&server, &agent);
    // A process of root's in it, as a setuid program of the job would leave one: the slot's user
    // cannot end that.
    let mut roots = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    std::fs::write(delegated.0.join("slot-1/cgroup.procs"), roots.id().to_string()).unwrap();
    assert!(delegated.processes().len() >= 3, "{:?}", delegated.processes());
    kill(first, Signal::SIGKILL).unwrap();
    agent.wait_proved(Some(first));
    assert!(roots.try_wait().unwrap().is_none());
    end_counting(&server, &agent, &pipeline);
    wait_for("an empty group", || delegated.processes().is_empty().then_some(()));
    assert!(!roots.wait().unwrap().success());
}
