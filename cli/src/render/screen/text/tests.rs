//! Text of the live view, event by event.

use russet_protocol::admin::{Job, StepState, StreamEvent};
use russet_protocol::ids::{JobId, WorkflowId};
use russet_protocol::outcome::{Outcome, Phase};

use super::TextView;
use crate::client::Next;
use crate::color::Paint;

fn job(name: &str, phase: Phase, outcome: Option<Outcome>) -> Next {
    let job = Job {
        xcode: None,
        ssh: None,
        id: JobId::from(name),
        number: 1,
        name: name.to_owned(),
        requires: Vec::new(),
        resource_class: Some("local/run".parse().unwrap()),
        phase,
        outcome,
        message: None,
        waiting: None,
        decided_by: None,
        kept_from: None,
        failed_tests_of: None,
        queued_ms: Some(0),
        started_ms: Some(1000),
        ended_ms: outcome.map(|_| 3500),
        runner: Some("mini".to_owned()),
        parallelism: 1,
        steps: Vec::new(),
        tests: std::collections::BTreeMap::new(),
        artifacts: 0,
    };
    Next::Event(Box::new(StreamEvent::Job { workflow: WorkflowId::from("w"), job }))
}

fn step(of: &str, number: u32, outcome: Option<Outcome>) -> Next {
    let exit_code = match outcome {
        Some(Outcome::Failed) => Some(2),
        Some(Outcome::Success) => Some(0),
        _ => None,
    };
    let step = StepState {
        number,
        task: 0,
        name: format!("Step {number}!"),
        background: false,
        outcome,
        exit_code,
        message: None,
        started_ms: 1000,
        ended_ms: outcome.map(|_| 1200),
        output_bytes: 0,
    };
    Next::Event(Box::new(StreamEvent::Step { job: JobId::from(of), step }))
}

fn background_step(of: &str, number: u32) -> Next {
    let Next::Event(mut event) = step(of, number, None) else { panic!("that is no step") };
    if let StreamEvent::Step { step, .. } = event.as_mut() {
        step.background = true;
    }
    Next::Event(event)
}

fn output(of: &str, step: u32, text: &str) -> Next {
    Next::Output { job: JobId::from(of), task: 0, step, offset: 0, bytes: text.as_bytes().to_vec() }
}

fn shown(events: Vec<Next>) -> String {
    let mut view = TextView::new(Paint::PLAIN);
    for event in events {
        view.event(event);
    }
    view.take()
}

#[test]
fn one_job_is_shown_without_prefixes() {
    let text = shown(vec![
        job("build", Phase::Queued, None),
        job("build", Phase::Running, None),
        step("build", 1, None),
        output("build", 1, "hel"),
        output("build", 1, "lo\n$ "),
        step("build", 1, Some(Outcome::Success)),
        job("build", Phase::Ended, Some(Outcome::Success)),
    ]);
    assert_eq!(text, "\n● build runs on mini\n▶ Step 1!\nhello\n$ \n✓ build success in 2.5 s\n");
}

#[test]
fn a_failed_step_says_why() {
    let text = shown(vec![
        job("build", Phase::Running, None),
        step("build", 1, None),
        step("build", 1, Some(Outcome::Failed)),
        step("build", 2, Some(Outcome::NotRun)),
        job("build", Phase::Ended, Some(Outcome::Failed)),
    ]);
    assert_eq!(
        text,
        "\n● build runs on mini\n▶ Step 1!\n✗ Step 1!: exit code 2 (200 ms)\n✗ build failed in \
         2.5 s\n"
    );
}

#[test]
fn the_hint_of_a_failed_step_is_shown_once_in_a_line_of_its_own() {
    let message = Some("the project has no key\nhint: add one".to_owned());
    let Next::Event(mut failed) = step("build", 1, Some(Outcome::Failed)) else { panic!("a step") };
    if let StreamEvent::Step { step, .. } = failed.as_mut() {
        step.message.clone_from(&message);
    }
    let Next::Event(mut ended) = job("build", Phase::Ended, Some(Outcome::Failed)) else {
        panic!("a job")
    };
    if let StreamEvent::Job { job, .. } = ended.as_mut() {
        job.message = message;
    }
    let text = shown(vec![
        job("build", Phase::Running, None),
        step("build", 1, None),
        Next::Event(failed),
        Next::Event(ended),
    ]);
    assert_eq!(
        text,
        "\n● build runs on mini\n▶ Step 1!\n✗ Step 1!: the project has no key (200 ms)\n  hint: add \
         one\n✗ build failed in 2.5 s: the project has no key\n"
    );
}

#[test]
fn lines_of_several_jobs_begin_with_the_name_and_never_mix() {
    let text = shown(vec![
        job("a", Phase::Running, None),
        job("build", Phase::Running, None),
        step("a", 1, None),
        step("build", 1, None),
        output("a", 1, "from a, "),
        output("build", 1, "from build\n"),
        output("a", 1, "still a\n"),
    ]);
    let last: Vec<&str> = text.lines().skip(4).collect();
    assert_eq!(
        last,
        ["a     | ▶ Step 1!", "build | ▶ Step 1!", "build | from build", "a     | from a, still a"]
    );
}

#[test]
fn output_before_the_announcement_of_its_step_waits_for_the_heading() {
    let text = shown(vec![
        job("build", Phase::Running, None),
        output("build", 1, "early\n"),
        step("build", 1, None),
        output("build", 1, "late\n"),
    ]);
    assert_eq!(text, "\n● build runs on mini\n▶ Step 1!\nearly\nlate\n");
}

#[test]
fn a_step_that_is_announced_early_waits_for_the_output_of_the_one_before() {
    let text = shown(vec![
        job("build", Phase::Running, None),
        step("build", 1, None),
        step("build", 2, None),
        output("build", 2, "two\n"),
        output("build", 1, "one\n"),
        step("build", 1, Some(Outcome::Success)),
        step("build", 2, Some(Outcome::Success)),
    ]);
    assert_eq!(text, "\n● build runs on mini\n▶ Step 1!\none\n▶ Step 2!\ntwo\n");
}

#[test]
fn what_waits_is_shown_when_the_job_ends_all_the_same() {
    let text = shown(vec![
        job("build", Phase::Running, None),
        step("build", 1, None),
        step("build", 2, None),
        output("build", 2, "two\n"),
        job("build", Phase::Ended, Some(Outcome::Canceled)),
    ]);
    assert_eq!(
        text,
        "\n● build runs on mini\n▶ Step 1!\n▶ Step 2!\ntwo\n- build canceled in 2.5 s\n"
    );
}

#[test]
fn steps_in_the_background_are_told_apart() {
    let text = shown(vec![
        job("build", Phase::Running, None),
        background_step("build", 1),
        step("build", 2, None),
        output("build", 2, "two\n"),
        output("build", 1, "one\n"),
    ]);
    assert_eq!(
        text,
        "\n● build runs on mini\n▶ Step 1! (in the background)\n▶ Step 2!\ntwo\n▶ Step 1! (in the background) (goes on)\none\n"
    );
}

#[test]
fn a_state_that_is_told_twice_is_shown_once() {
    let events = || {
        vec![
            job("build", Phase::Running, None),
            step("build", 1, None),
            step("build", 1, Some(Outcome::Failed)),
            job("build", Phase::Ended, Some(Outcome::Failed)),
        ]
    };
    let twice: Vec<Next> = events().into_iter().chain(events().into_iter().skip(3)).collect();
    assert_eq!(shown(twice), shown(events()));
}

#[test]
fn names_can_not_forge_lines() {
    let text = shown(vec![job("a\nb\x1b[2J", Phase::Running, None)]);
    assert_eq!(text, "\n● a b\u{fffd}[2J runs on mini\n");
}
