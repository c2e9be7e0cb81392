//! Reruns with SSH, with the real client.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use russet_protocol::outcome::Outcome;
use russet_protocol::runner::EventKind;
use russet_protocol::ssh::{HoldOrders, SshAccess, SshPolicy};
use russet_protocol::task::{ENABLE_SSH_STEP, Step, WAIT_FOR_SSH_STEP};
use russet_test_skip::{can_be_root, has_tool};
use tokio::io::AsyncReadExt as _;
use tokio::sync::watch;

use crate::task::{Task, scripts};

/// Limit of anything that is waited for.
const LIMIT: Duration = Duration::from_secs(60);

/// A person with a key, and the port that leads to the task.
struct Person {
    dir: tempfile::TempDir,
    port: u16,
}

impl Person {
    fn key() -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("ssh-keygen")
            .args(["-q", "-N", "", "-t", "ed25519", "-f"])
            .arg(dir.path().join("key"))
            .status();
        assert!(made.unwrap().success());
        let public = std::fs::read_to_string(dir.path().join("key.pub")).unwrap();
        (dir, public)
    }

    fn client(&self, task: &Task, command: &str) -> tokio::process::Command {
        let ready = task.plane.ssh.ready.borrow().clone().unwrap();
        let known_hosts = self.dir.path().join("known_hosts");
        std::fs::write(&known_hosts, format!("task {}\n", ready.host_key)).unwrap();
        let mut client = tokio::process::Command::new("timeout");
        client.args(["60", "ssh", "-F", "none", "-p", &self.port.to_string()]);
        for option in [
            format!("UserKnownHostsFile={}", known_hosts.display()),
            format!("IdentityFile={}", self.dir.path().join("key").display()),
            format!("User={}", ready.user),
            "HostKeyAlias=task".to_owned(),
            "StrictHostKeyChecking=yes".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "BatchMode=yes".to_owned(),
        ] {
            client.args(["-o", &option]);
        }
        client.args(["127.0.0.1", command]).stdin(Stdio::null());
        client
    }

    async fn run(&self, task: &Task, command: &str) -> String {
        let output: Output = self.client(task, command).output().await.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command}: {:?} {errors}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }
}

async fn until<T>(what: &str, sender: &watch::Sender<T>, is_so: impl FnMut(&T) -> bool) {
    let mut receiver = sender.subscribe();
    let wait = receiver.wait_for(is_so);
    assert!(tokio::time::timeout(LIMIT, wait).await.is_ok(), "never happened: {what}");
}

/// A task that a person may log in to, held for `idle`.
async fn rerun(steps: Vec<Step>, idle: Duration) -> (Task, Person) {
    let mut task = Task::new(steps).await;
    let (dir, public) = Person::key();
    let port = task.plane.ssh.open_port().await;
    task.config.ssh = Some(SshAccess {
        person: "ada".to_owned(),
        keys: vec![public],
        idle_ms: idle.as_millis().try_into().unwrap(),
        longest_ms: 120_000,
        from_fork: false,
    });
    task.config.job.job_id = Some("job-1".into());
    task.assignment.ssh = Some(SshPolicy::default());
    (task, Person { dir, port })
}

fn outcome_of(task: &Task, step: u32) -> Option<Outcome> {
    match task.plane.held.borrow().finished(step) {
        Some(EventKind::StepFinished { outcome, .. }) => Some(*outcome),
        _ => None,
    }
}

#[tokio::test]
async fn a_person_logs_in_while_steps_run_and_holds_the_task_whose_outcome_stays() {
    let script = "touch made; until test -e go; do sleep 0.1; done; exit 3";
    let (task, person) = rerun(scripts(&[script]), LIMIT).await;
    let child = task.start().await;
    until("the way in", &task.plane.ssh.ready, Option::is_some).await;
    let made = "until test -e made; do sleep 0.1; done; ls; id -u; echo $CIRCLE_JOB";
    let uid = task.user.as_ref().map_or_else(nix::unistd::getuid, |user| user.uid.into());
    assert_eq!(person.run(&task, made).await, format!("made\n{uid}\nbuild\n"));
    // It leaves its session and its parent, and is ended with the task all the same.
    let left = "setsid setsid sleep 1000 >/dev/null 2>&1 </dev/null & echo $!";
    let pid: i32 = person.run(&task, left).await.trim().parse().unwrap();
    person.run(&task, "touch go").await;
    until("the hold", &task.plane.ssh.hold, |hold| hold.is_some_and(|hold| hold.waiting)).await;

    let mut client = person.client(&task, "echo in; cat");
    let mut client =
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("a session", &task.plane.ssh.hold, |hold| hold.is_some_and(|hold| hold.sessions == 1))
        .await;
    let mut first = [0; 3];
    client.stdout.as_mut().unwrap().read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"in\n");
    task.plane.ssh.orders.lock().unwrap().extended_ms = 60_000;
    until("more time", &task.plane.ssh.hold, |hold| {
        hold.is_some_and(|hold| hold.remaining_ms > 130_000)
    })
    .await;
    *task.plane.ssh.orders.lock().unwrap() = HoldOrders { extended_ms: 60_000, end: true };
    let ended = task.wait(child).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    drop(client.stdin.take());
    let said = client.wait_with_output().await.unwrap();
    let errors = String::from_utf8_lossy(&said.stderr);
    assert!(errors.contains("somebody asked for it"), "{errors}");

    let finish = task.plane.held.borrow().finish.clone().unwrap();
    assert_eq!(finish.outcome, Outcome::Failed);
    for step in [ENABLE_SSH_STEP, WAIT_FOR_SSH_STEP] {
        assert_eq!(outcome_of(&task, step), Some(Outcome::Success));
    }
    let text = task.text(ENABLE_SSH_STEP);
    assert!(text.contains("russet job ssh job-1") && text.contains("SHA256:"), "{text}");
    assert!(!PathBuf::from(format!("/proc/{pid}")).exists(), "it outlives its task");
    let sessions = task.plane.ssh.sessions.borrow();
    let begun: Vec<_> = sessions.iter().filter(|it| it.ended_ms.is_none()).collect();
    let over: Vec<_> = sessions.iter().filter(|it| it.ended_ms.is_some()).collect();
    assert_eq!((begun.len(), over.len()), (4, 4), "{sessions:?}");
    assert!(over.iter().all(|it| it.bytes_in > 500 && it.bytes_out > 500), "{over:?}");
    assert!(sessions.iter().all(|it| it.from == "198.51.100.7:2222"), "{sessions:?}");
}

#[tokio::test]
async fn a_task_that_nobody_comes_to_ends_with_the_outcome_of_its_steps() {
    let (task, _person) = rerun(scripts(&["true"]), Duration::from_millis(200)).await;
    task.run_to(Outcome::Success).await;
    let text = task.text(WAIT_FOR_SSH_STEP);
    assert!(text.contains("the steps have succeeded"), "{text}");
    assert!(text.contains("the hold has ended: nobody is connected"), "{text}");
}

#[tokio::test]
async fn a_cancel_ends_the_hold_and_whoever_is_connected_is_told() {
    let (task, person) = rerun(scripts(&["true"]), LIMIT).await;
    let child = task.start().await;
    until("the hold", &task.plane.ssh.hold, |hold| hold.is_some_and(|hold| hold.waiting)).await;
    let mut client = person.client(&task, "sleep 1000");
    let client = client.stderr(Stdio::piped()).spawn().unwrap();
    until("a session", &task.plane.ssh.hold, |hold| hold.is_some_and(|hold| hold.sessions == 1))
        .await;
    task.plane.cancel("by a person");
    let said = client.wait_with_output().await.unwrap();
    let errors = String::from_utf8_lossy(&said.stderr);
    assert!(errors.contains("the task was stopped"), "{errors}");
    let ended = task.wait(child).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let finish = task.plane.held.borrow().finish.clone().unwrap();
    assert_eq!(finish.outcome, Outcome::Canceled);
    assert_eq!(outcome_of(&task, WAIT_FOR_SSH_STEP), Some(Outcome::Canceled));
}

#[tokio::test]
async fn a_session_extends_the_hold_and_ends_it() {
    if !has_tool("python3") {
        return;
    }
    let (task, person) = rerun(scripts(&["true"]), LIMIT).await;
    let child = task.start().await;
    until("the hold", &task.plane.ssh.hold, |hold| hold.is_some_and(|hold| hold.waiting)).await;
    let ask = |request: &str| {
        format!(
            "python3 -c 'import os, socket; s = socket.socket(socket.AF_UNIX); \
             s.connect(os.environ[\"TMPDIR\"] + \"/.ssh-hold\"); s.sendall(b\"\"\"{request}\\n\"\"\"); \
             print(s.makefile().readline())'"
        )
    };
    let reply = person.run(&task, &ask(r#"{"extend":1800000}"#)).await;
    let reply: serde_json::Value = serde_json::from_str(&reply).unwrap();
    assert!(reply["remaining_ms"].as_u64().unwrap() > 1_800_000, "{reply}");
    until("its report", &task.plane.ssh.hold, |hold| {
        hold.is_some_and(|hold| hold.remaining_ms > 1_800_000)
    })
    .await;
    drop(person.client(&task, &ask(r#""end""#)).output().await);
    let ended = task.wait(child).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(task.text(WAIT_FOR_SSH_STEP).contains("somebody asked for it"));
}

#[tokio::test]
async fn a_machine_that_does_not_allow_it_fails_the_task_and_says_who_refuses() {
    let (mut task, _person) = rerun(scripts(&["touch ran"]), LIMIT).await;
    task.assignment.ssh = None;
    task.run_to(Outcome::Failed).await;
    let text = task.text(ENABLE_SSH_STEP);
    assert!(text.contains("runner.ssh.enabled"), "{text}");
    assert!(!task.assignment.dirs.work.join("ran").exists());
    assert!(task.plane.ssh.ready.borrow().is_none());

    let (mut task, _person) = rerun(scripts(&["touch ran"]), LIMIT).await;
    task.config.ssh.as_mut().unwrap().from_fork = true;
    task.run_to(Outcome::Failed).await;
    assert!(task.text(ENABLE_SSH_STEP).contains("runner.ssh.allow_forks"));
}

/// Threads, descriptors and sockets of the task agent, as its step sees them.
#[tokio::test]
async fn off_means_off_no_thread_no_socket_no_call() {
    if !can_be_root("to become the slot's user") {
        return;
    }
    let look = "ls /proc/$PPID/task | wc -l; ls -A $TMPDIR | sort; env | cut -d= -f1 | sort";
    let mut plain = Task::new(scripts(&[look])).await;
    plain.assignment.ssh = None;
    plain.run_to(Outcome::Success).await;
    let mut allowed = Task::new(scripts(&[look])).await;
    allowed.assignment.ssh = Some(SshPolicy { allow_forks: true, ..SshPolicy::default() });
    allowed.run_to(Outcome::Success).await;
    assert_eq!(allowed.text(1), plain.text(1));
    assert!(!allowed.text(1).contains(".ssh-hold"), "{}", allowed.text(1));
    let requests = |task: &Task| task.plane.held.borrow().paths.clone();
    assert!(
        requests(&allowed).iter().all(|path| !path.contains("ssh")),
        "{:?}",
        requests(&allowed)
    );
}
