//! Status, control and doctor of an agent over its socket, for people on its machine.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
#[cfg(target_os = "linux")]
use std::process::Command;

use russet_protocol::local::{State, Status};
use russet_protocol::outcome::Outcome;

use crate::support::agent::agent_command;
use crate::support::{
    Agent, AgentOptions, CLASS, Process, Server, can_be_root, config, run, russet, test_dir,
    wait_for,
};

/// A step that runs until the file is there.
fn until(file: &Path) -> String {
    run(&format!("echo begun; until test -e {}; do sleep 0.05; done", file.display()))
}

#[test]
fn a_status_follows_a_task_from_idle_to_idle() {
    let server = Server::start();
    let agent = Agent::start(&server);
    let dir = test_dir();
    let (go, begun) = (dir.path().join("go"), "begun");
    agent.wait_for_state(State::Idle);
    let pipeline = server.admin.submit(&config(&[&until(&go)]));
    server.admin.wait_for_output(&pipeline, begun);
    let status = agent.wait_for_state(State::Running);
    let task = status.slots[0].task.as_ref().unwrap();
    assert_eq!(task.job.as_deref(), Some("job"));
    assert!(task.project.is_some());
    std::fs::write(&go, "").unwrap();
    server.admin.wait(&pipeline);
    let status = agent.wait_for_state(State::Idle);
    assert_eq!(status.recent[0].outcome, Some(Outcome::Success));
    // A server that is killed under a claim is away for a moment.
    wait_for("the same as text", || {
        let text = String::from_utf8(agent.ask(&["status"]).stdout).unwrap();
        (text.contains("idle") && text.contains("success")).then_some(())
    });
}

#[test]
fn a_slot_has_the_name_of_its_class_before_its_first_task() {
    let server = Server::start();
    let agent = Agent::start(&server);
    agent.wait_for_state(State::Idle);
    wait_for("the name of the class", || {
        let text = String::from_utf8(agent.ask(&["status"]).stdout).unwrap();
        assert!(text.contains("idle"), "{text}");
        (text.contains(CLASS) && !text.contains("auth_token")).then_some(())
    });
}

/// Each line of a file.
fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn changes_are_followed_line_by_line_until_an_interrupt() {
    let server = Server::start();
    let agent = Agent::start(&server);
    let dir = test_dir();
    agent.wait_for_state(State::Idle);
    let follow = |name: &str, more: &[&str]| {
        let path = dir.path().join(name);
        let arguments = [&["status", "--watch"], more].concat();
        let child = agent_command(russet(), &agent.socket(), &arguments)
            .stdout(std::fs::File::create(&path).unwrap())
            .spawn()
            .unwrap();
        wait_for("the first line", || (!lines(&path).is_empty()).then_some(()));
        (path, Process(child))
    };
    let (text, mut following) = follow("text", &[]);
    let (json, mut machine) = follow("json", &["--output", "json"]);
    let job = server.admin.run(&config(&[&run("echo first; sleep 0.3"), &run("sleep 0.3")]));
    assert_eq!(job.outcome, Some(Outcome::Success));
    let done = "idle; last test/project  job: success";
    wait_for(done, || lines(&text).last().filter(|line| line.ends_with(done)).map(|_| ()));
    let said = lines(&text);
    assert!(said[0].ends_with("  idle"), "{said:?}");
    let running = "running; slot 1: test/project  job  echo first";
    assert!(said.iter().any(|line| line.contains(running)), "{said:?}");
    wait_for("the end in JSON", || {
        let last: Status = serde_json::from_str(lines(&json).last()?).ok()?;
        (last.state == State::Idle && last.recent.len() == 1).then_some(())
    });
    for watcher in [&mut following, &mut machine] {
        watcher.signal(nix::sys::signal::Signal::SIGINT);
        assert_eq!(watcher.wait(), Some(0));
    }
    assert_eq!(lines(&text), said, "the same is not said again");
}

// `script` of util-linux gives a program a terminal.
#[cfg(target_os = "linux")]
#[test]
fn at_a_terminal_the_page_is_drawn_in_place_and_the_terminal_given_back() {
    let server = Server::start();
    let agent = Agent::start(&server);
    agent.wait_for_state(State::Idle);
    let (program, socket) = (russet().display(), agent.socket());
    let command =
        format!("exec {program} agent status --watch --color never --socket {}", socket.display());
    let dir = test_dir();
    let page = dir.path().join("page");
    let mut watching = Process(
        Command::new("script")
            .args(["--quiet", "--return", "--flush", "--command", &command])
            .arg(&page)
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap(),
    );
    let read = || std::fs::read_to_string(&page).unwrap_or_default();
    wait_for("the first page", || read().contains("slot 1").then_some(()));
    agent.ask_well(&["pause", "--reason", "lunch"]);
    wait_for("the next page", || read().contains("paused").then_some(()));
    let is_watching = |pid: &i32| {
        let arguments = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        arguments.contains("--watch") && arguments.contains(&*socket.to_string_lossy())
    };
    let pids = std::fs::read_dir("/proc").unwrap().flatten();
    let mut pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let shell = i32::try_from(watching.0.id()).unwrap();
    let pid = pids.find(|pid| *pid != shell && is_watching(pid)).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGINT)
        .unwrap();
    assert_eq!(watching.wait(), Some(0));
    let all = read();
    assert!(all.contains("\x1b[?1049h") && all.contains("\x1b[H"), "{all:?}");
    let (_, after) = all.split_once("\x1b[?1049l").unwrap();
    assert!(after.contains("paused") && !after.contains("\x1b["), "{after:?}");
}

#[test]
fn a_pause_outlives_the_agent_and_resume_ends_it() {
    let server = Server::start();
    let mut agent = Agent::start(&server);
    agent.wait_for_state(State::Idle);
    agent.ask_well(&["pause", "--reason", "trying a new Xcode"]);
    let paused = agent.wait_for_state(State::Paused);
    assert_eq!(paused.reason.as_deref(), Some("trying a new Xcode"));
    agent.kill();
    agent.start_again();
    agent.wait_for_state(State::Paused);
    let pipeline = server.admin.submit(&config(&[&run("true")]));
    // A drain beside it, and what is asked for twice, change nothing of it.
    agent.ask_well(&["drain", "--wait"]);
    agent.ask_well(&["pause", "--reason", "still"]);
    assert_eq!(server.admin.only_job(&pipeline).phase, russet_protocol::outcome::Phase::Queued);
    agent.ask_well(&["resume"]);
    let job = server.admin.wait(&pipeline);
    assert_eq!(job.workflows[0].jobs[0].outcome, Some(Outcome::Success));
}

#[test]
fn a_pause_for_a_time_ends_by_itself() {
    let server = Server::start();
    let agent = Agent::start(&server);
    agent.wait_for_state(State::Idle);
    agent.ask_well(&["pause", "--for", "1s"]);
    let job = server.admin.run(&config(&[&run("true")]));
    assert_eq!(job.outcome, Some(Outcome::Success));
}

#[test]
fn a_drain_waits_for_the_task_and_takes_no_other() {
    let server = Server::start();
    let agent = Agent::start(&server);
    let dir = test_dir();
    let go = dir.path().join("go");
    let first = server.admin.submit(&config(&[&until(&go)]));
    server.admin.wait_for_output(&first, "begun");
    let mut draining = agent_command(russet(), &agent.socket(), &["drain", "--wait"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    agent.wait_for_state(State::Draining);
    let second = server.admin.submit(&config(&[&run("true")]));
    assert!(draining.try_wait().unwrap().is_none(), "it did not wait for the task");
    std::fs::write(&go, "").unwrap();
    assert!(draining.wait().unwrap().success());
    assert_eq!(server.admin.only_job(&first).outcome, Some(Outcome::Success));
    assert_eq!(server.admin.only_job(&second).phase, russet_protocol::outcome::Phase::Queued);
    agent.ask_well(&["resume"]);
    server.admin.wait(&second);
}

#[test]
fn a_drain_with_a_deadline_cancels_what_still_runs_and_the_agent_lives_on() {
    let server = Server::start();
    let agent = Agent::start(&server);
    let pipeline = server.admin.submit(&config(&[&run("echo begun; sleep 1000")]));
    server.admin.wait_for_output(&pipeline, "begun");
    agent.ask_well(&["drain", "--wait", "--deadline", "1s", "--reason", "new disk"]);
    let job = server.admin.wait(&pipeline).workflows[0].jobs[0].clone();
    assert_eq!(job.outcome, Some(Outcome::Canceled));
    assert!(job.message.unwrap_or_default().contains("new disk"));
    agent.wait_for_state(State::Paused);
}

#[test]
fn a_drain_keeps_its_reason_and_its_deadline_across_a_restart_of_the_agent() {
    let server = Server::start();
    let mut agent = Agent::start(&server);
    let pipeline = server.admin.submit(&config(&[&run("echo begun; sleep 1000")]));
    server.admin.wait_for_output(&pipeline, "begun");
    agent.ask_well(&["drain", "--deadline", "1h", "--reason", "macOS update"]);
    let before = agent.wait_for_state(State::Draining).holds;
    assert_eq!(before[0].reason, "macOS update");
    assert!(before[0].until_ms.is_some());
    agent.kill();
    agent.start_again();
    assert_eq!(agent.wait_for_state(State::Draining).holds, before);
    agent.ask_well(&["drain", "--deadline", "1s", "--reason", "now"]);
    let job = server.admin.wait(&pipeline).workflows[0].jobs[0].clone();
    assert_eq!(job.outcome, Some(Outcome::Canceled));
    assert!(job.message.unwrap_or_default().contains("now"));
}

#[test]
fn the_users_of_tasks_are_refused_and_others_see_no_names() {
    if !can_be_root("for other users") {
        return;
    }
    let server = Server::start();
    let agent = Agent::start(&server);
    let dir = test_dir();
    let program = dir.path().join("russet");
    std::fs::copy(russet(), &program).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    agent.wait_for_state(State::Idle);
    let go = dir.path().join("go");
    let pipeline = server.admin.submit(&config(&[&until(&go)]));
    server.admin.wait_for_output(&pipeline, "begun");
    let as_user = |uid: u32, arguments: &[&str]| {
        agent_command(&program, &agent.socket(), arguments).uid(uid).gid(uid).output().unwrap()
    };
    for verb in [&["status"][..], &["pause"], &["drain"], &["resume"], &["status", "--watch"]] {
        let output = as_user(59_500, verb);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("tasks may not"), "{verb:?}: {said}");
    }
    let log = agent.log();
    let audited = log.lines().filter(|line| line.contains("audit") && line.contains("59500"));
    assert_eq!(audited.count(), 5, "{log}");
    // Some account of this machine that is neither root nor a task's.
    let looked = as_user(65_534, &["status", "--output", "json"]);
    let status: Status = serde_json::from_slice(&looked.stdout).unwrap();
    let task = status.slots[0].task.as_ref().unwrap();
    assert_eq!((status.state, &task.job, &task.project), (State::Running, &None, &None));
    let refused = as_user(65_534, &["pause"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("operators"));
    std::fs::write(&go, "").unwrap();
    server.admin.wait(&pipeline);
}

// A small file system is mounted as only Linux does.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_holds_claims_until_there_is_room_again() {
    if !can_be_root("to mount a small file system") {
        return;
    }
    let server = Server::start();
    let options = AgentOptions {
        disk: Some("96m"),
        runner: vec!["health: { disk_reserve: 16MB }".to_owned()],
        ..AgentOptions::default()
    };
    let mut agent = Agent::start_with(&server, &options);
    agent.wait_for_state(State::Idle);
    agent.kill();
    let filler = agent.state().join("filler");
    let file = std::fs::File::create(&filler).unwrap();
    let free = nix::sys::statvfs::statvfs(&agent.state()).unwrap();
    let room = free.blocks_available() * free.fragment_size() - 8_000_000;
    let length = i64::try_from(room).unwrap();
    nix::fcntl::posix_fallocate(&file, 0, length).unwrap();
    drop(file);
    agent.start_again();
    let status = agent.wait_for_state(State::Unhealthy);
    assert!(status.reason.unwrap().contains("disk_reserve"));
    let pipeline = server.admin.submit(&config(&[&run("true")]));
    std::fs::remove_file(&filler).unwrap();
    let job = server.admin.wait(&pipeline).workflows[0].jobs[0].clone();
    assert_eq!(job.outcome, Some(Outcome::Success));
}

#[test]
fn without_an_agent_it_says_how_to_start_one() {
    let dir = test_dir();
    let output = agent_command(russet(), &dir.path().join("none.sock"), &["status"]).output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(5));
    assert!(said.contains("could not reach the agent") && said.contains("russet agent start"));
}

/// `russet agent doctor` towards an agent; its exit code, and what it found by name.
fn doctor(
    program: &Path,
    uid: Option<u32>,
    config: &Path,
    socket: &Path,
) -> (i32, std::collections::BTreeMap<String, serde_json::Value>) {
    let arguments = ["doctor", "--output", "json", "--config", config.to_str().unwrap()];
    let mut command = agent_command(program, socket, &arguments);
    command.current_dir("/");
    if let Some(uid) = uid {
        command.uid(uid).gid(uid);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let found: serde_json::Value = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    let checks = found["checks"].as_array().unwrap().iter();
    let named = checks.map(|check| (check["name"].as_str().unwrap().to_owned(), check.clone()));
    (output.status.code().unwrap(), named.collect())
}

#[test]
fn the_doctor_finds_an_agent_well_then_paused_then_gone_and_its_server_with_it() {
    let server = Server::start();
    let mut agent = Agent::start(&server);
    agent.wait_for_state(State::Idle);
    let (config, at) = (agent.config_file(), agent.socket());
    let level = |name: &str| {
        let (code, found) = doctor(russet(), None, &config, &at);
        (found[name]["level"].as_str().unwrap().to_owned(), found[name].clone(), code)
    };
    assert_eq!(level("agent").0, "ok", "{:?}", level("agent"));
    assert_eq!(level("control plane").0, "ok");
    assert_eq!(level("clock").0, "ok");
    assert_eq!(level("configuration").0, "ok");
    agent.ask_well(&["pause", "--reason", "new disk"]);
    let (paused, check, _) = level("agent");
    assert_eq!(paused, "warning");
    assert!(check["found"].as_str().unwrap().contains("new disk"), "{check}");
    agent.kill();
    drop(server);
    let (gone, check, code) = level("agent");
    assert_eq!((gone.as_str(), code), ("warning", 21), "{check}");
    assert_eq!(level("control plane").0, "bad");
    let arguments = ["doctor", "--config", config.to_str().unwrap()];
    let text = agent_command(russet(), &at, &arguments).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.contains("✗ control plane") && text.contains("→ is the server running?"),
        "{text}"
    );
}

#[test]
fn the_doctor_works_as_anybody_and_without_anything() {
    let dir = test_dir();
    let nothing = dir.path().join("nothing.yaml");
    let (code, found) = doctor(russet(), None, &nothing, &dir.path().join("no.sock"));
    assert_eq!(found["configuration"]["level"], "warning");
    assert!(found["configuration"]["hint"].as_str().unwrap().contains("install"));
    assert!(found.contains_key("disk") && found.contains_key("memory") && code >= 20);
    if !can_be_root("to look as another user") {
        return;
    }
    let config = dir.path().join("config.yaml");
    std::fs::write(&config, "api: {auth_token: secret}\nrunner: {name: x}\n").unwrap();
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o600)).unwrap();
    let program = dir.path().join("russet");
    std::fs::copy(russet(), &program).unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (_, found) = doctor(&program, Some(58_321), &config, &dir.path().join("no.sock"));
    assert_eq!(found["configuration"]["level"], "unknown");
    assert!(found["configuration"]["found"].as_str().unwrap().contains("sudo"));
}
