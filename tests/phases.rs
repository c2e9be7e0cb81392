//! Phases of machines that pass quickly, and the offset of a clock, over real binaries: the same state
//! from the API, the command line, the pages and metrics.

use std::time::Duration;

use russet_protocol::admin::RunnerItem;
use russet_protocol::local::State;
use russet_protocol::machine::{MachineState, WaitReason};

use crate::machines::{named, quick_server, runner_well, submit_waiting, wait_for_state};
use crate::support::farm::Farm;
use crate::support::installation::can_run_service;
#[cfg(target_os = "linux")]
use crate::support::obstacle::StalledFileSystem;
use crate::support::{
    Agent, AgentOptions, CLASS, Fault, FaultProxy, Server, can_be_root, config, run, test_dir,
    wait_for,
};

/// Waits until a machine is in a state for everybody who asks, and returns it as the API has it.
#[track_caller]
fn state_everywhere(server: &Server, name: &str, state: MachineState) -> RunnerItem {
    let item = wait_for_state(server, name, state);
    let word = state.as_str();
    let seen = |place: &str, told: &dyn Fn() -> String| {
        wait_for(&format!("`{word}` of {name} in {place}"), || {
            let is_told = |line: &str| line.contains(name) && line.contains(word);
            told().lines().any(is_told).then_some(())
        });
    };
    seen("`runner list`", &|| runner_well(server, &["list", CLASS]));
    seen("`runner show`", &|| runner_well(server, &["show", name]));
    for path in ["/runners", &format!("/runners/{name}")] {
        wait_for(&format!("`{word}` of {name} on {path}"), || {
            let page = server.admin.page(path);
            (page.contains(name) && page.contains(word)).then_some(())
        });
    }
    let line = format!("class=\"{CLASS}\",state=\"{word}\"}} 1");
    wait_for(&format!("`{line}` in the metrics"), || {
        server.admin.page("/metrics").contains(&line).then_some(())
    });
    item
}

#[cfg(target_os = "linux")]
#[test]
fn a_machine_whose_slot_is_not_clean_yet_is_starting_and_takes_no_task() {
    if !can_be_root("to mount a file system") {
        return;
    }
    let dir = test_dir();
    let stalled = dir.path().join("stalled");
    let Some(mut obstacle) = StalledFileSystem::mount(&stalled) else { return };
    let server = quick_server();
    let token = server.admin.class_token(CLASS);
    let mut agent = Agent::start_at(server.url(), &token, &named("slow"));
    let has_looked = dir.path().join("has-looked");
    let script = format!(
        "(exec cat {}/file) </dev/null >/dev/null 2>&1 &\n\
         until test -e {}; do sleep 0.05; done",
        stalled.display(),
        has_looked.display()
    );
    let left = server.admin.submit(&config(&[&run(&script)]));
    obstacle.wait_for_reader();
    agent.kill();
    std::fs::write(&has_looked, "").unwrap();
    server.admin.wait(&left);
    // What the job left cannot be ended, so the first cleaning takes its time.
    agent.start_again();
    let starting = state_everywhere(&server, "slow", MachineState::Starting);
    assert_eq!(agent.status().unwrap().state, State::Starting);
    assert!(starting.tasks.is_empty(), "{starting:?}");
    let waiting = server.admin.submit(&config(&[&run("true")]));
    obstacle.end_server();
    server.admin.wait(&waiting);
    wait_for_state(&server, "slow", MachineState::Idle);
}

#[test]
fn a_machine_is_updating_while_it_waits_for_its_tasks_and_while_versions_are_exchanged() {
    if !can_run_service() {
        return;
    }
    let farm = Farm::start_with("60s");
    let server = &farm.server;
    let name = farm.status().unwrap().name;
    wait_for_state(server, &name, MachineState::Idle);
    let dir = test_dir();
    let (begin, go) = (dir.path().join("begin"), dir.path().join("go"));
    let running = submit_waiting(server, &go);
    server.admin.wait_for_output(&running, "begun");
    let slow =
        format!("until test -e {}; do sleep 0.05; done\nexec \"$REAL\" \"$@\"", begin.display());
    farm.publish(&farm.broken("9.31.1", &slow));
    farm.install();
    let waits = wait_for("the update in the list of machines", || {
        let item = wait_for_state(server, &name, MachineState::Busy);
        item.update.filter(|update| update.short().contains("9.31.1"))
    });
    assert!(waits.short().contains("9.31.1"), "{waits:?}");
    std::fs::write(&go, "").unwrap();
    server.admin.wait(&running);
    // The former version has said goodbye, and the new one has yet to say something.
    state_everywhere(server, &name, MachineState::Updating);
    let waiting = server.admin.submit(&config(&[&run("echo after")]));
    let reason = wait_for("the reason to wait", || server.admin.only_job(&waiting).waiting);
    assert_eq!(reason.reason, WaitReason::Unhealthy, "{reason:?}");
    assert!(reason.text.contains(&format!("{name}: updating")), "{reason:?}");
    std::fs::write(&begin, "").unwrap();
    server.admin.wait(&waiting);
    farm.wait_installed("9.31.1");
    let item = state_everywhere(server, &name, MachineState::Idle);
    assert!(item.version.contains("9.31.1") || item.update.is_none(), "{item:?}");
}

#[test]
fn a_clock_that_is_off_is_told_with_its_offset_and_what_to_do() {
    let server = quick_server();
    let proxy = FaultProxy::start(server.url());
    proxy.set(Fault::Clock(Duration::from_secs(300)));
    let options = AgentOptions { url: Some(proxy.url().to_owned()), ..AgentOptions::default() };
    let _agent = Agent::start_with(&server, &options);
    let behind = wait_for("the offset of its clock", || {
        let machine = wait_for_state(&server, "test", MachineState::Idle).machine?;
        machine.clock_behind_s
    });
    assert!((297..=303).contains(&behind), "{behind}");
    let words = "s behind the control plane's";
    let shown = runner_well(&server, &["show", "test"]);
    assert!(shown.contains("its clock is ") && shown.contains(words), "{shown}");
    // Pages escape the apostrophe.
    let page = server.admin.page("/runners/test");
    assert!(page.contains("s behind the control plane"), "{page}");
    // It is not let to work with a clock with which nothing signed is accepted.
    proxy.set(Fault::Clock(Duration::from_secs(2000)));
    let item = state_everywhere(&server, "test", MachineState::Unhealthy);
    assert!(item.reason.as_ref().is_some_and(|why| why.contains("clock")), "{item:?}");
    proxy.set(Fault::None);
    wait_for_state(&server, "test", MachineState::Idle);
}
