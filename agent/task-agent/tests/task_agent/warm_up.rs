//! Starting a service of the machine before the first step, with a tool in the place of `xcrun`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use russet_protocol::outcome::Outcome;
use russet_protocol::supervise::WarmUp;
use russet_protocol::task::WARM_UP_STEP;

use crate::task::{Task, scripts};

fn host(script: &str) -> tempfile::TempDir {
    let host = tempfile::tempdir().unwrap();
    std::fs::set_permissions(host.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let tool = host.path().join("xcrun");
    std::fs::write(&tool, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).unwrap();
    host
}

async fn task(host: &Path, timeout_ms: u64) -> Task {
    let mut task = Task::new(scripts(&["echo step"])).await;
    let command = vec![host.join("xcrun").display().to_string(), "simctl".to_owned()];
    task.assignment.warm_up = Some(WarmUp { command, lock: "".into(), timeout_ms });
    task
}

#[tokio::test]
async fn slots_start_their_own_services_without_waiting_for_each_other() {
    let host = host("echo warmed");
    // As an earlier version left it, locked by somebody who hangs.
    let lock = host.path().join("simulators.lock");
    let file = std::fs::File::create(&lock).unwrap();
    let flag = nix::fcntl::FlockArg::LockExclusiveNonblock;
    let held = nix::fcntl::Flock::lock(file, flag).unwrap();
    let mut task = task(host.path(), 60_000).await;
    task.assignment.warm_up.as_mut().unwrap().lock = lock;
    task.run_to(Outcome::Success).await;
    assert_eq!(task.text(WARM_UP_STEP), "warmed\n");
    assert_eq!(task.text(1), "step\n");
    drop(held);
}

#[tokio::test]
async fn a_service_that_hangs_or_is_missing_does_not_fail_the_task() {
    let host = host("sleep 1000");
    let hanging = task(host.path(), 300).await;
    hanging.run_to(Outcome::Success).await;
    let text = hanging.text(WARM_UP_STEP);
    assert!(text.contains("it ran for longer than 300 ms"), "{text}");
    assert_eq!(hanging.text(1), "step\n");
    std::fs::remove_file(host.path().join("xcrun")).unwrap();
    let without = task(host.path(), 300).await;
    without.run_to(Outcome::Success).await;
    assert!(without.text(WARM_UP_STEP).contains("could not start"), "no Xcode");
}
