//! Failures of the control plane, the network, the task agent or the launch agent during a
//! task: nothing is lost, nothing is doubled, and the log says what happened.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use russet_protocol::local::State;
use russet_protocol::outcome::Outcome;

use crate::support::admin::assert_outcome;
use crate::support::disk::fill_disk;
use crate::support::{
    Agent, AgentOptions, Fault, FaultProxy, Process, Server, can_be_root, config, run, wait_for,
};

/// Prints a numbered line every 20 ms, so that a fault meets output on its way.
const COUNTING: &str = "for i in $(seq 1 150); do echo \"line $i\"; sleep 0.02; done";

/// Fails unless the output is exactly what [`COUNTING`] prints.
#[track_caller]
fn assert_counted(output: &[u8]) {
    let expected: String = (1..=150).map(|number| format!("line {number}\n")).collect();
    assert_eq!(String::from_utf8_lossy(output), expected);
}

#[test]
fn a_server_that_is_killed_and_restarted_in_the_middle_of_a_task_loses_and_doubles_nothing() {
    let mut server = Server::start();
    let _agent = Agent::start(&server);
    let pipeline = server.admin.submit(&config(&[&run(COUNTING)]));
    for line in ["line 10", "line 50", "line 90"] {
        server.admin.wait_for_output(&pipeline, line);
        server.kill();
        server.start_again();
    }
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::Success);
    assert_counted(&server.admin.step_output(&job, 1));
}

#[test]
fn a_network_that_is_cut_for_longer_than_the_lease_of_an_unstarted_task_costs_nothing() {
    // By the clock, since the server's lease is.
    let longer = Duration::from_secs(5);
    counts_through_a_cut(&["--lease", "4s"], Fault::Cut, |_, began| began.elapsed() > longer);
}

#[test]
fn a_network_that_refuses_connections_until_the_agents_have_retried_costs_nothing() {
    // Under the usual lease. The pauses between retries grow: ten of them are not one burst.
    counts_through_a_cut(&[], Fault::Refuse, |proxy, _| proxy.faults() >= 10);
}

/// Runs a counting job whose network fails in the middle of its output, until `is_enough`.
#[track_caller]
fn counts_through_a_cut(
    options: &[&str],
    fault: Fault,
    is_enough: impl Fn(&FaultProxy, Instant) -> bool,
) {
    let server = Server::start_with(options);
    let proxy = FaultProxy::start(server.url());
    let options = AgentOptions { url: Some(proxy.url().to_owned()), ..Default::default() };
    let _agent = Agent::start_with(&server, &options);
    let pipeline = server.admin.submit(&config(&[&run(COUNTING)]));
    server.admin.wait_for_output(&pipeline, "line 20");
    let began = Instant::now();
    proxy.set(fault);
    wait_for("a cut that is long enough", || is_enough(&proxy, began).then_some(()));
    proxy.set(Fault::None);
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::Success);
    assert_counted(&server.admin.step_output(&job, 1));
}

/// Runs the counting job through a proxy with this fault.
fn counts_through(fault: Fault) {
    // A claim whose answer a fault takes away costs a lease.
    let server = Server::start_with(&["--lease", "15s"]);
    let proxy = FaultProxy::start(server.url());
    let options = AgentOptions { url: Some(proxy.url().to_owned()), ..Default::default() };
    let _agent = Agent::start_with(&server, &options);
    proxy.set(fault);
    let job = server.admin.run(&config(&[&run(COUNTING), &run("echo done")]));
    assert_outcome(&server.admin, &job, Outcome::Success);
    assert_counted(&server.admin.step_output(&job, 1));
    assert_eq!(server.admin.step_output(&job, 2), b"done\n");
    assert!(proxy.faults() > 0, "no request met the fault");
}

#[test]
fn delayed_answers_cost_time_and_nothing_else() {
    counts_through(Fault::Delay(Duration::from_millis(300)));
}

#[test]
fn duplicated_requests_are_recognized() {
    counts_through(Fault::Duplicate(2));
}

#[test]
fn truncated_answers_are_asked_for_again() {
    counts_through(Fault::Truncate(3));
}

#[test]
fn internal_server_errors_are_outlived() {
    counts_through(Fault::Status(500, 2));
}

#[test]
fn too_many_requests_is_heeded() {
    counts_through(Fault::Status(429, 3));
}

#[test]
fn a_killed_task_agent_has_its_output_sent_and_is_an_infrastructure_failure_with_a_reason() {
    // Far longer than the test waits: what is reported is not that a lease lapsed.
    let server = Server::start_with(&["--lease", "10m"]);
    let agent = Agent::start(&server);
    let pipeline = server.admin.submit(&config(&[&run("echo before; sleep 1000")]));
    server.admin.wait_for_output(&pipeline, "before");
    for pid in agent.task_agents() {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::InfrastructureFail);
    assert_eq!(server.admin.step_output(&job, 1), b"before\n");
    let message = job.message.unwrap_or_default();
    assert!(message.contains("task agent"), "{message}");
    // The slot is usable again.
    let job = server.admin.run(&config(&[&run("echo again")]));
    assert_outcome(&server.admin, &job, Outcome::Success);
}

#[test]
fn a_stopped_task_agent_is_noticed_and_is_an_infrastructure_failure() {
    let server = Server::start_with(&["--lease", "6s"]);
    let agent = Agent::start(&server);
    let pipeline = server.admin.submit(&config(&[&run("echo before; sleep 1000")]));
    server.admin.wait_for_output(&pipeline, "before");
    for pid in agent.task_agents() {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    }
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::InfrastructureFail);
    let message = job.message.clone().unwrap_or_default();
    assert!(message.contains("task agent"), "{message}");
    assert_eq!(server.admin.step_output(&job, 1), b"before\n");
    wait_for("the stopped process to be killed", || agent.task_agents().is_empty().then_some(()));
    let job = server.admin.run(&config(&[&run("echo again")]));
    assert_outcome(&server.admin, &job, Outcome::Success);
}

#[test]
fn a_task_goes_on_while_its_launch_agent_is_killed_and_is_adopted_by_the_next() {
    let server = Server::start();
    let mut agent = Agent::start(&server);
    let pipeline = server.admin.submit(&config(&[&run(COUNTING)]));
    server.admin.wait_for_output(&pipeline, "line 10");
    agent.kill();
    server.admin.wait_for_output(&pipeline, "line 40");
    agent.start_again();
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::Success);
    assert_counted(&server.admin.step_output(&job, 1));
    wait_for("the agent to say that it adopted", || agent.log().contains("adopt").then_some(()));
    let job = server.admin.run(&config(&[&run("echo again")]));
    assert_outcome(&server.admin, &job, Outcome::Success);
}

#[test]
fn a_task_that_ends_while_no_launch_agent_is_there_has_its_own_outcome() {
    let server = Server::start();
    let mut agent = Agent::start(&server);
    let pipeline = server.admin.submit(&config(&[&run("echo before; sleep 1; exit 3")]));
    server.admin.wait_for_output(&pipeline, "before");
    agent.kill();
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::Failed);
    assert_eq!(job.steps.iter().find(|step| step.number == 1).unwrap().exit_code, Some(3));
    agent.start_again();
    let job = server.admin.run(&config(&[&run("echo again")]));
    assert_outcome(&server.admin, &job, Outcome::Success);
}

#[test]
fn a_task_agent_killed_while_no_launch_agent_is_there_is_reported_by_the_next() {
    let server = Server::start();
    let mut agent = Agent::start(&server);
    let pipeline = server.admin.submit(&config(&[&run("echo before; sleep 1000")]));
    server.admin.wait_for_output(&pipeline, "before");
    agent.kill();
    for pid in agent.task_agents() {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
    agent.start_again();
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::InfrastructureFail);
    assert_eq!(server.admin.step_output(&job, 1), b"before\n");
}

#[test]
fn a_task_whose_launch_agent_never_comes_back_ends_itself_at_its_deadline() {
    let server = Server::start();
    let runner = vec!["max_run_time: 3s".to_owned()];
    let mut agent = Agent::start_with(&server, &AgentOptions { runner, ..Default::default() });
    let pipeline = server.admin.submit(&config(&[&run("echo before; sleep 1000")]));
    server.admin.wait_for_output(&pipeline, "before");
    agent.kill();
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::TimedOut);
    let message = job.message.unwrap_or_default();
    assert!(message.contains("run-time limit"), "{message}");
    wait_for("the task agent to end", || agent.task_agents().is_empty().then_some(()));
}

#[test]
fn a_pid_that_now_belongs_to_somebody_else_is_not_taken_for_the_task_agent() {
    let server = Server::start();
    let mut agent = Agent::start(&server);
    let pipeline = server.admin.submit(&config(&[&run("echo before; sleep 1000")]));
    server.admin.wait_for_output(&pipeline, "before");
    agent.kill();
    for pid in agent.task_agents() {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
    let mut bystander = Process(std::process::Command::new("sleep").arg("1000").spawn().unwrap());
    let path = agent.state().join("slots/1/journal.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let mut journal: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(journal["process"]["pid"].is_u64(), "no process in {text}");
    journal["process"]["pid"] = bystander.0.id().into();
    std::fs::write(&path, journal.to_string()).unwrap();
    agent.start_again();
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::InfrastructureFail);
    assert_eq!(server.admin.step_output(&job, 1), b"before\n");
    assert!(bystander.is_running(), "a process that is none of ours was ended");
}

#[test]
fn a_machine_that_restarted_is_told_from_a_crash() {
    let server = Server::start();
    let mut agent = Agent::start(&server);
    let pipeline = server.admin.submit(&config(&[&run("echo before; sleep 1000")]));
    server.admin.wait_for_output(&pipeline, "before");
    agent.kill();
    for pid in agent.task_agents() {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
    // What a restart changes on disk is nothing; what it changes in the kernel is the boot id.
    let journal = agent.state().join("slots/1/journal.json");
    let text = std::fs::read_to_string(&journal).unwrap();
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    assert!(text.contains(boot_id.trim()), "no boot id in {text}");
    let other = text.replace(boot_id.trim(), "00000000-0000-0000-0000-000000000000");
    std::fs::write(&journal, other).unwrap();
    agent.start_again();
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::InfrastructureFail);
    let message = job.message.unwrap_or_default();
    assert!(message.contains("restarted"), "{message}");
}

#[test]
fn an_agent_whose_log_cannot_be_written_runs_tasks_all_the_same() {
    let server = Server::start();
    let mut agent = Agent::start(&server);
    agent.kill();
    // Every write to it fails as on a full disk.
    let log = agent.config_file().with_file_name("agent.log");
    std::fs::remove_file(&log).unwrap();
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    agent.start_again();
    for _ in 0..2 {
        let job = server.admin.run(&config(&[&run("echo it runs")]));
        assert_outcome(&server.admin, &job, Outcome::Success);
    }
    assert!(agent.process().is_running());
}

#[test]
fn a_task_that_begins_on_a_full_disk_ends_with_that_reason_and_the_next_one_runs() {
    if !can_be_root("to mount a disk") {
        return;
    }
    let server = Server::start();
    // A few tasks that fail in a row would hold the class for minutes.
    let runner = vec!["health: {failures: false}".to_owned()];
    let options = AgentOptions { disk: Some("40m"), runner, ..Default::default() };
    let agent = Agent::start_with(&server, &options);
    // Its health was looked at, and is not again for a while.
    agent.wait_for_state(State::Idle);
    let ballast = agent.state().join("ballast");
    fill_disk(&ballast);
    let job = server.admin.run(&config(&[&run("echo no room")]));
    assert_ne!(job.outcome, Some(Outcome::Success), "was the disk full at all?");
    let said = format!("{:?} {:?} {}", job.message, job.steps, server.admin.output(&job));
    assert!(said.contains("No space left on device"), "{said}");
    std::fs::remove_file(&ballast).unwrap();
    let job = server.admin.run(&config(&[&run("echo again")]));
    assert_outcome(&server.admin, &job, Outcome::Success);
}
