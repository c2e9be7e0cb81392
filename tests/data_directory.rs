//! The directory of what tasks write, where it is not that of state: an existing installation's slots
//! move there, and a task that runs is not moved under.

use russet_protocol::outcome::Outcome;

use crate::support::admin::assert_outcome;
use crate::support::user::SlotUser;
use crate::support::{Agent, Server, can_be_root, config, run, test_dir, wait_for};

/// Adds a line below `runner:` to an agent's configuration.
fn add_line(agent: &Agent, line: &str) {
    let path = agent.config_file();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("runner:\n", &format!("runner:\n  {line}\n"))).unwrap();
}

#[test]
fn slots_of_before_move_when_no_task_runs_and_never_under_one() {
    if !can_be_root("to have a user of its own for the slot") {
        return;
    }
    let (server, user, elsewhere) = (Server::start(), SlotUser::create(), test_dir());
    let mut agent = Agent::start_with(&server, &user.options());
    let home_of = |script: &str| {
        let job = server.admin.run(&config(&[&run(&format!("{script}; echo home=$HOME"))]));
        assert_outcome(&server.admin, &job, Outcome::Success);
        server.admin.output(&job)
    };
    let before = agent.state().join("slots/1/home");
    assert!(home_of("true").contains(&format!("home={}\n", before.display())));

    // A task that knows its paths goes on where it is, and so does the agent that adopts it.
    let (data, gate) = (elsewhere.path().join("data"), elsewhere.path().join("gate"));
    let wait = format!("echo ready; until [ -e {} ]; do sleep 0.1; done", gate.display());
    let last = "echo home=$HOME; touch ~/still-there && echo written";
    let pipeline = server.admin.submit(&config(&[&run(&wait), &run(last)]));
    server.admin.wait_for_output(&pipeline, "ready");
    agent.kill();
    add_line(&agent, &format!("data_directory: {}", data.display()));
    agent.start_again();
    wait_for("the agent to say that slots move later", || {
        agent.log().contains("slots move when the agent starts again").then_some(())
    });
    std::fs::write(&gate, "").unwrap();
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::Success);
    let log = server.admin.output(&job);
    assert!(log.contains(&format!("home={}\nwritten", before.display())), "{log}");
    assert!(!data.join("slots").exists());

    // Without one they move, with what root keeps in them.
    let journal = agent.state().join("slots/1/journal.json");
    wait_for("the slot to be clean", || (!journal.exists()).then_some(()));
    agent.kill();
    std::fs::write(agent.state().join("slots/1/kept"), "").unwrap();
    for _again in 0..2 {
        agent.start_again();
        let after = format!("home={}\n", data.join("slots/1/home").display());
        let log = home_of("true");
        assert!(log.contains(&after), "{log}");
        assert!(data.join("slots/1/kept").exists() && !agent.state().join("slots").exists());
        let journal = data.join("slots/1/journal.json");
        wait_for("the slot to be clean", || (!journal.exists()).then_some(()));
        agent.kill();
    }
}
