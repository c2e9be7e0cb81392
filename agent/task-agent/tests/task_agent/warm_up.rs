//! Starting a service of the host before the first step, with a tool in the place of `xcrun`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};
use russet_protocol::outcome::Outcome;
use russet_protocol::supervise::WarmUp;
use russet_protocol::task::WARM_UP_STEP;

use crate::task::{Task, scripts};

/// A directory like the launch agent's: a lock that everybody may take and nobody may change, and
/// a tool that fails where it runs twice at the same moment.
fn host() -> tempfile::TempDir {
    let host = tempfile::tempdir().unwrap();
    std::fs::set_permissions(host.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let scratch = host.path().join("scratch");
    std::fs::create_dir(&scratch).unwrap();
    std::fs::set_permissions(&scratch, PermissionsExt::from_mode(0o777)).unwrap();
    write(&host.path().join("simulators.lock"), "", 0o644);
    let scratch = scratch.display();
    let script = format!(
        "#!/bin/sh\n[ \"$*\" = 'simctl list devices' ] || exit 3\n\
         mkdir {scratch}/running || {{ echo two at once; exit 7; }}\n\
         sleep 0.5; rmdir {scratch}/running; echo warmed\n"
    );
    write(&host.path().join("xcrun"), &script, 0o755);
    host
}

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

async fn task(host: &Path, timeout_ms: u64) -> Task {
    let mut task = Task::new(scripts(&["echo step"])).await;
    let tool = host.join("xcrun").display().to_string();
    let command = [tool.as_str(), "simctl", "list", "devices"].map(str::to_owned).to_vec();
    let lock = host.join("simulators.lock");
    task.assignment.warm_up = Some(WarmUp { command, lock, timeout_ms });
    task
}

#[tokio::test]
async fn two_slots_start_it_one_after_the_other() {
    let host = host();
    let (one, two) = (task(host.path(), 60_000).await, task(host.path(), 60_000).await);
    tokio::join!(one.run_to(Outcome::Success), two.run_to(Outcome::Success));
    for task in [&one, &two] {
        let text = task.text(WARM_UP_STEP);
        assert!(text.ends_with("warmed\n"), "{text}");
        assert_eq!(task.text(1), "step\n");
    }
    let waited = [&one, &two].into_iter().filter(|task| task.text(WARM_UP_STEP).contains("waited"));
    assert_eq!(waited.count(), 1, "{} {}", one.text(WARM_UP_STEP), two.text(WARM_UP_STEP));
}

#[tokio::test]
async fn a_holder_that_hangs_does_not_hold_up_the_others() {
    let host = host();
    let file = std::fs::File::open(host.path().join("simulators.lock")).unwrap();
    let held = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap();
    let task = task(host.path(), 4_000).await;
    task.run_to(Outcome::Success).await;
    let text = task.text(WARM_UP_STEP);
    assert!(text.contains("without the lock: another slot has held it for 4 s"), "{text}");
    assert!(text.ends_with("warmed\n"), "{text}");
    drop(held);
}

#[tokio::test]
async fn a_service_that_hangs_or_fails_does_not_fail_the_task_and_lets_the_lock_go() {
    let host = host();
    write(&host.path().join("xcrun"), "#!/bin/sh\nsleep 1000\n", 0o755);
    let hanging = task(host.path(), 300).await;
    hanging.run_to(Outcome::Success).await;
    let text = hanging.text(WARM_UP_STEP);
    assert!(text.contains("it ran for longer than 300 ms"), "{text}");
    assert_eq!(hanging.text(1), "step\n");
    let file = std::fs::File::open(host.path().join("simulators.lock")).unwrap();
    drop(Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap());
    std::fs::remove_file(host.path().join("xcrun")).unwrap();
    let without = task(host.path(), 300).await;
    without.run_to(Outcome::Success).await;
    assert!(without.text(WARM_UP_STEP).contains("could not start"), "no Xcode");
}
