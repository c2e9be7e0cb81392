//! An agent as it is installed, below a root of its own, with the real `russet-boot` and the real
//! `russet`, under a [`Supervisor`]. Needs root.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use russet_platform::layout::Layout;
use russet_protocol::boot_files::{self, Bad, Health, Probation};

use super::agent::task_agents_below;
use super::{CLASS, Server, Supervisor, can_be_root, russet, test_dir, wait_for};

/// The `russet-boot` of this checkout.
pub fn russet_boot() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| super::build_program("russet-boot")).clone()
}

/// A program that a test puts in the place of a version.
#[derive(Clone, Copy, Debug)]
pub enum Version<'a> {
    /// The real one.
    Real,
    /// A shell script.
    Script(&'a str),
    /// A file that cannot be executed.
    Unexecutable,
}

/// Returns true if the test can run a service, which is root's; otherwise the test is skipped.
#[track_caller]
pub fn can_run_service() -> bool {
    can_be_root("to run a service")
}

/// An installed agent.
pub struct Installation {
    pub supervisor: Option<Supervisor>,
    pub layout: Layout,
    dir: tempfile::TempDir,
}

impl Installation {
    /// Installs it, with one slot of [`CLASS`] and these lines below `runner:`, not started.
    pub fn new(server: &Server, runner: &[&str]) -> Self {
        let dir = test_dir();
        let layout = Layout::below(dir.path());
        let token = server.admin.class_token(CLASS);
        std::fs::create_dir_all(layout.code()).unwrap();
        copy(&russet_boot(), &layout.boot());
        let installed = Self { supervisor: None, layout, dir };
        make(&installed.layout.bundle(), &installed.layout.executable(), Version::Real);
        let mut text = format!(
            "api:\n  url: {}\n  auth_token: {token}\nrunner:\n  name: test\n  user_prefix: _rt_none\n  \
             state_directory: {}\n",
            server.url(),
            installed.layout.state().display()
        );
        for line in runner {
            text.push_str(&format!("  {line}\n"));
        }
        installed.write_config(&text);
        installed
    }

    /// And starts it, and waits until it is healthy.
    pub fn start(server: &Server) -> Self {
        let mut installed = Self::new(server, &[]);
        installed.bootstrap();
        installed.wait_proved(None);
        installed
    }

    /// Puts russet-boot and this program in their places again, where something was mounted over
    /// them.
    pub fn put_again(&self, script: &str) {
        copy(&russet_boot(), &self.layout.boot());
        make(&self.layout.bundle(), &self.layout.executable(), Version::Script(script));
    }

    /// Replaces the configuration.
    pub fn write_config(&self, text: &str) {
        let path = self.layout.config();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
        file.unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Loads the job.
    pub fn bootstrap(&mut self) {
        self.supervisor = Some(Supervisor::bootstrap(self.dir.path()));
    }

    /// Loads the job in a control group.
    pub fn bootstrap_in(&mut self, cgroup: &Path) {
        let cgroup = Some(cgroup.to_owned());
        self.supervisor = Some(Supervisor::bootstrap_in(self.dir.path(), cgroup));
    }

    /// The job.
    pub fn supervisor(&self) -> &Supervisor {
        self.supervisor.as_ref().unwrap()
    }

    /// A path that tasks can see.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Text of one of the files between russet-boot and agent.
    pub fn boot_file(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.layout.boot_state().join(name)).ok()
    }

    /// Waits for an agent that has proved healthy, other than `before`.
    pub fn wait_proved(&self, before: Option<Pid>) -> Pid {
        wait_for(&format!("a healthy agent: {}", self.log()), || {
            let text = self.boot_file(boot_files::HEALTH)?;
            let pid: u32 = text.lines().next()?.strip_prefix("pid ")?.parse().ok()?;
            let id = Pid::from_raw(i32::try_from(pid).ok()?);
            let proved = Health::parse(&text, pid)? == Health::Proved;
            (proved && Some(id) != before && kill(id, None).is_ok()).then_some(id)
        })
    }

    /// Puts something else in the place of the agent.
    pub fn replace(&self, what: Version<'_>) {
        make(&self.layout.bundle(), &self.layout.executable(), what);
    }

    /// Puts a new version in place, as an update does.
    pub fn update(&self, version: &str, what: Version<'_>, limit: u64) {
        let staged = self.layout.previous();
        let relative = self.layout.executable();
        let relative = relative.strip_prefix(self.layout.bundle()).unwrap();
        make(&staged, &staged.join(relative), what);
        let bundle = identity_of(&staged);
        let probation = Probation { version: version.to_owned(), bundle, limit };
        let place = self.layout.boot_state();
        std::fs::write(place.join("probation.new"), probation.text()).unwrap();
        std::fs::rename(place.join("probation.new"), place.join(boot_files::PROBATION)).unwrap();
        self.exchange();
    }

    /// Exchanges the bundles.
    pub fn exchange(&self) {
        // In three steps, which nobody sees: russet-boot looks when an agent ends.
        let aside = self.layout.code().join("aside");
        std::fs::rename(self.layout.previous(), &aside).unwrap();
        std::fs::rename(self.layout.bundle(), self.layout.previous()).unwrap();
        std::fs::rename(&aside, self.layout.bundle()).unwrap();
    }

    /// Identity of the current bundle.
    pub fn bundle(&self) -> String {
        identity_of(&self.layout.bundle())
    }

    /// The versions that russet-boot went back from.
    pub fn bad(&self) -> Vec<Bad> {
        boot_files::parse_bad(&self.boot_file(boot_files::BAD).unwrap_or_default())
    }

    /// Log of russet-boot and the agent.
    pub fn log(&self) -> String {
        let said = self.supervisor.as_ref().map(Supervisor::error_log).unwrap_or_default();
        said + &std::fs::read_to_string(self.layout.agent_log()).unwrap_or_default()
    }

    /// Waits until the log contains `text`.
    pub fn wait_log(&self, text: &str) {
        wait_for(&format!("`{text}` in the log"), || self.log().contains(text).then_some(()));
    }
}

impl Drop for Installation {
    /// A test that failed must not leave a task behind: tasks outlive their launch agent.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("russet-boot and the agent said:\n{}", self.log());
        }
        self.supervisor = None;
        for pid in task_agents_below(&self.layout.state()) {
            kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
        }
    }
}

fn make(bundle: &Path, exe: &Path, version: Version<'_>) {
    std::fs::remove_dir_all(bundle).ok();
    std::fs::create_dir_all(exe.parent().unwrap()).unwrap();
    match version {
        Version::Real => copy(russet(), exe),
        Version::Script(text) => {
            // By a process of its own: a fork of another thread of this one may hold a file that
            // is written here open, and such a file cannot be executed.
            let script = format!("#!/bin/sh\n{text}");
            let status = Command::new("/bin/sh")
                .args(["-c", "printf '%s\\n' \"$2\" > \"$1\" && chmod 755 \"$1\"", "sh"])
                .arg(exe)
                .arg(script)
                .status();
            assert!(status.unwrap().success());
        }
        Version::Unexecutable => std::fs::write(exe, "no program").unwrap(),
    }
}

/// Identity of a bundle, by which `russet-boot` knows it.
pub fn identity_of(bundle: &Path) -> String {
    let meta = std::fs::metadata(bundle).unwrap();
    boot_files::identity(meta.ino(), meta.mtime(), meta.mtime_nsec())
}

/// A second name is as good as a copy, and quicker.
fn copy(from: &Path, to: &Path) {
    if std::fs::hard_link(from, to).is_err() {
        std::fs::copy(from, to).unwrap();
    }
}
