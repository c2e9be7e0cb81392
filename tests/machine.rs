//! An installation on other hardware than it was made on: a copied disk, a migrated Mac, an image.
//! As root on Linux, below a root of the test's own, which has the id of the machine.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use russet_protocol::local::{State, Status};
use russet_protocol::outcome::Outcome;

use crate::support::admin::assert_outcome;
use crate::support::agent::agent_command;
use crate::support::installation::can_run_service;
use crate::support::{Installation, Server, config, run, russet, wait_for};

const MINI: &str = "11112222333344445555666677778888";
const COPY: &str = "aaaabbbbccccddddeeeeffff00001111";

/// Puts the disk into a machine with this id.
fn move_to(agent: &Installation, id: &str) {
    let etc = agent.layout.root().join("etc");
    std::fs::create_dir_all(&etc).unwrap();
    std::fs::write(etc.join("machine-id"), format!("{id}\n")).unwrap();
}

/// Starts the agent again, as a boot of the machine does.
fn restart(agent: &Installation, before: Pid) -> Pid {
    kill(before, Signal::SIGTERM).unwrap();
    agent.wait_proved(Some(before))
}

fn ask(agent: &Installation, arguments: &[&str]) -> (bool, String) {
    let socket = agent.layout.state().join("agent.sock");
    let output = agent_command(russet(), &socket, arguments).output().unwrap();
    let said = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.success(), String::from_utf8(said).unwrap())
}

/// Waits until the agent is in a state.
#[track_caller]
fn wait_for_state(agent: &Installation, state: State) -> Status {
    wait_for(state.as_str(), || {
        let (is_there, said) = ask(agent, &["status", "--output", "json"]);
        let status: Option<Status> = is_there.then(|| serde_json::from_str(&said).unwrap());
        status.filter(|status| status.state == state)
    })
}

#[test]
fn a_copied_disk_claims_nothing_until_a_person_accepts_the_machine() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let mut agent = Installation::new(&server, &[]);
    move_to(&agent, MINI);
    agent.bootstrap();
    let first = agent.wait_proved(None);
    let sealed = std::fs::read_to_string(agent.layout.seal()).unwrap();
    assert!(sealed.contains(MINI), "{sealed}");
    let job = server.admin.run(&config(&[&run("echo here")]));
    assert_outcome(&server.admin, &job, Outcome::Success);

    move_to(&agent, COPY);
    let copy = restart(&agent, first);
    let held = wait_for_state(&agent, State::Unhealthy);
    let reason = held.reason.unwrap_or_default();
    assert!(reason.contains(MINI) && reason.contains(COPY), "{reason}");
    assert!(reason.contains("accept-machine"), "{reason}");
    assert_eq!(held.holds[0].source, "machine");
    let pipeline = server.admin.submit(&config(&[&run("echo there")]));
    // Nobody's own hold is this one.
    assert!(ask(&agent, &["resume"]).0);
    wait_for_state(&agent, State::Unhealthy);
    assert_eq!(server.admin.only_job(&server.admin.pipeline(&pipeline.id)).started_ms, None);

    let (is_accepted, said) = ask(&agent, &["accept-machine"]);
    assert!(is_accepted, "{said}");
    let job = server.admin.only_job(&server.admin.wait(&pipeline));
    assert_outcome(&server.admin, &job, Outcome::Success);
    restart(&agent, copy);
    assert_eq!(wait_for_state(&agent, State::Idle).holds, []);
}

/// Migration Assistant takes the configuration with its token along, and not the state directory.
#[test]
fn a_migrated_configuration_is_known_to_be_of_another_machine() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let mut agent = Installation::new(&server, &[]);
    move_to(&agent, COPY);
    let seal = format!("{{\"version\": 1, \"hardware\": \"{MINI}\"}}");
    std::fs::write(agent.layout.seal(), seal).unwrap();
    assert!(!agent.layout.receipt().exists());
    agent.bootstrap();
    agent.wait_proved(None);
    assert_eq!(wait_for_state(&agent, State::Unhealthy).holds[0].source, "machine");
    // A note that nobody can read is no permission.
    std::fs::write(agent.layout.seal(), "{").unwrap();
    restart(&agent, agent.wait_proved(None));
    let reason = wait_for_state(&agent, State::Unhealthy).reason.unwrap_or_default();
    assert!(reason.contains("cannot be read"), "{reason}");
}

#[test]
fn copies_of_an_image_claim_each_under_a_name_of_its_own() {
    if !can_run_service() {
        return;
    }
    let server = Server::start();
    let mut agent = Installation::new(&server, &[]);
    move_to(&agent, MINI);
    std::fs::write(agent.layout.seal(), "{\"version\": 1, \"image\": true}").unwrap();
    agent.bootstrap();
    let first = agent.wait_proved(None);
    let one = wait_for_state(&agent, State::Idle);
    assert!(one.name.starts_with("test-") && one.holds.is_empty(), "{}", one.name);
    let job = server.admin.run(&config(&[&run("echo here")]));
    assert_outcome(&server.admin, &job, Outcome::Success);
    assert_eq!(job.runner.as_deref(), Some(one.name.as_str()));
    move_to(&agent, COPY);
    restart(&agent, first);
    let other = wait_for_state(&agent, State::Idle);
    assert!(other.name.starts_with("test-") && other.name != one.name, "{}", other.name);
}
