//! States of machines over real binaries: several agents, a server, and the command line.

use std::process::{Command, Output};
use std::sync::PoisonError;

use nix::sys::signal::Signal;
use russet_protocol::admin::{Items, Job, Pipeline, RunnerItem};
use russet_protocol::local::{HoldOwner, State};
use russet_protocol::machine::{MachineState, WaitReason};
use russet_protocol::outcome::Phase;

use crate::support::command_line::CommandLine;
use crate::support::{Agent, AgentOptions, CLASS, Server, config, run, russet, test_dir, wait_for};

/// A server that takes a runner for lost after five seconds of silence.
pub(crate) fn quick_server() -> Server {
    Server::start_with(&["--lease", "6s"])
}

pub(crate) fn named(name: &str) -> AgentOptions {
    AgentOptions { name: Some(name.to_owned()), ..AgentOptions::default() }
}

/// Starts agents of one class.
pub(crate) fn agents<const N: usize>(server: &Server, names: [&str; N]) -> [Agent; N] {
    let token = server.admin.class_token(CLASS);
    names.map(|name| Agent::start_at(server.url(), &token, &named(name)))
}

fn runner(server: &Server, name: &str) -> Option<RunnerItem> {
    let all: Items<RunnerItem> = server.admin.get("/api/v3/runner?namespace=test");
    all.items.into_iter().find(|item| item.name == name)
}

#[track_caller]
pub(crate) fn wait_for_state(server: &Server, name: &str, state: MachineState) -> RunnerItem {
    wait_for(&format!("{name} to be {state}"), || {
        runner(server, name).filter(|item| item.state == state)
    })
}

/// Runs `russet runner …`.
fn russet_runner(server: &Server, arguments: &[&str]) -> Output {
    // A change whose answer is lost is not made again.
    let calm = server.admin.calm();
    let _calm = calm.read().unwrap_or_else(PoisonError::into_inner);
    Command::new(russet())
        .arg("runner")
        .args(arguments)
        .args(["--url", server.url(), "--token-file"])
        .arg(server.admin_token_file())
        .output()
        .unwrap()
}

#[track_caller]
pub(crate) fn runner_well(server: &Server, arguments: &[&str]) -> String {
    let output = russet_runner(server, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Submits a job that runs until the file is there.
pub(crate) fn submit_waiting(server: &Server, file: &std::path::Path) -> Pipeline {
    let script = format!("echo begun\nwhile [ ! -e {} ]; do sleep 0.1; done", file.display());
    server.admin.submit(&config(&[&run(&script)]))
}

#[track_caller]
fn wait_for_reason(server: &Server, pipeline: &Pipeline, reason: WaitReason) -> String {
    wait_for(&format!("the job to wait for {reason:?}"), || {
        let job: Job = server.admin.only_job(pipeline);
        job.waiting.filter(|waiting| waiting.reason == reason).map(|waiting| waiting.text)
    })
}

#[test]
fn a_killed_machine_is_lost_one_that_said_goodbye_offline_and_a_busy_one_busy() {
    let server = quick_server();
    let [mut killed, left, busy] = agents(&server, ["killed", "left", "busy"]);
    for name in ["killed", "left", "busy"] {
        let item = wait_for_state(&server, name, MachineState::Idle);
        let machine = item.machine.unwrap();
        assert!(machine.os.is_some() && machine.boot_id.is_some() && machine.disk_free.is_some());
        assert_eq!(machine.slots.len(), 1);
    }
    killed.kill();
    left.signal(Signal::SIGTERM);
    wait_for_state(&server, "left", MachineState::Offline);
    wait_for_state(&server, "killed", MachineState::Lost);
    let dir = test_dir();
    let file = dir.path().join("go");
    let pipeline = submit_waiting(&server, &file);
    server.admin.wait_for_output(&pipeline, "begun");
    // It stays so for longer than a silent one would.
    let begun = std::time::Instant::now();
    wait_for("seven seconds of work", || {
        assert_eq!(runner(&server, "busy").unwrap().state, MachineState::Busy);
        (begun.elapsed().as_secs() >= 7).then_some(())
    });
    let text = runner_well(&server, &["list", "test"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.iter().any(|line| line.starts_with("killed ") && line.contains(" lost ")));
    assert!(lines.iter().any(|line| line.starts_with("left ") && line.contains(" offline ")));
    let shown = runner_well(&server, &["show", "busy"]);
    assert!(shown.contains("busy of test/") && shown.contains("runs job of"), "{shown}");
    let next = submit_waiting(&server, &file);
    let text = wait_for_reason(&server, &next, WaitReason::Busy);
    assert!(text.contains("1 task runs, the oldest since"), "{text}");
    std::fs::write(&file, "").unwrap();
    server.admin.wait(&next);
    assert!(russet_runner(&server, &["remove", "busy", "--yes"]).status.code() == Some(4));
    // Nobody can be asked.
    assert_eq!(russet_runner(&server, &["remove", "left"]).status.code(), Some(2));
    runner_well(&server, &["remove", "killed", "--yes"]);
    assert!(runner(&server, "killed").is_none() && runner(&server, "left").is_some());
    // Of a class those that are away go, and the others stay.
    let said = runner_well(&server, &["remove", "--resource-class", CLASS, "--yes"]);
    assert!(said.contains(&format!("busy of {CLASS} stays: ")), "{said}");
    assert!(runner(&server, "left").is_none() && runner(&server, "busy").is_some());
    drop(busy);
}

#[test]
fn a_pause_from_the_server_is_a_hold_of_the_machine_which_may_lift_it() {
    let why = "it kills the server and looks at what it says right after its start";
    let mut server = Server::start_alone(why, &["--lease", "6s"]);
    let [mut agent] = agents(&server, ["desk"]);
    wait_for_state(&server, "desk", MachineState::Idle);
    let dir = test_dir();
    let file = dir.path().join("go");
    let running = submit_waiting(&server, &file);
    server.admin.wait_for_output(&running, "begun");
    let text = runner_well(&server, &["pause", "desk", "--as", "anna", "--reason", "new disk"]);
    assert!(text.contains("desk of test/") && text.contains("paused by anna: new disk"), "{text}");
    let held = wait_for("the hold on the machine", || {
        agent.status()?.holds.into_iter().find(|hold| hold.owner == HoldOwner::Server)
    });
    assert_eq!((held.source.as_str(), held.class.is_some()), ("server", true));
    assert!(held.reason.starts_with("paused by anna: new disk at the control plane"));
    let shown = agent.ask_well(&["status"]);
    assert!(shown.contains("by a person at the control plane"), "{shown}");
    // What runs goes on, and nothing new is given out.
    let waiting = submit_waiting(&server, &file);
    let text = wait_for_reason(&server, &waiting, WaitReason::Paused);
    assert!(text.ends_with("desk: paused by anna: new disk"), "{text}");
    std::fs::write(&file, "").unwrap();
    server.admin.wait(&running);
    // It survives restarts of both, and a server that is back takes nobody for lost.
    server.kill();
    agent.kill();
    server.start_again();
    let state = runner(&server, "desk").unwrap().state;
    assert!(!matches!(state, MachineState::Lost | MachineState::Offline), "{state}");
    agent.start_again();
    wait_for("the hold after a restart", || {
        let holds = agent.status()?.holds;
        holds.iter().any(|hold| hold.owner == HoldOwner::Server).then_some(())
    });
    wait_for_state(&server, "desk", MachineState::Paused);
    assert_eq!(server.admin.only_job(&waiting).phase, Phase::Queued);
    agent.ask_well(&["resume"]);
    server.admin.wait(&waiting);
    assert!(runner(&server, "desk").unwrap().pause.is_none());
    agent.wait_for_state(State::Idle);
}

#[test]
fn a_class_is_paused_and_resumed_as_a_whole_and_a_drain_says_when_it_is_done() {
    let server = quick_server();
    let agents = agents(&server, ["one", "two"]);
    for name in ["one", "two"] {
        wait_for_state(&server, name, MachineState::Idle);
    }
    runner_well(&server, &["pause", "--resource-class", CLASS]);
    for name in ["one", "two"] {
        wait_for_state(&server, name, MachineState::Paused);
    }
    let dir = test_dir();
    let file = dir.path().join("go");
    let pipeline = submit_waiting(&server, &file);
    let text = wait_for_reason(&server, &pipeline, WaitReason::Paused);
    assert!(text.starts_with(&format!("{CLASS} is paused with its class by ")), "{text}");
    for agent in &agents {
        agent.wait_for_state(State::Paused);
    }
    runner_well(&server, &["resume", "--resource-class", CLASS]);
    server.admin.wait_for_output(&pipeline, "begun");
    let name = server.admin.only_job(&pipeline).runner.unwrap();
    let drained = runner_well(&server, &["drain", &name]);
    assert!(drained.contains("no more tasks; what runs goes on"), "{drained}");
    assert_eq!(runner(&server, &name).unwrap().state, MachineState::Draining);
    std::fs::write(&file, "").unwrap();
    let drained = runner_well(&server, &["drain", &name, "--wait", "--output", "json"]);
    let items: Vec<RunnerItem> = serde_json::from_str(&drained).unwrap();
    assert_eq!(items[0].state, MachineState::Drained);
    runner_well(&server, &["rename", &name, "desk 4"]);
    runner_well(&server, &["resume", "desk 4"]);
    wait_for_state(&server, "desk 4", MachineState::Idle);
    assert!(runner(&server, &name).is_none());
}

#[test]
fn a_pipe_says_once_why_a_job_waits() {
    let server = quick_server();
    server.admin.class_token(CLASS);
    let pipeline = server.admin.submit(&config(&[&run("true")]));
    let log = test_dir();
    let path = log.path().join("out");
    let mut child = Command::new(russet())
        .args(["pipeline", "watch", pipeline.id.as_str(), "--url", server.url()])
        .arg("--token-file")
        .arg(server.admin_token_file())
        .stdout(std::fs::File::create(&path).unwrap())
        .spawn()
        .unwrap();
    let waits = format!("no runner of {CLASS} has ever come");
    wait_for("the reason in the pipe", || {
        std::fs::read_to_string(&path).unwrap().contains(&waits).then_some(())
    });
    let token = server.admin.post(
        "/api/v3/runner/token",
        serde_json::json!({"resource_class": CLASS, "nickname": "late"}),
    );
    let _agent = Agent::start_at(server.url(), token["token"].as_str().unwrap(), &named("late"));
    assert!(child.wait().unwrap().success());
    let said = std::fs::read_to_string(&path).unwrap();
    assert_eq!(said.matches(&waits).count(), 1, "{said}");
}

#[test]
fn a_token_that_expired_is_listed_with_its_end_and_its_machine_says_what_to_do() {
    let server = quick_server();
    let lasting = server.admin.class_token(CLASS);
    let dir = test_dir();
    std::fs::write(dir.path().join("token"), server.admin.token()).unwrap();
    let people = CommandLine::new(&server, dir.path());
    let create = ["token", "create", CLASS, "--nickname", "short", "--expires-in", "15s"];
    let made = people.succeed(&[&create[..], &["--output", "json"]].concat());
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let (token, end) = (made["token"].as_str().unwrap(), made["expires_at"].as_str().unwrap());
    let agent = Agent::start_at(server.url(), token, &named("desk"));
    wait_for_state(&server, "desk", MachineState::Idle);
    let line = wait_for("the last use of the token", || {
        let list = people.succeed(&["token", "list", CLASS]);
        let line = list.lines().find(|line| line.contains(" short "))?.to_owned();
        (!line.contains("never")).then_some(line)
    });
    assert!(line.contains(end), "{line}");
    wait_for("the machine to say what to do", || {
        let log = agent.log();
        let refused = log.contains(&format!("the runner token expired at {end}"));
        (refused && log.contains("russet token create")).then_some(())
    });
    let pipeline = server.admin.submit(&config(&[&run("true")]));
    wait_for_state(&server, "desk", MachineState::Lost);
    let _other = Agent::start_at(server.url(), &lasting, &named("other"));
    server.admin.wait(&pipeline);
    assert_eq!(server.admin.only_job(&pipeline).runner.as_deref(), Some("other"));
}
