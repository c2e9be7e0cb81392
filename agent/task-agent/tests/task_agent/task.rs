//! One task: its slot, its user, its task agent.

use std::fs::File;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use russet_protocol::outcome::Outcome;
use russet_protocol::secret::Secret;
use russet_protocol::supervise::{
    Assignment, Failure, Hooks, Limits, Mode, ResultRecord, SlotDirs, SlotUser, Tidy, VERSION,
};
use russet_protocol::task::{Action, JobInfo, Run, Step, TaskConfig, When};
use tokio::io::AsyncWriteExt as _;

use crate::plane::Plane;

/// A user id that no other test uses at the same time.
pub(crate) struct TestUser {
    pub(crate) uid: u32,
    _lock: nix::fcntl::Flock<File>,
}

impl TestUser {
    pub(crate) fn take() -> Self {
        let dir = std::env::temp_dir().join("russet-test-uids");
        std::fs::create_dir_all(&dir).unwrap();
        for uid in 57_000..58_000 {
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(dir.join(uid.to_string()))
                .unwrap();
            let exclusively = nix::fcntl::FlockArg::LockExclusiveNonblock;
            if let Ok(lock) = nix::fcntl::Flock::lock(file, exclusively) {
                return Self { uid, _lock: lock };
            }
        }
        panic!("no user id is free");
    }
}

/// A task that is about to run.
pub(crate) struct Task {
    pub(crate) plane: Arc<Plane>,
    pub(crate) assignment: Assignment,
    pub(crate) config: TaskConfig,
    pub(crate) user: Option<TestUser>,
    slot: tempfile::TempDir,
}

/// Files that a task agent left.
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
}

/// A `run` step.
pub(crate) fn run(command: &str) -> Run {
    Run {
        command: command.to_owned(),
        shell: None,
        environment: [].into(),
        working_directory: None,
        background: false,
        no_output_timeout_ms: None,
        max_auto_reruns: 0,
        auto_rerun_delay_ms: 0,
    }
}

/// Steps in order, numbered from 1.
pub(crate) fn steps(actions: Vec<(When, Action)>) -> Vec<Step> {
    let numbered = (1..).zip(actions);
    numbered
        .map(|(number, (when, action))| Step {
            number,
            name: format!("step {number}"),
            when,
            action,
        })
        .collect()
}

/// Scripts as steps.
pub(crate) fn scripts(commands: &[&str]) -> Vec<Step> {
    steps(commands.iter().map(|text| (When::OnSuccess, Action::Run(run(text)))).collect())
}

impl Task {
    /// A task with these steps, as a throw-away user where that is possible.
    pub(crate) async fn new(steps: Vec<Step>) -> Self {
        let (plane, url) = Plane::start().await;
        let user = nix::unistd::geteuid().is_root().then(TestUser::take);
        let slot = tempfile::Builder::new().prefix("russet-slot-").tempdir().unwrap();
        std::fs::set_permissions(slot.path(), PermissionsExt::from_mode(0o711)).unwrap();
        let dir = |name: &str| -> PathBuf {
            let path = slot.path().join(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
            if let Some(user) = &user {
                chown(&path, Some(user.uid), Some(user.uid)).unwrap();
            }
            path
        };
        let dirs = SlotDirs {
            root: slot.path().to_owned(),
            home: dir("home"),
            work: dir("work"),
            tmp: dir("tmp"),
            spool: dir("spool"),
        };
        let assignment = Assignment {
            caches: None,
            aside: Vec::new(),
            kept: Vec::new(),
            slot: None,
            ssh: None,
            trim: None,
            warm_up: None,
            gui: None,
            version: VERSION,
            mode: Mode::Run,
            token: Secret::new("task-token"),
            allocation: "allocation-1".into(),
            api_url: url,
            user: user.as_ref().map(|user| SlotUser {
                uid: user.uid,
                gid: user.uid,
                name: None,
                dedicated: true,
            }),
            dirs,
            supervisor: None,
            runner: "test".to_owned(),
            max_run_time_ms: 120_000,
            deadline: None,
            path: Vec::new(),
            helpers: None,
            environment: [].into(),
            home_skeleton: None,
            hooks: Hooks::default(),
            limits: Limits { kill_grace_ms: 2_000, ..Limits::default() },
            ca_file: None,
            failure: None,
            external: None,
            credentials: Vec::new(),
            withheld: Vec::new(),
            xcode_directories: None,
            matches_xcode: false,
            xcode: None,
            relay: None,
            tidy: Tidy::Nothing,
            is_swept: false,
        };
        let config = TaskConfig {
            xcode: None,
            version: TaskConfig::VERSION,
            task_id: "task-1".into(),
            allocation: "allocation-1".into(),
            job: JobInfo { name: "build".to_owned(), node_total: 1, ..JobInfo::default() },
            max_run_time_ms: None,
            environment: Vec::new(),
            masks: Vec::new(),
            shell: None,
            working_directory: None,
            source: None,
            ssh_keys: Vec::new(),
            ssh: None,
            steps,
            heartbeat_ms: 1_000,
        };
        Self { plane, assignment, config, user, slot }
    }

    /// The slot's directory.
    pub(crate) fn slot(&self) -> &Path {
        self.slot.path()
    }

    /// Starts the task agent.
    pub(crate) async fn start(&self) -> tokio::process::Child {
        self.plane.set_config(self.config.clone());
        let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
        command.stderr(Stdio::piped());
        self.start_with(command).await
    }

    /// Starts a command that is the task agent, or starts it, and hands it the assignment.
    async fn start_with(&self, mut command: tokio::process::Command) -> tokio::process::Child {
        command.env(crate::MARKER, "1").stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&serde_json::to_vec(&self.assignment).unwrap()).await.unwrap();
        child
    }

    /// Starts the task agent as the leader of a process group, and ends its parent before it has
    /// its assignment.
    pub(crate) async fn start_orphaned(&self) {
        self.plane.set_config(self.config.clone());
        let mut parent = tokio::process::Command::new("bash")
            .args(["-c", "set -m; \"$0\" <&0 &"])
            .arg(std::env::current_exe().unwrap())
            .env(crate::MARKER, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdin = parent.stdin.take().unwrap();
        assert!(parent.wait().await.unwrap().success());
        stdin.write_all(&serde_json::to_vec(&self.assignment).unwrap()).await.unwrap();
    }

    /// Starts the task agent as the child of a shell, which is its parent then.
    #[cfg(target_os = "linux")]
    pub(crate) async fn start_below_another(&self) -> tokio::process::Child {
        let mut shell = tokio::process::Command::new("/bin/sh");
        shell.args(["-c", "\"$0\"; true"]).arg(std::env::current_exe().unwrap());
        shell.stderr(Stdio::null());
        self.start_with(shell).await
    }

    /// Makes this another task of the same slot, with a control plane of its own.
    #[cfg(target_os = "linux")]
    pub(crate) async fn go_on_with(&mut self, steps: Vec<Step>) {
        let ended = self.then(Mode::Clean, None).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        (self.plane, self.assignment.api_url) = Plane::start().await;
        self.assignment.mode = Mode::Run;
        self.assignment.is_swept = true;
        self.config.steps = steps;
    }

    /// Waits for the end of a task agent.
    pub(crate) async fn wait(&self, child: tokio::process::Child) -> Ended {
        let limit = Duration::from_secs(120);
        let output = tokio::time::timeout(limit, child.wait_with_output()).await;
        let output = output.expect("the task agent should end").unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Ended { code: output.status.code(), stderr }
    }

    /// Runs the task agent to its end.
    pub(crate) async fn run(&self) -> Ended {
        let child = self.start().await;
        self.wait(child).await
    }

    /// Runs a task that reports `outcome`.
    pub(crate) async fn run_to(&self, outcome: Outcome) {
        let ended = self.run().await;
        let held = self.plane.held.borrow();
        let finish = held.finish.as_ref();
        assert_eq!(
            finish.map(|finish| finish.outcome),
            Some(outcome),
            "exit {:?}, {}, outputs {:?}, events {:?}",
            ended.code,
            ended.stderr,
            held.output
                .values()
                .map(|bytes| String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]))
                .collect::<Vec<_>>(),
            held.events,
        );
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(self.record().reported);
    }

    /// Runs the agent in another mode on the same slot.
    pub(crate) async fn then(&mut self, mode: Mode, failure: Option<Failure>) -> Ended {
        self.assignment.mode = mode;
        self.assignment.failure = failure;
        self.run().await
    }

    /// The result record in the spool.
    pub(crate) fn record(&self) -> ResultRecord {
        let path = self.assignment.dirs.spool.join(russet_protocol::supervise::RESULT_FILE);
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    /// The output of a step.
    pub(crate) fn text(&self, step: u32) -> String {
        self.plane.held.borrow().text(step)
    }
}
