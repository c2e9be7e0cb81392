//! A slot always comes back, or says what is in its way: jobs that make their own spool unreadable,
//! and things that nobody but root can take away.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use russet_launch_agent::crash_points::step_names;
use russet_protocol::local::{HealthLevel, Slot, SlotState, State};
use russet_protocol::outcome::Outcome;
use serde_json::Value;

use crate::support::admin::assert_outcome;
use crate::support::{
    Agent, AgentOptions, CLASS, Server, can_be_root, config, run, test_dir, wait_for,
};

/// The part of a job that ends its own task agent, the parent of its shell.
const KILL: &str = "kill -9 $PPID; sleep 1000";

/// Runs a job that does nothing, which needs a slot that is clean.
fn assert_takes_tasks(server: &Server) {
    let job = server.admin.run(&config(&[&run("echo next")]));
    assert_outcome(&server.admin, &job, Outcome::Success);
}

fn only_slot(agent: &Agent) -> Option<Slot> {
    agent.status()?.slots.into_iter().next()
}

#[test]
fn a_job_that_makes_its_spool_unreadable_and_kills_its_agent_takes_no_slot_away() {
    let server = Server::start();
    let _agent = Agent::start(&server);
    for harm in [
        "chmod 000 \"$S\"",
        "printf '\\377\\376\\n' >> \"$S/events.jsonl\"",
        "printf '\\377\\376\\n' > \"$S/events.jsonl\"",
        "chmod 000 \"$S\"/*; mkdir -p \"$S/7.log/sub\"; chmod 000 \"$S/7.log/sub\" \"$S/7.log\" \"$S\"",
        "rm -f \"$S/events.jsonl\"; mkfifo \"$S/events.jsonl\" \"$S/9.log\"",
        "rm -f \"$S/events.jsonl\"; mkdir \"$S/events.jsonl\"; chmod 000 \"$S/events.jsonl\"",
        "rm -rf \"$S\"/*; ln -s /etc/passwd \"$S/events.jsonl\"; ln -s /etc/passwd \"$S/1.log\"",
        "chmod 000 \"$HOME\" . \"$S\"",
    ] {
        let script = format!("echo said; S=$(dirname \"$HOME\")/spool; {harm}; {KILL}");
        let job = server.admin.run(&config(&[&run(&script)]));
        assert_outcome(&server.admin, &job, Outcome::InfrastructureFail);
        let message = job.message.unwrap_or_default();
        assert!(message.contains("SIGKILL"), "{harm}: {message}");
        assert_takes_tasks(&server);
    }
}

/// Something in a slot that only root can take away, until it is dropped.
struct Obstacle(PathBuf);

impl Obstacle {
    /// Mounts an empty file system there.
    fn mount(path: PathBuf) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let made = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(&path).status();
        assert!(made.unwrap().success(), "mount failed");
        Self(path)
    }
}

impl Drop for Obstacle {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

/// Starts a task and returns the directory of its slot.
fn slot_with_task(server: &Server, agent: &Agent) -> (russet_protocol::admin::Pipeline, PathBuf) {
    let pipeline = server.admin.submit(&config(&[&run("echo ready; sleep 1000")]));
    server.admin.wait_for_output(&pipeline, "ready");
    (pipeline, agent.state().join("slots/1"))
}

fn kill_task_agent(slot: &Path) {
    let text = std::fs::read(slot.join("journal.json")).unwrap();
    let journal: Value = serde_json::from_slice(&text).unwrap();
    let pid = i32::try_from(journal["process"]["pid"].as_i64().unwrap()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

/// The finding of `russet agent doctor` about slots.
fn doctor_of_slots(agent: &Agent) -> Value {
    let output = agent.ask(&["doctor", "--output", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == "slots").unwrap().clone()
}

#[test]
fn a_slot_that_cannot_be_cleaned_is_held_by_name_until_what_is_in_the_way_is_gone() {
    if !can_be_root("to mount something in a slot") {
        return;
    }
    let server = Server::start();
    let mut agent = Agent::start(&server);
    let (pipeline, slot) = slot_with_task(&server, &agent);
    // In the place of a log, so that the helper that sends what is left fails as well.
    let obstacle = Obstacle::mount(slot.join("spool/9.log"));
    kill_task_agent(&slot);

    // The launch agent reports the task itself, with the reason.
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::InfrastructureFail);
    let message = job.message.unwrap_or_default();
    assert!(message.contains("SIGKILL") && message.contains("could not be sent"), "{message}");

    // The slot is not free, and everybody who looks is told why.
    let is_held = |agent: &Agent| only_slot(agent).filter(|slot| slot.state == SlotState::Held);
    let held = wait_for("the slot to be held", || is_held(&agent));
    let reason = held.reason.unwrap();
    assert!(reason.contains("slots/1/spool"), "{reason}");
    let status = agent.wait_for_state(State::Unhealthy);
    let check = status.health.iter().find(|check| check.name == "slots").unwrap();
    assert_eq!(check.level, HealthLevel::Bad);
    let shown = agent.ask_well(&["status"]);
    assert!(shown.contains("held: it could not be cleaned"), "{shown}");
    assert!(shown.contains("slots/1/spool") && !shown.contains("free"), "{shown}");
    let found = doctor_of_slots(&agent);
    assert_eq!(found["level"], "bad", "{found}");
    assert!(found["found"].as_str().unwrap().contains("slots/1/spool"), "{found}");

    let runners = wait_for("the control plane to hear of it", || {
        let runners: Value = server.admin.get("/api/v3/runner?namespace=test");
        let held = runners["items"][0]["held_slots"][0].clone();
        (!held.is_null()).then_some(held)
    });
    assert!(runners["reason"].as_str().unwrap().contains("slots/1/spool"), "{runners}");

    // A drain of it does not end well.
    let output = agent.ask(&["drain", "--wait"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("not drained: slot 1 could not be cleaned"), "{said}");
    agent.ask_well(&["resume"]);

    // The next launch agent finds the same, and no task that it could report anew.
    agent.kill();
    agent.start_again();
    wait_for("the slot to be held after a restart", || is_held(&agent));

    drop(obstacle);
    wait_for("the slot to be free", || {
        only_slot(&agent).filter(|slot| slot.state == SlotState::Free)
    });
    assert_eq!(doctor_of_slots(&agent)["level"], "ok");
    wait_for("the control plane to hear that it is over", || {
        let runners: Value = server.admin.get("/api/v3/runner?namespace=test");
        runners["items"][0]["held_slots"].is_null().then_some(())
    });
    assert_takes_tasks(&server);
    assert_outcome(&server.admin, &server.admin.only_job(&pipeline), Outcome::InfrastructureFail);
}

#[test]
fn what_stays_in_any_directory_of_a_slot_holds_it_and_is_named() {
    if !can_be_root("to mount something in a slot") {
        return;
    }
    let server = Server::start();
    let agent = Agent::start(&server);
    for name in ["home", "work", "tmp"] {
        let (pipeline, slot) = slot_with_task(&server, &agent);
        let obstacle = Obstacle::mount(slot.join(name).join("held"));
        kill_task_agent(&slot);
        server.admin.wait(&pipeline);
        let held = wait_for("the slot to be held", || {
            only_slot(&agent).filter(|slot| slot.state == SlotState::Held)
        });
        let reason = held.reason.unwrap();
        assert!(reason.contains(&format!("slots/1/{name}")), "{name}: {reason}");
        drop(obstacle);
        assert_takes_tasks(&server);
    }
}

#[test]
fn a_file_that_only_root_can_delete_holds_the_slot_and_is_named() {
    if !can_be_root("to protect a file from its owner") {
        return;
    }
    let server = Server::start();
    let agent = Agent::start(&server);
    let (pipeline, slot) = slot_with_task(&server, &agent);
    let file = slot.join("home/protected");
    std::fs::write(&file, "x").unwrap();
    let protect = |how: &str| Command::new("chattr").arg(how).arg(&file).status();
    // Not every file system has such files.
    if !protect("+i").is_ok_and(|status| status.success()) {
        return;
    }
    kill_task_agent(&slot);
    server.admin.wait(&pipeline);
    let held = wait_for("the slot to be held", || {
        only_slot(&agent).filter(|slot| slot.state == SlotState::Held)
    });
    let reason = held.reason.unwrap();
    assert!(protect("-i").unwrap().success());
    assert!(reason.contains("slots/1/home"), "{reason}");
    assert_takes_tasks(&server);
}

/// The script of a task in which a step of the launch agent comes about, and the task's outcome.
fn task_with(step: &str) -> (String, Outcome) {
    match step {
        // Only a task agent that dies needs these.
        "settled" | "emptied" => {
            // Its output has to be in the spool before its reader is killed.
            let kept = "grep -qs once \"$(dirname \"$HOME\")\"/spool/*.log";
            let script = format!("echo once; until {kept}; do sleep 0.02; done; {KILL}");
            (script, Outcome::InfrastructureFail)
        }
        _ => ("echo once".to_owned(), Outcome::Success),
    }
}

/// Starts an agent that kills itself when it takes a step for the `time`th time, and the next one
/// after it. Two tasks run meanwhile.
fn survive_kill_at(server: &Server, token: &str, step: &str, time: u32) {
    let dir = test_dir();
    let state = dir.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let request = state.join("crash-at");
    std::fs::write(&request, format!("{step}:{time}")).unwrap();
    let options = AgentOptions { state: Some(state), ..AgentOptions::default() };
    let mut agent = Agent::start_at(server.url(), token, &options);
    let (script, outcome) = task_with(step);
    let pipelines = [(); 2].map(|()| server.admin.submit(&config(&[&run(&script)])));
    let round = format!("`{step}`, time {time}");
    wait_for(&format!("the kill at {round}"), || (!agent.process().is_running()).then_some(()));
    std::fs::remove_file(request).unwrap();
    agent.start_again();
    for pipeline in &pipelines {
        server.admin.wait(pipeline);
        let job = server.admin.only_job(pipeline);
        assert_eq!(job.outcome, Some(outcome), "{round}: {:?}\n{}", job.message, agent.log());
        let output = String::from_utf8(server.admin.step_output(&job, 1)).unwrap();
        assert_eq!(output, "once\n", "{round}");
    }
    wait_for(&format!("the slot to be free after {round}"), || {
        only_slot(&agent).filter(|slot| slot.state == SlotState::Free && slot.reason.is_none())
    });
    assert_takes_tasks(server);
}

#[test]
fn a_kill_at_each_step_leaves_a_slot_that_comes_back_and_a_task_with_one_outcome() {
    // A slot has four directories, and the spool is the last: the eighth time is that of the first
    // task's, with its journal still there.
    let later = |step: &str| if step.starts_with("directory") { 8 } else { 2 };
    let times: [fn(&str) -> u32; 2] = [|_| 1, later];
    std::thread::scope(|scope| {
        for time in times {
            scope.spawn(move || {
                // A claim of which the killed agent knew alone comes back when its lease is over.
                let server = Server::start_with(&["--lease", "2s"]);
                let token = server.admin.class_token(CLASS);
                for step in step_names() {
                    survive_kill_at(&server, &token, step, time(step));
                }
            });
        }
    });
}
