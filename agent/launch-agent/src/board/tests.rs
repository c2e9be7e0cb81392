//! The board from the claim of a task to its end.

use super::{Board, Event};
use crate::requests::HoldSource;
use crate::state::View;
use crate::state::slot::SlotView;
use russet_protocol::local::{HoldOwner, State, Task};
use russet_protocol::outcome::Outcome;

fn view(busy: &[bool]) -> View {
    let slot = |busy: &bool| match busy {
        true => SlotView::Busy { ending: None },
        false => SlotView::Free,
    };
    View { is_ready: true, slots: busy.iter().map(slot).collect(), ..View::default() }
}

#[test]
fn a_task_is_seen_from_its_claim_to_its_end() {
    let board = Board::default();
    assert_eq!(board.status().state, State::Starting);
    board.view(view(&[false, false]), 1);
    assert_eq!(board.status().state, State::Idle);
    board.begin(2, Task::default(), 5);
    board.view(view(&[false, true]), 5);
    let started = Event::Started { slot: 2, job: "test".into(), project: "acme/app".into() };
    board.event(&started, 6);
    let status = board.status();
    assert_eq!((status.state, status.since_ms), (State::Running, 5));
    let task = status.slots[1].task.clone().unwrap();
    assert_eq!((task.job.as_deref(), task.since_ms), (Some("test"), 5));
    board.event(&Event::Ended { slot: 2, outcome: Some(Outcome::Failed) }, 9);
    board.view(view(&[false, false]), 9);
    let status = board.status();
    assert_eq!((status.state, status.recent.len()), (State::Idle, 1));
    assert_eq!(status.recent[0].outcome, Some(Outcome::Failed));
    assert_eq!(status.slots[1].task, None);
}

#[test]
fn a_task_that_was_given_back_does_not_stay() {
    let board = Board::default();
    board.begin(1, Task::default(), 5);
    board.view(view(&[true]), 5);
    board.view(view(&[false]), 6);
    assert_eq!(board.status().slots[0].task, None);
    assert_eq!(board.status().recent[0].outcome, None);
}

#[test]
fn a_task_that_is_about_to_begin_is_not_taken_for_one_that_was_given_back() {
    let board = Board::default();
    board.view(view(&[false, false]), 1);
    board.begin(2, Task::default(), 2);
    // The other slot's task, while the claim of this one is on its way to the state machine.
    board.view(view(&[true, false]), 3);
    board.view(view(&[true, true]), 4);
    assert_eq!(board.status().recent.len(), 0);
    assert!(board.status().slots[1].task.is_some());
    board.event(&Event::Ended { slot: 2, outcome: Some(Outcome::Success) }, 5);
    assert_eq!(board.status().recent[0].outcome, Some(Outcome::Success));
}

#[test]
fn what_a_person_asked_for_comes_before_what_is_wrong() {
    let board = Board::default();
    board.event(&Event::Offline { reason: "refused".to_owned() }, 1);
    board.view(view(&[true]), 1);
    assert_eq!(board.status().state, State::Offline);
    let mut held = view(&[true]);
    held.holds = vec![
        (HoldSource::Drain, None, "new disk".to_owned()),
        (HoldSource::Health, None, "full".to_owned()),
    ];
    board.view(held.clone(), 2);
    assert_eq!(board.status().state, State::Draining);
    held.slots = vec![SlotView::Free];
    board.view(held.clone(), 3);
    assert_eq!(board.status().state, State::Paused);
    held.holds.remove(0);
    board.view(held, 4);
    assert_eq!(board.status().state, State::Unhealthy);
    assert_eq!(board.status().reason.as_deref(), Some("full"));
}

#[test]
fn a_hold_on_a_class_is_told_and_stops_the_agent_only_where_no_class_is_left() {
    let board = Board::default();
    board.slots(vec!["a/gui".to_owned(), "a/mini".to_owned()], vec![Some(0), Some(1)], 0);
    let mut held = view(&[false, false]);
    let gone = |class: &str| {
        (HoldSource::Session, Some(class.to_owned()), "ci is not logged in".to_owned())
    };
    held.holds = vec![gone("runner.classes[0]")];
    board.view(held.clone(), 1);
    assert_eq!(board.status().state, State::Idle);
    assert_eq!(board.status().holds[0].source, "session");
    held.holds.push(gone("runner.classes[1]"));
    board.view(held, 2);
    assert_eq!(board.status().state, State::Unhealthy);
    assert_eq!(board.status().reason.as_deref(), Some("ci is not logged in"));
}

#[test]
fn holds_have_owners_and_one_of_an_update_or_an_installer_is_no_fault() {
    let board = Board::default();
    board.slots(vec!["a/mini".to_owned()], vec![Some(0)], 0);
    let mut held = view(&[true]);
    held.holds = vec![
        (HoldSource::Pause, None, "lunch".to_owned()),
        (HoldSource::Installer, None, "version 2 waits".to_owned()),
    ];
    board.until(&[HoldSource::Installer], vec![(HoldSource::Installer, 60)], 1);
    board.until(&[HoldSource::Pause, HoldSource::Drain], vec![(HoldSource::Pause, 90)], 1);
    board.view(held.clone(), 1);
    let shown = |board: &Board| -> Vec<(HoldOwner, Option<u64>)> {
        board.status().holds.iter().map(|hold| (hold.owner, hold.until_ms)).collect()
    };
    let both = [(HoldOwner::Person, Some(90)), (HoldOwner::Installer, Some(60))];
    assert_eq!(shown(&board), both);
    // Whoever says that nothing of theirs ends speaks for nobody else.
    board.until(&[HoldSource::Pause, HoldSource::Drain], Vec::new(), 2);
    held.holds.remove(0);
    board.view(held.clone(), 2);
    assert_eq!(shown(&board), [(HoldOwner::Installer, Some(60))]);
    assert_eq!(board.status().state, State::Updating);
    held.holds.clear();
    held.is_updating = true;
    board.view(held, 3);
    assert_eq!(shown(&board), [(HoldOwner::Update, None)]);
}

fn named(project: &str) -> Task {
    let (project, job) = (Some(project.to_owned()), Some("test".to_owned()));
    Task { project, job, class: Some("acme/mini".to_owned()), ..Task::default() }
}

#[test]
fn a_task_has_its_step_its_deadline_and_what_the_job_takes_as_a_rule() {
    let board = Board::default();
    board.slots(vec!["api.auth_token".to_owned()], vec![Some(0)], 0);
    board.view(view(&[true]), 0);
    assert_eq!(board.status().slots[0].class.as_deref(), Some("api.auth_token"));
    for start in [100, 1_100] {
        board.begin(1, named("acme/app"), start);
        board.event(&Event::Ended { slot: 1, outcome: Some(Outcome::Success) }, start + 40);
    }
    board.begin(1, named("acme/app"), 2_000);
    board.deadline(1, 9_000, 2_001);
    board.step(1, 3, "swift test\u{1b}[31m", 2_002);
    let mut ending = view(&[true]);
    ending.slots = vec![SlotView::Busy { ending: Some("not needed".to_owned()) }];
    board.view(ending, 2_003);
    let slot = board.status().slots[0].clone();
    assert_eq!(slot.class.as_deref(), Some("acme/mini"));
    let task = slot.task.unwrap();
    assert_eq!((task.usual_ms, task.deadline_ms), (Some(40), Some(9_000)));
    assert_eq!(task.step.unwrap().name, "swift test\u{fffd}[31m");
    assert_eq!(task.canceling.as_deref(), Some("not needed"));
}

#[test]
fn a_task_may_not_call_itself_otherwise_than_the_control_plane_does() {
    let board = Board::default();
    board.view(view(&[true]), 0);
    let mut task = named("acme/app");
    task.url = Some("file:///Applications/Calculator.app".to_owned());
    board.begin(1, task, 1);
    let (job, project) = ("x".repeat(10_000), "acme/secret".to_owned());
    board.event(&Event::Started { slot: 1, job, project }, 2);
    let task = board.status().slots[0].task.clone().unwrap();
    assert_eq!((task.project.as_deref(), task.url), (Some("acme/app"), None));
    board.begin(1, Task::default(), 3);
    let (job, project) = ("x".repeat(10_000), "acme/app".to_owned());
    board.event(&Event::Started { slot: 1, job, project }, 4);
    let task = board.status().slots[0].task.clone().unwrap();
    assert_eq!(task.job.unwrap().chars().count(), super::model::MAX_NAME_CHARS);
}

#[test]
fn the_last_tasks_outlive_the_agent() {
    let dir = tempfile::tempdir().unwrap();
    let board = Board::default();
    board.write_history(dir.path());
    assert!(!dir.path().join("history.json").exists());
    board.begin(1, named("acme/app"), 5);
    board.event(&Event::Ended { slot: 1, outcome: Some(Outcome::Failed) }, 9);
    board.write_history(dir.path());
    let next = Board::default();
    next.remember(dir.path(), 10);
    assert_eq!(next.status().recent, board.status().recent);
    assert_eq!(next.status().recent[0].ended_ms, 9);
}
