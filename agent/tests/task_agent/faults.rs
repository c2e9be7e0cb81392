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
async fn a_task_is_given_back() {
    let mut task = Task::new(scripts(&["true"])).await;
    let ended = task.then(Mode::Unclaim, None).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(task.plane.held.borrow().unclaimed);
}
