//! A slot always comes back, or says what is in its way: jobs that make their own spool unreadable,
//! directories that cannot be emptied, and kills of the launch agent at each step.

use russet_launch_agent::crash_points::step_names;
use russet_protocol::local::{Slot, SlotState};
use russet_protocol::outcome::Outcome;

use crate::support::admin::assert_outcome;
use crate::support::{Agent, AgentOptions, CLASS, Server, config, run, test_dir, wait_for};

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
