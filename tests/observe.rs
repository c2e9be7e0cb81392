//! Metrics of an agent, for the owner of a farm.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;

use russet_protocol::outcome::Outcome;

use crate::support::{
    Agent, AgentOptions, Server, can_be_root, config, http_get, is_root, run, russet, test_dir,
    wait_for,
};

fn socket(agent: &Agent) -> PathBuf {
    agent.state().join("agent.sock")
}

fn metrics(agent: &Agent) -> String {
    http_get(UnixStream::connect(socket(agent)).unwrap(), "/v1/metrics")
}

/// The value of the sample that begins so.
#[track_caller]
fn value(text: &str, sample: &str) -> f64 {
    let found = text.lines().find_map(|line| line.strip_prefix(sample)?.trim().parse().ok());
    found.unwrap_or_else(|| panic!("no `{sample}` in\n{text}"))
}

fn measured(listen: &str) -> AgentOptions {
    let more = vec![format!("metrics: {{ listen: '{listen}' }}")];
    AgentOptions { more, ..AgentOptions::default() }
}

/// The address that it says it listens on.
fn address(agent: &Agent) -> String {
    wait_for("the address of the metrics", || {
        let log = agent.log();
        let line = log.lines().find(|line| line.contains("those who read metrics"))?;
        let (_, address) = line.split_once("address=")?;
        Some(address.split_whitespace().next()?.to_owned())
    })
}

#[test]
fn metrics_follow_a_task_that_succeeds_one_that_fails_and_one_whose_agent_is_killed() {
    let server = Server::start();
    let agent = Agent::start(&server);
    let task = |outcome: &str| {
        format!("russet_agent_tasks_total{{class=\"api.auth_token\",outcome=\"{outcome}\"}}")
    };
    let slots =
        |state: &str| format!("russet_agent_slots{{class=\"api.auth_token\",state=\"{state}\"}}");
    let before = wait_for("an agent that listens", || {
        let stream = UnixStream::connect(socket(&agent)).ok()?;
        Some(http_get(stream, "/v1/metrics"))
    });
    assert_eq!(value(&before, &task("success")), 0.0);
    assert_eq!(value(&before, "russet_agent_starts_total"), 1.0);
    assert!(value(&before, "russet_agent_disk_free_bytes") > 0.0);
    assert!(value(&before, "process_open_fds") > 0.0);

    server.admin.run(&config(&[&run("echo left > /tmp/russet-left-$$")]));
    server.admin.run(&config(&[&run("false")]));
    let pipeline = server.admin.submit(&config(&[&run("echo begun; sleep 1000")]));
    server.admin.wait_for_output(&pipeline, "begun");
    let during = metrics(&agent);
    assert_eq!(value(&during, &slots("busy")), 1.0);
    assert_eq!(value(&during, "russet_agent_state{state=\"running\"}"), 1.0);
    let busy: Vec<i32> = agent.task_agents();
    for pid in busy {
        let pid = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).ok();
    }
    let job = server.admin.wait(&pipeline).workflows[0].jobs[0].clone();
    assert_eq!(job.outcome, Some(Outcome::InfrastructureFail));

    let after = wait_for("the last task in the metrics", || {
        let text = metrics(&agent);
        (value(&text, &task("infrastructure_fail")) >= 1.0).then_some(text)
    });
    assert_eq!(value(&after, &task("success")), 1.0);
    assert_eq!(value(&after, &task("failed")), 1.0);
    let died = "russet_agent_infrastructure_failures_total{reason=\"task_agent_died\"}";
    assert_eq!(value(&after, died), 1.0);
    let class = "{class=\"api.auth_token\"}";
    assert_eq!(value(&after, &format!("russet_agent_dispatch_latency_seconds_count{class}")), 3.0);
    assert_eq!(value(&after, &format!("russet_agent_task_duration_seconds_count{class}")), 3.0);
    if is_root() {
        let left = "russet_agent_left_removed_total{kind=\"shared_files\"}";
        assert!(value(&after, left) >= 1.0, "{after}");
    }
    // Numbers only.
    assert!(!after.contains("test/project") && !after.contains("\"job\""), "{after}");
}

#[test]
fn an_adopted_task_and_each_start_are_counted() {
    let server = Server::start();
    let mut agent = Agent::start(&server);
    let dir = test_dir();
    let go = dir.path().join("go");
    let until = format!("echo begun; until test -e {}; do sleep 0.05; done", go.display());
    let pipeline = server.admin.submit(&config(&[&run(&until)]));
    server.admin.wait_for_output(&pipeline, "begun");
    agent.kill();
    agent.start_again();
    let text = wait_for("the second agent", || {
        let stream = UnixStream::connect(socket(&agent)).ok()?;
        Some(http_get(stream, "/v1/metrics"))
    });
    assert_eq!(value(&text, "russet_agent_starts_total"), 2.0);
    assert_eq!(value(&text, "russet_agent_adopted_tasks_total"), 1.0);
    std::fs::write(&go, "").unwrap();
    server.admin.wait(&pipeline);
}

#[test]
fn a_loopback_port_answers_while_stuck_clients_hold_what_they_can() {
    let server = Server::start();
    let agent = Agent::start_with(&server, &measured("127.0.0.1:0"));
    let address = address(&agent);
    let text = http_get(TcpStream::connect(&address).unwrap(), "/metrics");
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("russet_agent_slots"), "{text}");
    assert!(http_get(TcpStream::connect(&address).unwrap(), "/").starts_with("HTTP/1.1 404"));
    // More than are served: some never ask, some never read.
    let stuck: Vec<TcpStream> = (0..40)
        .map(|number| {
            let mut stream = TcpStream::connect(&address).unwrap();
            if number % 2 == 0 {
                // It may have been hung up on.
                stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n").ok();
            }
            stream
        })
        .collect();
    let job = server.admin.run(&config(&[&run("true")]));
    assert_eq!(job.outcome, Some(Outcome::Success));
    wait_for("an idle agent", || {
        (value(&metrics(&agent), "russet_agent_state{state=\"idle\"}") == 1.0).then_some(())
    });
    // They are hung up on in the end, although they hold their own side open.
    wait_for("room for those who ask", || {
        let mut stream = TcpStream::connect(&address).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.contains("russet_agent_slots").then_some(())
    });
    drop(stuck);
}

#[test]
fn a_port_that_is_taken_is_said_and_strands_nothing() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server::start();
    let listen = taken.local_addr().unwrap().to_string();
    let agent = Agent::start_with(&server, &measured(&listen));
    let job = server.admin.run(&config(&[&run("true")]));
    assert_eq!(job.outcome, Some(Outcome::Success));
    let log = agent.log();
    assert!(log.contains("metrics.listen") && log.contains("ERROR"), "{log}");
}

#[test]
fn an_address_that_is_not_loopback_is_refused_with_its_place() {
    let dir = test_dir();
    let file = dir.path().join("agent.yaml");
    let token = dir.path().join("token");
    for path in [&file, &token] {
        std::fs::write(path, "x").unwrap();
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
    }
    for (listen, wrong) in
        [("0.0.0.0:9477", "no loopback address"), ("9477", "no address with a port")]
    {
        let text = format!(
            "api: {{ url: 'http://127.0.0.1:1', auth_token_file: token }}\nmetrics:\n  listen: \
             '{listen}'\n"
        );
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(russet());
        let output = command.args(["agent", "run", "--config"]).arg(&file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains("agent.yaml:3:11") && said.contains(wrong), "{said}");
        assert!(said.contains("hint: write `127.0.0.1:9477`"), "{said}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_user_of_a_task_is_refused_metrics_and_anybody_else_may_look() {
    use std::os::unix::fs::MetadataExt;
    if !can_be_root("for other users") {
        return;
    }
    let server = Server::start();
    let agent = Agent::start(&server);
    let dir = test_dir();
    let program = dir.path().join("russet");
    std::fs::copy(russet(), &program).unwrap();
    // A step tries the socket itself.
    let socket = socket(&agent);
    let script = format!("! {} agent status --socket {} ", program.display(), socket.display());
    let job = server.admin.run(&config(&[&run(&script)]));
    let output = server.admin.output(&job);
    assert_eq!(job.outcome, Some(Outcome::Success), "{output}");
    assert!(output.contains("tasks may not use the local API"), "{output}");
    let home = agent.state().join("slots/1/home");
    let user = wait_for("a fresh slot", || Some(std::fs::metadata(&home).ok()?.uid()));
    let refused = crate::support::http_get_as(user, socket.clone(), "/v1/metrics");
    assert!(refused.starts_with("HTTP/1.1 403") && !refused.contains("russet_agent"), "{refused}");
    let shown = crate::support::http_get_as(65_534, socket, "/v1/metrics");
    assert!(shown.contains("russet_agent_slots"), "{shown}");
}
