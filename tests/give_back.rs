//! Tasks that were claimed and not begun: a machine that takes no tasks any more, or whose launch
//! agent is killed, costs none of them.

use russet_protocol::outcome::Outcome;

use crate::support::admin::assert_outcome;
use crate::support::{Agent, AgentOptions, CLASS, Server, config, run, wait_for};

/// Agents that are paused together, and the slots of each.
const AGENTS: usize = 3;
const SLOTS: usize = 4;

/// Times at which all are paused, and pipelines and tasks of each that come meanwhile.
const PAUSES: usize = 6;
const PIPELINES: usize = 3;
const TASKS: usize = 3;

/// Does the same with all agents at the same time.
fn with_each(agents: &[Agent], act: impl Fn(&Agent) + Sync) {
    std::thread::scope(|scope| {
        for agent in agents {
            scope.spawn(|| act(agent));
        }
    });
}

#[test]
fn agents_that_are_paused_together_over_a_busy_queue_fail_no_task() {
    let server = Server::start();
    let token = server.admin.class_token(CLASS);
    let agents: Vec<Agent> = (0..AGENTS)
        .map(|number| {
            let (name, runner) = (Some(format!("mini-{number}")), vec![format!("slots: {SLOTS}")]);
            let options = AgentOptions { name, runner, ..Default::default() };
            Agent::start_at(server.url(), &token, &options)
        })
        .collect();
    for agent in &agents {
        wait_for("the agents", || agent.status());
    }
    let tasks = config(&[&run("echo done")])
        .replace("machine: true", &format!("machine: true\n    parallelism: {TASKS}"));
    let mut pipelines = Vec::new();
    for _ in 0..PAUSES {
        // Claims that are as young as can be when their agent is paused: each of them still gets
        // a task that comes then.
        with_each(&agents, |agent| drop(agent.ask_well(&["resume"])));
        std::thread::scope(|scope| {
            scope.spawn(|| with_each(&agents, |agent| drop(agent.ask_well(&["pause"]))));
            pipelines.extend((0..PIPELINES).map(|_| server.admin.submit(&tasks)));
        });
    }
    with_each(&agents, |agent| drop(agent.ask_well(&["resume"])));
    for pipeline in &pipelines {
        server.admin.wait(pipeline);
        assert_outcome(&server.admin, &server.admin.only_job(pipeline), Outcome::Success);
    }
}

#[test]
fn an_agent_that_is_killed_at_each_step_of_the_hand_over_costs_no_task() {
    let server = Server::start();
    let mut agent = Agent::start(&server);
    wait_for("the agent", || agent.status());
    let crash_at = agent.state().join("crash-at");
    let mut pipeline = None;
    // All of them hit the same task, which runs in the end.
    for step in [
        "journal written:1",
        "agent started:1",
        "journal written:2",
        "agent noted:1",
        "agent noted:1",
        "assignment handed over:1",
    ] {
        agent.kill();
        std::fs::write(&crash_at, step).unwrap();
        agent.start_again();
        pipeline.get_or_insert_with(|| server.admin.submit(&config(&[&run("echo hello")])));
        assert_eq!(agent.process().wait(), None, "{step}: {}", agent.log());
    }
    std::fs::remove_file(&crash_at).unwrap();
    agent.start_again();
    let pipeline = pipeline.unwrap();
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::Success);
    assert_eq!(server.admin.step_output(&job, 1), b"hello\n", "{}", agent.log());
}
