//! A slot always comes back, or says what is in its way: jobs that make their own spool unreadable,
//! directories that cannot be emptied, and kills of the launch agent at each step.

use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use russet_launch_agent::crash_points::step_names;
use russet_protocol::local::{HealthLevel, Slot, SlotState, State};
use russet_protocol::outcome::Outcome;
use serde_json::Value;

use crate::support::admin::assert_outcome;
#[cfg(target_os = "linux")]
use crate::support::obstacle::Protected;
use crate::support::{
    Agent, AgentOptions, CLASS, Server, can_be_root, config, run, test_dir, wait_for,
};

/// The part of a job that ends its own task agent, the parent of its shell.
const KILL: &str = "kill -9 $PPID; sleep 1000";

/// Runs a job that does nothing, which needs a slot that is clean.
pub fn assert_takes_tasks(server: &Server) {
    let job = server.admin.run(&config(&[&run("echo next")]));
    assert_outcome(&server.admin, &job, Outcome::Success);
}

pub fn only_slot(agent: &Agent) -> Option<Slot> {
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

/// Starts a task and returns the directory of its slot.
pub fn slot_with_task(
    server: &Server,
    agent: &Agent,
) -> (russet_protocol::admin::Pipeline, PathBuf) {
    let pipeline = server.admin.submit(&config(&[&run("echo ready; sleep 1000")]));
    server.admin.wait_for_output(&pipeline, "ready");
    (pipeline, agent.state().join("slots/1"))
}

pub fn kill_task_agent(slot: &Path) {
    let text = std::fs::read(slot.join("journal.json")).unwrap();
    let journal: Value = serde_json::from_slice(&text).unwrap();
    let pid = i32::try_from(journal["process"]["pid"].as_i64().unwrap()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
}

/// A finding of `russet agent doctor`; null: there is none of the name.
pub fn doctor_finding(agent: &Agent, name: &str) -> Value {
    let output = agent.ask(&["doctor", "--output", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let checks = report["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).cloned().unwrap_or_default()
}

/// Waits until the only slot is held for a reason with these words.
#[track_caller]
pub fn wait_until_held(agent: &Agent, words: &str) -> Slot {
    wait_for(&format!("the slot to be held: {words}"), || {
        let held = only_slot(agent).filter(|slot| slot.state == SlotState::Held)?;
        held.reason.as_ref()?.contains(words).then_some(held)
    })
}

/// Waits until the only slot is free.
#[track_caller]
pub fn wait_until_free(agent: &Agent) -> Slot {
    wait_for("the slot to be free", || {
        only_slot(agent).filter(|slot| slot.state == SlotState::Free)
    })
}

/// Makes the directories of a slot in which as much is kept aside as may be, by another user.
#[cfg(target_os = "linux")]
fn fill_aside(state: &Path) -> Protected {
    let aside = state.join("slots/1/aside");
    let protected = Protected::below(aside.clone());
    for number in 0..3 {
        let home = aside.join(format!("1700000000-{number}-home"));
        std::fs::create_dir_all(&home).unwrap();
        std::fs::write(home.join("vault"), "x").unwrap();
        protected.add(&home.join("vault"));
        std::os::unix::fs::chown(&home, Some(58_777), Some(58_777)).unwrap();
    }
    protected
}

#[cfg(target_os = "linux")]
#[test]
fn a_slot_that_cannot_be_cleaned_is_held_by_name_until_what_is_in_the_way_is_gone() {
    let dir = test_dir();
    if !can_be_root("to protect files from their owner") || !Protected::are_possible(dir.path()) {
        return;
    }
    let server = Server::start();
    let state = dir.path().join("state");
    let earlier = fill_aside(&state);
    let options = AgentOptions { state: Some(state), ..AgentOptions::default() };
    let mut agent = Agent::start_with(&server, &options);
    let (pipeline, slot) = slot_with_task(&server, &agent);
    // In the place of a log, so that the helper that sends what is left fails as well.
    let protected = Protected::below(slot.clone());
    std::fs::create_dir(slot.join("spool/9.log")).unwrap();
    protected.add(&slot.join("spool/9.log"));
    kill_task_agent(&slot);

    // The launch agent reports the task itself, with the reason.
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::InfrastructureFail);
    let message = job.message.unwrap_or_default();
    assert!(message.contains("SIGKILL") && message.contains("could not be sent"), "{message}");

    // The slot is not free, and everybody who looks is told why.
    let full = "3 directories of earlier tasks are kept aside already";
    let reason = wait_until_held(&agent, full).reason.unwrap();
    assert!(reason.contains("slots/1/spool"), "{reason}");
    let status = agent.wait_for_state(State::Unhealthy);
    let check = status.health.iter().find(|check| check.name == "slots").unwrap();
    assert_eq!(check.level, HealthLevel::Bad);
    let shown = agent.ask_well(&["status"]);
    assert!(shown.contains("held: it could not be cleaned"), "{shown}");
    assert!(shown.contains("slots/1/spool") && !shown.contains("free"), "{shown}");
    let found = doctor_finding(&agent, "slots");
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
    wait_until_held(&agent, "slots/1/spool");

    // With room aside, one file of a job holds nothing.
    drop(earlier);
    let free = wait_until_free(&agent);
    assert_eq!(free.aside.map(|aside| aside.directories), Some(1));
    assert_eq!(doctor_finding(&agent, "slots")["level"], "ok");
    wait_for("the control plane to hear that it is over", || {
        let runners: Value = server.admin.get("/api/v3/runner?namespace=test");
        runners["items"][0]["held_slots"].is_null().then_some(())
    });
    assert_takes_tasks(&server);
    assert_outcome(&server.admin, &server.admin.only_job(&pipeline), Outcome::InfrastructureFail);
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
