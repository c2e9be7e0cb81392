//! What could outlive a task besides its processes: the next task of the same user meets none of it.

use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use russet_platform::shared_directories::SharedDirectoryList;
use russet_protocol::outcome::Outcome;
use russet_protocol::supervise::{Failure, Mode};
use russet_protocol::task::CLEAN_UP_STEP;
use russet_test_skip::{can_be_root, has_tool};

use crate::task::{Task, scripts};

/// Python that calls the kernel.
const PYTHON: &str = "import ctypes, os; c = ctypes.CDLL(None, use_errno=True); \
                      key = lambda *a: c.syscall(250 if os.uname().machine == 'x86_64' else 219, *a); \
                      add = lambda name, ring: c.syscall(248 if os.uname().machine == 'x86_64' \
                      else 217, b'user', name, b'secret', 6, ring);";

fn python(script: &str) -> String {
    format!("python3 -c \"{PYTHON} {script}\"")
}

#[tokio::test]
async fn keys_of_a_task_are_gone_when_the_next_one_looks_for_them() {
    if !can_be_root("to become the slot's user") || !has_tool("python3") {
        return;
    }
    let left = python(
        "assert add(b'of-user', -4) > 0; assert add(b'of-user-session', -5) > 0; \
         assert add(b'of-session', -3) > 0; key(22, -1, -3); \
         [key(5, add(b'open', ring), 0x3f3f3f3f) for ring in (-4, -5)]; \
         key(5, -4, 0x3f3f3f3f); print('left')",
    );
    let mut task = Task::new(scripts(&[&left])).await;
    task.run_to(Outcome::Success).await;
    assert!(task.text(CLEAN_UP_STEP).contains("kernel keys"), "{}", task.text(CLEAN_UP_STEP));
    let uid = task.user.as_ref().unwrap().uid;
    let users = std::fs::read_to_string("/proc/key-users").unwrap();
    assert!(!users.lines().any(|line| line.trim().starts_with(&format!("{uid}:"))), "{users}");
    // The last one tells the permissions of the user's keyring, which the first task had changed.
    let found = python(
        "print([key(10, ring, b'user', name, 0) for ring in (-3, -4, -5) for name in \
         (b'of-user', b'of-user-session', b'of-session', b'open')], \
         open('/proc/keys').read().count('3f3f3f3f'))",
    );
    task.go_on_with(scripts(&[&found])).await;
    task.run_to(Outcome::Success).await;
    let nothing = ["-1"; 12].join(", ");
    assert_eq!(task.text(1), format!("[{nothing}] 0\n"));
}

#[tokio::test]
async fn a_session_keyring_is_shared_with_nobody() {
    if !can_be_root("to become the slot's user") || !has_tool("python3") {
        return;
    }
    let put = python("print(add(b'shared', -3) > 0); import time; time.sleep(1000)");
    let mut one = Task::new(scripts(&[&put])).await;
    let running = one.start().await;
    one.plane.until("the key", |held| held.text(1) == "True\n").await;
    let look = python("print(key(10, -3, b'user', b'shared', 0))");
    let other = Task::new(scripts(&[&look])).await;
    other.run_to(Outcome::Success).await;
    assert_eq!(other.text(1), "-1\n");
    drop(running);
    one.then(Mode::Clean, None).await;
}

#[tokio::test]
async fn queues_and_memory_of_a_task_are_gone_also_those_that_it_gave_away() {
    if !can_be_root("to become the slot's user") || !has_tool("python3") {
        return;
    }
    // A segment that is given to another user stays its creator's to use: `shmid_ds` begins with
    // `ipc_perm`, which begins with the key and the owner.
    let left = python(
        "q = c.mq_open(b'/left-queue', os.O_CREAT | os.O_RDWR, 0o600, None); \
         s = c.shmget(0x1234567, 4096, 0o1666); b = ctypes.create_string_buffer(256); \
         c.shmctl(s, 2, b); b[4:8] = (65000).to_bytes(4, 'little'); \
         print(q >= 0 or ctypes.get_errno() == 38, s >= 0, c.shmctl(s, 1, b) == 0, \
         c.msgget(0x1234568, 0o1600) >= 0, c.semget(0x1234569, 1, 0o1600) >= 0)",
    );
    let mut task = Task::new(scripts(&[&left])).await;
    task.run_to(Outcome::Success).await;
    assert_eq!(task.text(1), "True True True True True\n");
    assert!(task.text(CLEAN_UP_STEP).contains("IPC objects"), "{}", task.text(CLEAN_UP_STEP));
    let found = python(
        "print(c.mq_open(b'/left-queue', os.O_RDWR), c.shmget(0x1234567, 4096, 0), \
         c.msgget(0x1234568, 0), c.semget(0x1234569, 1, 0))",
    );
    task.go_on_with(scripts(&[&found])).await;
    task.run_to(Outcome::Success).await;
    assert_eq!(task.text(1), "-1 -1 -1 -1\n");
}

/// A directory of root's that goes with its guard.
struct Directory(PathBuf);

impl Directory {
    fn new(path: &str, mode: u32) -> Self {
        let path = PathBuf::from(format!("{path}-{}", std::process::id()));
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(&path).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        Self(path)
    }

    fn shown(&self) -> std::path::Display<'_> {
        self.0.display()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Makes the list of this machine anew, as a launch agent does.
async fn survey(task: &mut Task) {
    let list = SharedDirectoryList::of_machine();
    let limit = tokio::time::Instant::now() + Duration::from_secs(120);
    let lock = loop {
        if let Some(lock) = list.lock().unwrap() {
            break lock;
        }
        assert!(tokio::time::Instant::now() < limit, "another one makes the list for too long");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let own = task.assignment.user.replace(russet_platform::users::nobody());
    let ended = task.then(Mode::Survey, None).await;
    task.assignment.user = own;
    task.assignment.mode = Mode::Run;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    list.keep_draft(&lock).unwrap();
}

#[tokio::test]
async fn directories_where_everybody_may_write_are_found_wherever_they_are() {
    if !can_be_root("to become the slot's user") {
        return;
    }
    let screen = Directory::new("/run/russet-test-screen", 0o777);
    // As those of sessions of PHP: files in it can be guessed, and nobody can list them.
    let drop_box = Directory::new("/var/lib/russet-test-sessions", 0o1733);
    let left = format!(
        "mkdir {0}/S-left; echo secret > {0}/S-left/log; echo secret > {1}/sess_left",
        screen.shown(),
        drop_box.shown()
    );
    let mut task = Task::new(scripts(&[&left])).await;
    survey(&mut task).await;
    task.run_to(Outcome::Success).await;
    let text = task.text(CLEAN_UP_STEP);
    assert!(text.contains("S-left") && text.contains("sess_left"), "{text}");
    let found = format!(
        "cat {}/S-left/log {}/sess_left 2>/dev/null || echo nothing",
        screen.shown(),
        drop_box.shown()
    );
    task.go_on_with(scripts(&[&found])).await;
    task.run_to(Outcome::Success).await;
    assert_eq!(task.text(1), "nothing\n");
    // A helper finds them as well.
    std::fs::write(drop_box.0.join("of-root"), "x").unwrap();
    task.go_on_with(scripts(&[&left])).await;
    let mut agent = task.start().await;
    let path = drop_box.0.join("sess_left");
    task.plane.until("the end of the step", |held| held.finished(1).is_some()).await;
    agent.kill().await.unwrap();
    let ended = task.then(Mode::Clean, None).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!path.exists() && drop_box.0.join("of-root").exists());
}

#[tokio::test]
async fn twenty_six_thousand_files_are_gone_and_the_task_agent_empties_its_slot_all_the_same() {
    if !can_be_root("to become the slot's user") {
        return;
    }
    let mut task = Task::new(scripts(&[
        "cd /var/tmp; seq -f \"left-$(id -u)-%g\" 26000 | xargs touch; ls | grep -c left-$(id -u)-",
    ]))
    .await;
    task.assignment.is_swept = true;
    task.run_to(Outcome::Success).await;
    assert_eq!(task.text(1), "26000\n");
    let uid = task.user.as_ref().unwrap().uid;
    let is_left = |entry: &std::fs::DirEntry| {
        entry.file_name().to_string_lossy().starts_with(&format!("left-{uid}-"))
    };
    let left = std::fs::read_dir("/var/tmp").unwrap().flatten().filter(is_left).count();
    assert_eq!(left, 0);
    let record = task.record();
    let files = record.left.iter().find(|left| left.kind == "shared_files").unwrap();
    assert_eq!((files.removed, files.kept), (26_000, 0));
}

/// Holds a process as nothing else does: not even KILL ends it before it goes on.
struct Frozen(PathBuf);

impl Frozen {
    /// `None`: this machine has no such control groups.
    fn new(pid: &str) -> Option<Self> {
        let group = Path::new("/sys/fs/cgroup/freezer");
        if !group.join("cgroup.procs").exists() {
            return None;
        }
        let group = Self(group.join(format!("russet-test-{}-{pid}", std::process::id())));
        std::fs::create_dir(&group.0).ok()?;
        std::fs::write(group.0.join("cgroup.procs"), pid).unwrap();
        std::fs::write(group.0.join("freezer.state"), "FROZEN").unwrap();
        Some(group)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        drop(std::fs::write(self.0.join("freezer.state"), "THAWED"));
        let is_empty = || {
            std::fs::read_to_string(self.0.join("cgroup.procs")).is_ok_and(|pids| pids.is_empty())
        };
        for _ in 0..500 {
            if is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(std::fs::remove_dir(&self.0));
    }
}

#[tokio::test]
async fn a_process_that_does_not_end_holds_the_slot_and_is_named() {
    if !can_be_root("to become the slot's user") {
        return;
    }
    let mut task = Task::new(scripts(&["sleep 1004 & echo $!; wait"])).await;
    let mut agent = task.start().await;
    task.plane.until("the process", |held| held.text(1).ends_with('\n')).await;
    let pid = task.text(1).trim().to_owned();
    let Some(frozen) = Frozen::new(&pid) else {
        russet_test_skip::skip(
            russet_test_skip::Lacks::Machine,
            "there is no freezer of version 1",
        );
        return;
    };
    agent.kill().await.unwrap();
    let ended = task.then(Mode::Clean, None).await;
    drop(frozen);
    assert_eq!(ended.code, Some(75), "{}", ended.stderr);
    let named = format!("the process `sleep 1004` (pid {pid}): it does not end");
    assert!(ended.stderr.contains(&named), "{}", ended.stderr);
    let ended = task.then(Mode::Clean, None).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

#[tokio::test]
async fn a_program_that_runs_under_the_users_id_for_somebody_else_ends_with_the_task() {
    if !can_be_root("to become the slot's user") {
        return;
    }
    let mut task = Task::new(scripts(&["true"])).await;
    let uid = task.user.as_ref().unwrap().uid;
    // As a set-uid program that the job left where another user started it.
    let mut command = std::process::Command::new("sleep");
    command.arg("1005");
    // SAFETY: setresuid may be called between fork and exec.
    unsafe {
        use std::os::unix::process::CommandExt as _;
        command.pre_exec(move || {
            let (other, user) =
                (nix::unistd::Uid::from_raw(65_000), nix::unistd::Uid::from_raw(uid));
            Ok(nix::unistd::setresuid(other, user, user)?)
        });
    }
    let mut child = command.spawn().unwrap();
    let ended = task.then(Mode::Clean, None).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!child.wait().unwrap().success());
}

#[tokio::test]
async fn a_helper_that_sends_what_is_left_ends_with_its_launch_agent() {
    let mut task = Task::new(scripts(&["echo on; sleep 1006"])).await;
    let mut agent = task.start().await;
    task.plane.until("output", |held| held.text(1) == "on\n").await;
    agent.kill().await.unwrap();
    // A server that takes connections and says nothing: it would be asked for an hour.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    task.assignment.api_url = format!("http://{}", listener.local_addr().unwrap());
    task.assignment.mode = Mode::Flush;
    let outcome = Outcome::InfrastructureFail;
    task.assignment.failure = Some(Failure { outcome, message: "it was killed".to_owned() });
    let mut parent = task.start_below_another().await;
    let limit = Duration::from_secs(60);
    let connection = tokio::time::timeout(limit, listener.accept()).await.unwrap().unwrap();
    let pid = parent.id().unwrap();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let helper = russet_platform::Process::open(children.trim().parse().unwrap()).unwrap();
    parent.kill().await.unwrap();
    tokio::time::timeout(limit, helper.ended()).await.expect("the helper should end").unwrap();
    drop(connection);
    task.then(Mode::Clean, None).await;
}
