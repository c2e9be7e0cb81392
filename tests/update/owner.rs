//! Decisions of the owner: the times at which an update may keep tasks off, and the machines that
//! begin.

use std::process::Command;

use russet_protocol::local::State;
use russet_protocol::outcome::Outcome;

use crate::support::admin::assert_outcome;
use crate::support::farm::Farm;
use crate::support::installation::can_run_service;
use crate::support::{config, run, wait_for};

/// A window that is open now, and stays so for as long as a test takes.
fn open_window() -> &'static str {
    let hour = Command::new("date").arg("+%H").output().unwrap().stdout;
    let hour: u32 = String::from_utf8(hour).unwrap().trim().parse().unwrap();
    // A window has to end; this is when nobody is here.
    if (6..18).contains(&hour) { "00:00-23:59" } else { "12:00-11:59" }
}

#[test]
fn in_the_window_no_task_is_taken_while_an_update_waits_for_those_that_run() {
    if !can_run_service() {
        return;
    }
    let update = format!("  window: {}\n", open_window());
    let mut farm = Farm::prepare(&update, &["slots: 2"]);
    farm.agent.bootstrap();
    farm.agent.wait_proved(None);
    let go = farm.agent.file("go");
    let script = format!("echo begun; until test -e {}; do sleep 0.02; done", go.display());
    let first = farm.server.admin.submit(&config(&[&run(&script)]));
    farm.server.admin.wait_for_output(&first, "begun");
    farm.publish(&farm.release("9.13.1"));
    farm.install();
    wait_for("an agent that takes no tasks", || {
        (farm.status()?.state == State::Updating).then_some(())
    });
    // There is a slot for it, and it waits all the same.
    let script = format!("test -e {} && echo after", go.display());
    let second = farm.server.admin.submit(&config(&[&run(&script)]));
    assert_eq!(farm.installed(), None, "a task runs");
    std::fs::write(&go, "").unwrap();
    farm.wait_installed("9.13.1");
    for pipeline in [first, second] {
        farm.server.admin.wait(&pipeline);
        let job = farm.server.admin.only_job(&pipeline);
        assert_outcome(&farm.server.admin, &job, Outcome::Success);
    }
}

#[test]
fn a_release_that_is_not_rolled_out_to_this_machine_is_taken_when_a_person_wants_it() {
    if !can_run_service() {
        return;
    }
    let farm = Farm::start();
    let mut release = farm.release("9.14.1");
    release.manifest.rollout = 0;
    farm.publish(&release);
    let (ok, text) = farm.cli(&["check"]);
    assert!(ok && text.contains("9.14.1 has not been rolled out to this machine yet"), "{text}");
    let (ok, text) = farm.cli(&["install", "--wait"]);
    assert!(ok && text.starts_with("Version 9.14.1 runs"), "{text}");
    farm.wait_installed("9.14.1");
    farm.claims();
}
