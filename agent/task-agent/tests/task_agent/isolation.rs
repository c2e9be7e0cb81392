//! Isolation of steps, and the end of all that they started.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use russet_protocol::outcome::Outcome;
use russet_protocol::supervise::{FromLaunchAgent, FromTaskAgent, Mode, exit};
use russet_protocol::task::{Action, CLEAN_UP_STEP, POST_TASK_STEP, PRE_TASK_STEP, When};
use russet_test_skip::can_be_root;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

use crate::task::{Task, run, scripts, steps};

fn processes_of(uid: u32) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(status) = std::fs::read_to_string(entry.path().join("status")) else { continue };
        let is_theirs = status.contains(&format!("Uid:\t{uid}\t"));
        if is_theirs && !status.contains("State:\tZ") {
            found.push(status.lines().next().unwrap_or_default().to_owned());
        }
    }
    found
}

#[tokio::test]
async fn a_step_is_a_plain_user_that_can_not_reach_its_task_agent() {
    if !can_be_root("to become the slot's user") {
        return;
    }
    let task = Task::new(scripts(&[
        "id -u; id -g; id -G; grep -E '^Cap(Prm|Eff)' /proc/self/status | tr -s '\\t' ' '",
        "set +e; cat /proc/$PPID/environ; cat /proc/$PPID/mem | head -c 1; ls /proc/$PPID/fd; \
         cat /proc/$PPID/fd/0; true",
        "setpriv --reuid 0 true || echo refused; cat /etc/shadow || echo refused",
        "ls -1 /proc/self/fd; readlink /proc/self/fd/0",
        "env | sort",
    ]))
    .await;
    task.run_to(Outcome::Success).await;
    let uid = task.user.as_ref().unwrap().uid;
    assert_eq!(
        task.text(1),
        format!("{uid}\n{uid}\n{uid}\nCapPrm: 0000000000000000\nCapEff: 0000000000000000\n")
    );
    assert_eq!(task.text(2).matches("Permission denied").count(), 4, "{}", task.text(2));
    assert_eq!(task.text(3).matches("refused").count(), 2, "{}", task.text(3));
    assert_eq!(task.text(4), "0\n1\n2\n3\n/dev/null\n");
    assert!(!task.text(5).contains("RUSSET_TEST"), "{}", task.text(5));
    assert!(!task.text(5).contains("task-token"), "{}", task.text(5));
}

#[tokio::test]
async fn root_without_a_user_and_a_user_that_is_root_are_refused() {
    if !can_be_root("to become the slot's user") {
        return;
    }
    let mut task = Task::new(scripts(&["touch ran"])).await;
    let user = task.assignment.user.take();
    assert_eq!(task.run().await.code, Some(exit::NOT_DROPPED));
    for (uid, gid) in [(0, 1), (1, 0)] {
        let mut user = user.clone().unwrap();
        (user.uid, user.gid) = (uid, gid);
        task.assignment.user = Some(user);
        let ended = task.run().await;
        assert_eq!(ended.code, Some(exit::NOT_DROPPED));
        assert!(ended.stderr.contains("never runs as root"), "{}", ended.stderr);
    }
    assert!(!task.assignment.dirs.work.join("ran").exists());
}

#[tokio::test]
async fn nothing_outlives_the_task_and_what_was_left_is_shown() {
    if !can_be_root("to become the slot's user") {
        return;
    }
    let task = Task::new(scripts(&[
        "nohup sleep 1001 >/dev/null 2>&1 & \
         setsid sleep 1002 >/dev/null 2>&1 & \
         (setsid sh -c 'trap \"\" TERM HUP INT; (while :; do sleep 1003; done) &' >/dev/null 2>&1 &); \
         until pgrep -u $(id -u) -f 'sleep 1003' >/dev/null; do sleep 0.01; done; \
         mkdir -p /tmp/left-$(id -u)/sub; touch /tmp/left-$(id -u)/sub/file /dev/shm/left-$(id -u); \
         chmod 0 /tmp/left-$(id -u)/sub; ln -s /etc /var/tmp/left-$(id -u); \
         python3 -c 'import ctypes; c=ctypes.CDLL(None); print(c.shmget(0, 4096, 0o1600) >= 0)'",
    ]))
    .await;
    task.run_to(Outcome::Success).await;
    let uid = task.user.as_ref().unwrap().uid;
    assert!(task.text(1).contains("True"), "{}", task.text(1));
    assert_eq!(processes_of(uid), Vec::<String>::new());
    for left in ["/tmp", "/var/tmp", "/dev/shm"] {
        let path = Path::new(left).join(format!("left-{uid}"));
        assert!(std::fs::symlink_metadata(&path).is_err(), "{}", path.display());
    }
    let shown = task.text(CLEAN_UP_STEP);
    for wanted in ["sleep 1002 (pid", "sleep 1003", "IPC objects ", "/tmp/left-"] {
        assert!(shown.contains(wanted), "{wanted} in {shown}");
    }
    let table = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
    assert!(!table.contains(&format!(" {uid} ")), "{table}");
}

#[tokio::test]
async fn a_fork_bomb_ends_with_its_task() {
    if !can_be_root("to become the slot's user") {
        return;
    }
    let mut task = Task::new(scripts(&["bomb() { bomb | bomb & }; bomb; sleep 100"])).await;
    task.assignment.limits.processes = Some(60);
    task.config.max_run_time_ms = Some(1_500);
    task.run_to(Outcome::TimedOut).await;
    let uid = task.user.as_ref().unwrap().uid;
    assert_eq!(processes_of(uid), Vec::<String>::new());
}

#[tokio::test]
async fn a_step_that_fills_the_disk_is_ended_with_a_message() {
    let mut task =
        Task::new(scripts(&["while :; do head -c 1000000 /dev/zero >> file; done"])).await;
    task.assignment.limits.disk_bytes = Some(20_000_000);
    task.run_to(Outcome::Failed).await;
    assert!(task.text(1).contains("MB on disk"), "{}", task.text(1));
}

#[tokio::test]
async fn after_the_disk_limit_the_steps_that_always_run_have_room_to_clean_up() {
    let mut task = Task::new(steps(vec![
        (When::OnSuccess, Action::Run(run("while :; do head -c 1000000 /dev/zero >> file; done"))),
        (
            When::Always,
            Action::Run(run("head -c 100000 file > part; rm file; sleep 1; echo saved")),
        ),
    ]))
    .await;
    task.assignment.limits.disk_bytes = Some(200_000_000);
    task.run_to(Outcome::Failed).await;
    assert!(task.text(1).contains("MB on disk"), "{}", task.text(1));
    assert_eq!(task.text(2), "saved\n");
}

#[tokio::test]
async fn output_beyond_the_owners_limit_ends_nothing_and_is_counted() {
    let mut task = Task::new(scripts(&["seq 1 1000; exit 0", "echo x; echo done > file"])).await;
    task.assignment.limits.output_bytes = Some(100);
    task.run_to(Outcome::Success).await;
    let text = task.text(1);
    assert!(text.starts_with("1\n2\n") && text.contains("note: 3793 bytes"), "{text}");
    assert!(text.contains("`runner.limits.output`") && text.len() < 400, "{text}");
    assert!(task.text(2).starts_with("note: 2 bytes"), "{}", task.text(2));
    assert!(task.assignment.dirs.work.join("file").exists());
}

#[tokio::test]
async fn a_value_that_no_process_can_take_is_named_before_the_step() {
    let mut large = run("echo never");
    large.environment = [("MUCH".to_owned(), "x".repeat(8_000_000))].into();
    let task = Task::new(steps(vec![(When::OnSuccess, Action::Run(large))])).await;
    task.run_to(Outcome::Failed).await;
    let text = task.text(1);
    assert!(text.contains("`MUCH` ") && text.contains("no more than"), "{text}");
}

#[tokio::test]
async fn a_spool_without_room_fails_the_step_and_the_task_is_reported() {
    if !can_be_root("to become the slot's user") {
        return;
    }
    let always = run("echo saved; head -c 8000000 /dev/zero; echo to the end > ran");
    let task = Task::new(steps(vec![
        (When::OnSuccess, Action::Run(run("echo first; head -c 8000000 /dev/zero"))),
        (When::OnSuccess, Action::Run(run("echo never"))),
        (When::Always, Action::Run(always)),
    ]))
    .await;
    let spool = task.assignment.dirs.spool.to_str().unwrap().to_owned();
    let uid = task.user.as_ref().unwrap().uid;
    let options = format!("size=2m,mode=0700,uid={uid},gid={uid}");
    let mount = ["-t", "tmpfs", "-o", &options, "tmpfs", &spool];
    assert!(std::process::Command::new("mount").args(mount).status().unwrap().success());
    let ended = task.run().await;
    let record = task.record();
    assert!(std::process::Command::new("umount").arg(&spool).status().unwrap().success());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(record.outcome, Outcome::Failed);
    let held = task.plane.held.borrow();
    assert!(held.text(1).starts_with("first\n"));
    let told = format!("{:?}", held.finished(1));
    assert!(told.contains("could not keep the output: No space left"), "{told}");
    assert!(held.finished(2).is_some());
    assert!(
        held.text(3).starts_with("saved\n"),
        "what runs always has the room that was kept aside"
    );
    let told = format!("{:?}", held.finished(3));
    assert!(told.contains("Success") && told.contains("had no room on disk"), "{told}");
    assert!(task.assignment.dirs.work.join("ran").exists());
}

#[tokio::test]
async fn cleaning_ends_what_a_killed_task_agent_left() {
    if !can_be_root("to become the slot's user") {
        return;
    }
    let mut task =
        Task::new(scripts(&["mkdir -p a/b; touch a/b/c; chmod 0 a; echo on; sleep 1000"])).await;
    let mut agent = task.start().await;
    task.plane.until("output", |held| held.text(1) == "on\n").await;
    agent.kill().await.unwrap();
    let uid = task.user.as_ref().unwrap().uid;
    let ended = task.then(Mode::Clean, None).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_eq!(processes_of(uid), Vec::<String>::new());
    assert_eq!(std::fs::read_dir(&task.assignment.dirs.work).unwrap().count(), 0);
}

#[tokio::test]
async fn the_owners_hooks_run_around_the_job() {
    let mut task = Task::new(scripts(&["cat hooked; exit 1"])).await;
    let hook = |name: &str, text: &str| {
        let path = task.slot().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Some(path)
    };
    let pre = hook("pre", "#!/bin/sh\necho pre; echo hooked > hooked\n");
    let post = hook("post", "#!/bin/sh\necho post $CIRCLE_JOB; sleep 100\n");
    let failing = hook("failing", "#!/bin/sh\nexit 9\n");
    task.assignment.hooks.pre_task = pre;
    task.assignment.hooks.post_task = post;
    task.assignment.hooks.timeout_ms = 300;
    task.run_to(Outcome::Failed).await;
    assert_eq!(task.text(PRE_TASK_STEP), "pre\n");
    assert_eq!(task.text(1), "hooked\n");
    let text = task.text(POST_TASK_STEP);
    assert!(text.starts_with("post build\nits time is up"), "{text}");
    assert!(text.contains("  sleep 100\n"), "{text}");
    assert!(text.contains("\nit ran for longer than 300 ms"), "{text}");

    let mut task = Task::new(steps(vec![(When::Always, Action::Run(run("echo never")))])).await;
    std::fs::copy(failing.unwrap(), task.slot().join("failing")).unwrap();
    task.assignment.hooks.pre_task = Some(task.slot().join("failing"));
    task.run_to(Outcome::Failed).await;
    assert_eq!(task.text(1), "");
    let held = task.plane.held.borrow();
    let message = held.finish.as_ref().unwrap().message.clone().unwrap();
    assert!(message.contains("exited with 9"), "{message}");
}

#[tokio::test]
async fn the_launch_agent_hears_how_far_the_task_is_and_is_redialed() {
    let mut task = Task::new(scripts(&["echo on; until test -e go; do sleep 0.01; done"])).await;
    let path = task.slot().join("agent.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    task.assignment.supervisor = Some(path);
    let agent = task.start().await;
    let next = async |reader: &mut BufReader<tokio::net::unix::OwnedReadHalf>| {
        let mut line = String::new();
        let limit = Duration::from_secs(30);
        tokio::time::timeout(limit, reader.read_line(&mut line)).await.unwrap().unwrap();
        serde_json::from_str::<FromTaskAgent>(&line).unwrap()
    };
    let (stream, _) = listener.accept().await.unwrap();
    let (reader, _writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    assert!(matches!(next(&mut reader).await, FromTaskAgent::Hello { .. }));
    assert!(matches!(next(&mut reader).await, FromTaskAgent::Started { .. }));
    assert!(matches!(next(&mut reader).await, FromTaskAgent::Step { number: 1, .. }));
    drop((reader, _writer));
    // A launch agent that comes back is told again, asks whether the task lives, and ends it.
    let (stream, _) = listener.accept().await.unwrap();
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    assert!(matches!(next(&mut reader).await, FromTaskAgent::Hello { .. }));
    assert!(matches!(next(&mut reader).await, FromTaskAgent::Started { .. }));
    assert!(matches!(next(&mut reader).await, FromTaskAgent::Step { number: 1, .. }));
    for line in [
        FromLaunchAgent::Ping,
        FromLaunchAgent::Cancel { outcome: Outcome::Canceled, reason: "drained".to_owned() },
    ] {
        let mut text = serde_json::to_vec(&line).unwrap();
        text.push(b'\n');
        writer.write_all(&text).await.unwrap();
    }
    assert_eq!(next(&mut reader).await, FromTaskAgent::Pong);
    let done = FromTaskAgent::Done {
        outcome: Outcome::Canceled,
        emptied: false,
        message: None,
        left: Vec::new(),
    };
    assert_eq!(next(&mut reader).await, done);
    assert_eq!(task.wait(agent).await.code, Some(0));
    let held = task.plane.held.borrow();
    assert_eq!(held.finish.as_ref().unwrap().message.as_deref(), Some("drained"));
}
