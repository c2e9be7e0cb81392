//! A supervisor that behaves as launchd does with the real plist of the daemon, below a root of
//! its own: never starts sooner than `ThrottleInterval` after the last start, ends with TERM and
//! after `ExitTimeOut` with KILL, starts again whatever ended it, and gives the environment and
//! the limits that launchd gives. What no test on another system can show is that launchd does
//! the same; docs/verify-on-a-mac.md lists that.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::checkout;

/// The keys that it acts on.
#[derive(Clone, Debug)]
struct Job {
    program: PathBuf,
    error_log: PathBuf,
    throttle: Duration,
    exit_time_out: Duration,
    open_files: u64,
    keep_alive: bool,
    abandon_group: bool,
    /// systemd's part: the control group that the job is started in.
    cgroup: Option<PathBuf>,
}

impl Job {
    fn read(root: &Path, cgroup: Option<PathBuf>) -> Self {
        let file = checkout().join("launchd/dev.russet.agent.plist");
        let plist = plist::Value::from_file(file).unwrap().into_dictionary().unwrap();
        let below = |path: &str| root.join(path.strip_prefix('/').unwrap());
        let seconds = |key: &str| Duration::from_secs(plist[key].as_unsigned_integer().unwrap());
        let flag = |key: &str| plist[key].as_boolean().unwrap();
        let arguments = plist["ProgramArguments"].as_array().unwrap();
        assert_eq!(arguments.len(), 1);
        Self {
            program: below(arguments[0].as_string().unwrap()),
            error_log: below(plist["StandardErrorPath"].as_string().unwrap()),
            throttle: seconds("ThrottleInterval"),
            exit_time_out: seconds("ExitTimeOut"),
            open_files: plist["SoftResourceLimits"].as_dictionary().unwrap()["NumberOfFiles"]
                .as_unsigned_integer()
                .unwrap(),
            keep_alive: flag("KeepAlive"),
            abandon_group: flag("AbandonProcessGroup"),
            cgroup,
        }
    }

    fn spawn(&self) -> Child {
        std::fs::create_dir_all(self.error_log.parent().unwrap()).unwrap();
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.error_log);
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let soft = self.open_files.min(hard);
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .env("XPC_SERVICE_NAME", "dev.russet.agent")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.unwrap())
            .process_group(0);
        // Opened here: the child only writes to it. `0` is whoever writes.
        let cgroup = self.cgroup.as_ref().map(|cgroup| {
            let procs = cgroup.join("cgroup.procs");
            std::fs::OpenOptions::new().write(true).open(procs).unwrap()
        });
        // SAFETY: plain system calls.
        unsafe {
            command.pre_exec(move || {
                if let Some(cgroup) = &cgroup {
                    nix::unistd::write(cgroup, b"0")?;
                }
                Ok(setrlimit(Resource::RLIMIT_NOFILE, soft, hard)?)
            });
        }
        command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.program.display()))
    }
}

enum Verb {
    /// `launchctl kickstart -k`
    Restart,
    /// `launchctl bootout`
    End,
}

/// A job that is loaded.
pub struct Supervisor {
    verbs: Sender<Verb>,
    thread: Option<std::thread::JoinHandle<()>>,
    pid: Arc<Mutex<Option<Pid>>>,
    error_log: PathBuf,
}

impl Supervisor {
    /// `launchctl bootstrap`: with `RunAtLoad` it starts at once.
    pub fn bootstrap(root: &Path) -> Self {
        Self::bootstrap_in(root, None)
    }

    /// The same, in a control group.
    pub fn bootstrap_in(root: &Path, cgroup: Option<PathBuf>) -> Self {
        let job = Job::read(root, cgroup);
        let (verbs, orders) = channel();
        let pid = Arc::new(Mutex::new(None));
        let error_log = job.error_log.clone();
        let thread = std::thread::spawn({
            let pid = Arc::clone(&pid);
            move || supervise(&job, &orders, &pid)
        });
        Self { verbs, thread: Some(thread), pid, error_log }
    }

    /// `launchctl kickstart -k`.
    pub fn restart(&self) {
        self.verbs.send(Verb::Restart).unwrap();
    }

    /// `launchctl bootout`, waited for.
    pub fn bootout(mut self) {
        self.end();
    }

    /// The process id of the job, while it runs.
    pub fn pid(&self) -> Option<Pid> {
        *self.pid.lock().unwrap()
    }

    /// Text that the job wrote to `StandardErrorPath`.
    pub fn error_log(&self) -> String {
        std::fs::read_to_string(&self.error_log).unwrap_or_default()
    }

    fn end(&mut self) {
        self.verbs.send(Verb::End).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.end();
    }
}

fn supervise(job: &Job, orders: &Receiver<Verb>, pid: &Mutex<Option<Pid>>) {
    loop {
        let started = Instant::now();
        let mut child = job.spawn();
        let id = Pid::from_raw(i32::try_from(child.id()).unwrap());
        *pid.lock().unwrap() = Some(id);
        let end = watch(job, &mut child, id, orders);
        *pid.lock().unwrap() = None;
        if !job.abandon_group {
            killpg(id, Signal::SIGKILL).ok();
        }
        if end || !job.keep_alive {
            return;
        }
        let next = started + job.throttle;
        match orders.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(Verb::End) | Err(RecvTimeoutError::Disconnected) => return,
            // It is not running, and is started when it may.
            Ok(Verb::Restart) => {
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Waits for the end of the job. True: it is not wanted any more.
fn watch(job: &Job, child: &mut Child, id: Pid, orders: &Receiver<Verb>) -> bool {
    let mut end = false;
    let mut kill_at: Option<Instant> = None;
    while child.try_wait().unwrap().is_none() {
        match orders.recv_timeout(Duration::from_millis(5)) {
            Ok(verb) => {
                end |= matches!(verb, Verb::End);
                kill(id, Signal::SIGTERM).ok();
                kill_at = Some(Instant::now() + job.exit_time_out);
            }
            Err(RecvTimeoutError::Disconnected) if kill_at.is_none() => {
                kill_at = Some(Instant::now());
            }
            Err(_) => {}
        }
        if kill_at.is_some_and(|at| Instant::now() >= at) {
            kill(id, Signal::SIGKILL).ok();
        }
    }
    end
}
