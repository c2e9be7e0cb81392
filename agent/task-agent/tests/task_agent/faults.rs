//! A control plane that is broken, busy, forgetful or away.

use russet_protocol::outcome::Outcome;
use russet_protocol::runner::EventKind;
use russet_protocol::supervise::{Failure, Mode};

use crate::plane::Fault;
use crate::task::{Task, scripts};

#[tokio::test]
async fn nothing_is_lost_or_doubled_by_a_server_that_answers_wrongly() {
    let task = Task::new(scripts(&["seq 1 20000", "echo two; exit 4"])).await;
    task.plane.set_faults(|number, _| match number % 7 {
        1 => Some(Fault::Refuse(500)),
        2 => Some(Fault::Forget(503)),
        3 => Some(Fault::Truncate),
        4 => Some(Fault::Refuse(429)),
        _ => None,
    });
    task.run_to(Outcome::Failed).await;
    let wanted: String = (1..=20_000).map(|number| format!("{number}\n")).collect();
    assert!(task.text(1) == wanted);
    assert_eq!(task.text(2), "two\n");
    let held = task.plane.held.borrow();
    let started =
        held.events.iter().filter(|event| matches!(event.kind, EventKind::StepStarted { .. }));
    assert_eq!(started.count(), 2);
}

#[tokio::test]
async fn a_task_agent_whose_parent_was_killed_makes_its_session_and_runs_its_task() {
    let task = Task::new(scripts(&["echo hello"])).await;
    let mut held = task.plane.held.subscribe();
    task.start_orphaned().await;
    let limit = std::time::Duration::from_secs(30);
    let finished = held.wait_for(|held| held.finish.is_some());
    let finished = tokio::time::timeout(limit, finished).await.expect("it did not report");
    let outcome = finished.unwrap().finish.as_ref().map(|finish| finish.outcome);
    assert_eq!(outcome, Some(Outcome::Success));
}

#[tokio::test]
async fn what_a_killed_task_agent_left_is_sent_by_the_one_after_it() {
    let mut task = Task::new(scripts(&["seq 1 1000; echo ready; sleep 1000"])).await;
    // Nothing gets through but the first output, so that the rest is only in the spool.
    task.plane.set_faults(|number, path| {
        (number > 4 && path.contains("/api/v3/task/")).then_some(Fault::Refuse(500))
    });
    let mut agent = task.start().await;
    let log = task.assignment.dirs.spool.join("1.log");
    let wait = async {
        while !std::fs::read_to_string(&log).is_ok_and(|text| text.ends_with("ready\n")) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), wait).await.unwrap();
    agent.kill().await.unwrap();
    task.plane.set_faults(|_, _| None);
    let failure =
        Failure { outcome: Outcome::InfrastructureFail, message: "it was killed".to_owned() };
    let ended = task.then(Mode::Flush, Some(failure)).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let wanted: String = (1..=1000).map(|number| format!("{number}\n")).collect();
    assert_eq!(task.text(1), format!("{wanted}ready\n"));
    {
        let held = task.plane.held.borrow();
        let finish = held.finish.as_ref().unwrap();
        assert_eq!(finish.outcome, Outcome::InfrastructureFail);
        assert_eq!(finish.message.as_deref(), Some("it was killed"));
        assert!(held.finished(1).is_some());
    }
    let ended = task.then(Mode::Clean, None).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for dir in ["home", "work", "tmp", "spool"] {
        assert_eq!(std::fs::read_dir(task.slot().join(dir)).unwrap().count(), 0, "{dir}");
    }
}

#[tokio::test]
async fn traps_in_the_spool_do_not_hold_up_what_sends_it() {
    let mut task = Task::new(scripts(&["echo one; sleep 1000"])).await;
    let mut agent = task.start().await;
    task.plane.until("the output", |held| held.output.contains_key(&1)).await;
    agent.kill().await.unwrap();
    let spool = task.assignment.dirs.spool.clone();
    let fifos = ["2.log", "result.json", "result.json.new"];
    for name in fifos {
        let path = spool.join(name);
        std::fs::remove_file(&path).ok();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let owner = task.user.as_ref().map(|user| user.uid);
        std::os::unix::fs::chown(&path, owner, owner).unwrap();
    }
    std::os::unix::fs::symlink("/etc/hostname", spool.join("3.log")).unwrap();
    std::fs::create_dir(spool.join("4.log")).unwrap();
    let failure =
        Failure { outcome: Outcome::InfrastructureFail, message: "it was killed".to_owned() };
    let ended = task.then(Mode::Flush, Some(failure)).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let held = task.plane.held.borrow();
    assert_eq!(held.finish.as_ref().unwrap().outcome, Outcome::InfrastructureFail);
    assert_eq!(held.output.keys().copied().collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn steps_that_were_left_out_for_a_lost_claim_are_no_success() {
    let mut task = Task::new(scripts(&["touch ran"])).await;
    // One answer of somebody in between is enough; the server itself would take a report.
    task.plane.set_faults(|_, path| path.contains("heartbeat").then_some(Fault::Refuse(404)));
    let hook = task.slot().join("hook");
    // A shell writes it: while another test forks, a file that is open for writing cannot run.
    let script = "printf '#!/bin/sh\\nexec sleep 1000\\n' > \"$1\" && chmod 755 \"$1\"";
    let written = std::process::Command::new("sh").args(["-c", script, "sh"]).arg(&hook).status();
    assert!(written.unwrap().success());
    task.assignment.hooks.pre_task = Some(hook);
    let ended = task.run().await;
    assert_eq!(ended.code, Some(russet_protocol::supervise::exit::STALE), "{}", ended.stderr);
    assert!(task.plane.held.borrow().finish.is_none());
    assert!(!task.assignment.dirs.work.join("ran").exists());
}

#[tokio::test]
async fn a_task_is_given_back() {
    let mut task = Task::new(scripts(&["true"])).await;
    let ended = task.then(Mode::Unclaim, None).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(task.plane.held.borrow().unclaimed);
}
