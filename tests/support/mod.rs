//! Tools of the end-to-end tests: real binaries as processes, an admin client, conditions to
//! wait for, and a proxy that fails.
//!
//! Tests run in parallel and as root or not: everything lives in a directory of its own, ports
//! are chosen by the system, and nothing is found by name.

#![cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "some of it is for tests of Linux alone")
)]

pub mod admin;
pub mod agent;
pub mod authority;
pub mod command_line;
#[cfg(target_os = "linux")]
pub mod desktop;
pub mod disk;
pub mod farm;
pub mod faults;
pub mod installation;
#[cfg(target_os = "linux")]
pub mod obstacle;
pub mod orb_registry;
pub mod release;
pub mod scripted_runner;
pub mod server;
pub mod supervisor;
pub mod user;
pub mod webhooks;

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

pub use admin::Admin;
pub use agent::{Agent, AgentOptions};
pub use faults::{Fault, FaultProxy};
pub use installation::{Installation, Version};
pub use russet_test_skip::{Lacks, can_be_root, has_tool, skip};
pub use server::Server;
pub use supervisor::Supervisor;

/// The resource class of the tests.
pub const CLASS: &str = "test/one";

/// Timeout of a condition that normally comes at once. Long, since machines are slow and
/// a limit that is reached fails the test anyway.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The binary under test.
pub fn russet() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_russet"))
}

/// Another program of this checkout. cargo builds the programs of the package whose tests it runs;
/// this one is of another, so it is told to.
pub fn build_program(package: &str) -> PathBuf {
    let profile_dir = russet().parent().unwrap();
    let profile = match profile_dir.file_name().unwrap().to_str().unwrap() {
        "debug" => "dev",
        name => name,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = std::process::Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--package", package, "--profile", profile])
        .arg("--target-dir")
        .arg(profile_dir.parent().unwrap())
        .current_dir(checkout())
        .status()
        .unwrap();
    assert!(status.success(), "{package} was not built");
    profile_dir.join(package)
}

/// The root of the checkout.
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Returns true if the tests run as root. A test that needs root asks [`can_be_root`].
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A directory that slot users can reach their slots below.
pub fn test_dir() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::Builder::new().prefix("russet-test-").tempdir_in("/var/tmp").unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o711)).unwrap();
    dir
}

/// Waits until `condition` gives something, and fails after [`LIMIT`].
#[track_caller]
pub fn wait_for<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_for_within(LIMIT, what, condition)
}

/// Waits until `condition` gives something, and fails after `limit`.
#[track_caller]
pub fn wait_for_within<T>(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A configuration with one job `job` of these steps, each a YAML list element without its dash.
pub fn config(steps: &[&str]) -> String {
    let mut text = format!(
        "version: 2.1\njobs:\n  job:\n    machine: true\n    resource_class: {CLASS}\n    steps:\n"
    );
    for step in steps {
        text.push_str("      - ");
        text.push_str(&step.replace('\n', "\n        "));
        text.push('\n');
    }
    text.push_str("workflows:\n  main:\n    jobs: [job]\n");
    text
}

/// A `run` step for [`config`] with this script.
pub fn run(script: &str) -> String {
    format!("run:\n    command: |\n      {}", script.replace('\n', "\n      "))
}

/// A child that is killed and reaped when the test ends, however it ends.
pub struct Process(pub Child);

impl Process {
    /// Process id.
    pub fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).unwrap())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(self.pid(), signal).unwrap();
    }

    /// Kills it at once, as a crash does, and reaps it.
    pub fn kill(&mut self) {
        self.0.kill().ok();
        self.0.wait().unwrap();
    }

    /// Waits for its end and returns its exit code; `None` if a signal ended it.
    #[track_caller]
    pub fn wait(&mut self) -> Option<i32> {
        wait_for("a process to end", || self.0.try_wait().unwrap()).code()
    }

    /// Returns true while it runs.
    pub fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Asks with HTTP on an open connection, and returns what comes until it ends.
pub fn http_get(mut stream: impl std::io::Read + std::io::Write, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Returns the answer of a unix socket to this user: a thread takes its id and asks.
#[cfg(target_os = "linux")]
pub fn http_get_as(uid: u32, socket: std::path::PathBuf, path: &'static str) -> String {
    std::thread::spawn(move || {
        // SAFETY: three integers. The system call changes this thread alone, which ends soon.
        let result = unsafe { nix::libc::syscall(nix::libc::SYS_setresuid, uid, uid, uid) };
        assert_eq!(result, 0);
        http_get(std::os::unix::net::UnixStream::connect(socket).unwrap(), path)
    })
    .join()
    .unwrap()
}

/// Resident memory of a process, in bytes.
pub fn resident_bytes(pid: nix::unistd::Pid) -> u64 {
    let output =
        std::process::Command::new("ps").args(["-o", "rss=", "-p"]).arg(pid.to_string()).output();
    let kilobytes = String::from_utf8(output.unwrap().stdout).unwrap();
    kilobytes.trim().parse::<u64>().unwrap() * 1024
}
