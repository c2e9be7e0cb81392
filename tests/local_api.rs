//! The local API by itself: what it tells of tasks, how one is canceled, who is refused, and what
//! its clients cost.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use russet_protocol::local::{HealthLevel, State, Task};
use russet_protocol::outcome::Outcome;

use crate::support::admin::assert_outcome;
use crate::support::user::SlotUser;
use crate::support::{
    Agent, CLASS, Server, can_be_root, checkout, config, http_get, is_root, resident_bytes, run,
    test_dir, wait_for,
};

/// A step that runs until the file is there.
fn until(file: &Path) -> String {
    run(&format!("echo begun; until test -e {}; do sleep 0.05; done", file.display()))
}

/// The task in the first slot, once it is at a step of this name.
#[track_caller]
fn task_at(agent: &Agent, step: &str) -> Task {
    wait_for(step, || {
        let task = agent.status()?.slots[0].task.clone()?;
        task.step.as_ref().is_some_and(|at| at.name.contains(step)).then_some(task)
    })
}

#[test]
fn a_task_is_told_with_its_step_and_deadline_also_after_a_restart_of_the_agent() {
    let server = Server::start_with(&["--public-url", "https://ci.example.com"]);
    let mut agent = Agent::start(&server);
    let dir = test_dir();
    let go = dir.path().join("go");
    agent.wait_for_state(State::Idle);
    let pipeline = server.admin.submit(&config(&[&run("true"), &until(&go)]));
    let task = task_at(&agent, "begun");
    let job = server.admin.only_job(&pipeline);
    assert_eq!(task.job.as_deref(), Some("job"));
    assert_eq!(task.class.as_deref(), Some(CLASS));
    assert_eq!(task.url, Some(format!("https://ci.example.com/jobs/{}", job.id)));
    assert!(task.deadline_ms.unwrap() > task.since_ms, "{task:?}");
    assert_eq!(task.usual_ms, None);
    let status = agent.status().unwrap();
    assert_eq!(status.slots[0].class.as_deref(), Some(CLASS));
    assert!(status.health.iter().any(|check| check.name == "disk"), "{status:?}");
    assert!(status.health.iter().all(|check| check.level != HealthLevel::Bad), "{status:?}");
    assert_eq!(status.update, None);

    agent.kill();
    agent.start_again();
    let adopted = task_at(&agent, "begun");
    let named = |task: &Task| (task.id.clone(), task.project.clone(), task.url.clone());
    assert_eq!(named(&adopted), named(&task));
    assert_eq!(adopted.since_ms, task.since_ms, "its time is that of its claim");
    std::fs::write(&go, "").unwrap();
    server.admin.wait(&pipeline);
    let recent = agent.wait_for_state(State::Idle).recent;
    assert_eq!((recent.len(), recent[0].outcome), (1, Some(Outcome::Success)));
    assert_eq!((&recent[0].id, recent[0].started_ms), (&task.id, task.since_ms));

    // What is written down is what the next agent goes on with.
    let history = agent.state().join("history.json");
    wait_for("the history", || history.exists().then_some(()));
    agent.kill();
    agent.start_again();
    assert_eq!(agent.wait_for_state(State::Idle).recent, recent);
    std::fs::remove_file(&go).unwrap();
    let again = server.admin.submit(&config(&[&until(&go)]));
    let usual_ms = task_at(&agent, "begun").usual_ms.unwrap();
    assert_eq!(usual_ms, recent[0].ended_ms - recent[0].started_ms);
    std::fs::write(&go, "").unwrap();
    server.admin.wait(&again);
}

#[test]
fn a_task_that_ended_while_no_agent_ran_is_among_the_last_ones() {
    let server = Server::start();
    let mut agent = Agent::start(&server);
    let dir = test_dir();
    let go = dir.path().join("go");
    let pipeline = server.admin.submit(&config(&[&until(&go)]));
    let task = task_at(&agent, "begun");
    agent.kill();
    std::fs::write(&go, "").unwrap();
    server.admin.wait(&pipeline);
    wait_for("the end of the task agent", || agent.task_agents().is_empty().then_some(()));
    agent.start_again();
    let recent = agent.wait_for_state(State::Idle).recent;
    assert_eq!((&recent[0].id, recent[0].outcome), (&task.id, Some(Outcome::Success)));
}

#[test]
fn a_canceled_task_ends_as_canceled_with_the_reason_in_its_log() {
    let server = Server::start();
    let agent = Agent::start(&server);
    let pipeline = server.admin.submit(&config(&[&run("echo begun; sleep 1000")]));
    let task = task_at(&agent, "begun");
    let id = task.id.unwrap();
    let unknown = agent.ask(&["cancel", "0193c1f0"]);
    let said = String::from_utf8_lossy(&unknown.stderr);
    assert!(!unknown.status.success() && said.contains("no such task runs here"), "{said}");
    agent.ask_well(&["cancel", id.as_str(), "--reason", "it hangs again"]);
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::Canceled);
    assert!(job.message.clone().unwrap_or_default().contains("it hangs again"), "{job:?}");
    let output = server.admin.output(&job);
    assert!(output.contains("it hangs again"), "{output}");
    let status = agent.wait_for_state(State::Idle);
    assert_eq!(status.recent[0].outcome, Some(Outcome::Canceled));
    let log = agent.log();
    let audited = format!("/v1/tasks/{id}/cancel");
    let line = log.lines().find(|line| line.contains("audit") && line.contains(&audited));
    assert!(line.is_some_and(|line| line.contains("202")), "{log}");
    let next = server.admin.run(&config(&[&run("true")]));
    assert_outcome(&server.admin, &next, Outcome::Success);
}

#[test]
fn what_a_running_task_says_is_read_by_operators_alone_and_followed_to_its_end() {
    let server = Server::start();
    let agent = Agent::start(&server);
    let dir = test_dir();
    let go = dir.path().join("go");
    let pipeline = server.admin.submit(&config(&[&run("echo first"), &until(&go)]));
    let id = task_at(&agent, "begun").id.unwrap();
    let socket = agent.socket();
    let path = format!("/v1/tasks/{id}/log");
    let read = |path: &str| http_get(UnixStream::connect(&socket).unwrap(), path);
    let text = wait_for("its output", || {
        Some(read(&path)).filter(|text| text.contains("first\n") && text.contains("begun\n"))
    });
    assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("== step "), "{text}");
    #[cfg(target_os = "linux")]
    if is_root() {
        let text = crate::support::http_get_as(65_533, socket.clone(), path.clone().leak());
        assert!(text.starts_with("HTTP/1.1 403 ") && !text.contains("begun"), "{text}");
        let log = agent.log();
        let refused = |line: &&str| line.contains("audit: refused") && line.contains(&path);
        assert_eq!(log.lines().filter(refused).count(), 1, "{log}");
    }
    let (followed, stream) = (format!("{path}?follow=true"), UnixStream::connect(&socket).unwrap());
    let follower = std::thread::spawn(move || http_get(stream, &followed));
    std::fs::write(&go, "").unwrap();
    server.admin.wait(&pipeline);
    let text = follower.join().unwrap();
    assert!(text.contains("first\n") && text.contains("begun\n"), "{text}");
    // The end of it stays, for the last tasks.
    let status = agent.wait_for_state(State::Idle);
    assert!(status.recent[0].has_log, "{status:?}");
    let text = wait_for("what it said, kept", || {
        Some(read(&path)).filter(|text| text.starts_with("HTTP/1.1 200 "))
    });
    assert!(text.contains("first\n") && text.contains("begun\n"), "{text}");
    let said = agent.ask_well(&["logs", "--task", id.as_str()]);
    assert!(said.contains("first\n") && said.contains("begun\n"), "{said}");
    assert!(read("/v1/tasks/0193c1f0/log").starts_with("HTTP/1.1 404 "));
    assert!(read("/v1/tasks/..%2Fhistory/log").starts_with("HTTP/1.1 404 "));
}

/// Asks for everything in a list of methods and paths, and says what was answered.
const ASK_ALL: &str = r#"
use IO::Socket::UNIX;
while (my $line = <STDIN>) {
    my ($method, $path) = split ' ', $line;
    my $socket = IO::Socket::UNIX->new(Type => SOCK_STREAM, Peer => $ARGV[0]);
    unless ($socket) { print "$method $path no connection: $!\n"; next; }
    print $socket "$method $path HTTP/1.1\r\nhost: agent\r\nconnection: close\r\n"
        . "content-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    $socket->flush;
    my $answer = <$socket>;
    $answer =~ s/\s+$//;
    print "$method $path $answer\n";
}
"#;

#[test]
fn a_step_that_tries_every_verb_is_refused_and_each_try_is_in_the_audit_log() {
    if !can_be_root("for a user of the slot's own") {
        return;
    }
    let user = SlotUser::create();
    let server = Server::start();
    let agent = Agent::start_with(&server, &user.options());
    let dir = test_dir();
    let (program, list) = (dir.path().join("ask.pl"), dir.path().join("list"));
    std::fs::write(&program, ASK_ALL).unwrap();
    let script = format!(
        "until test -e {list}; do sleep 0.05; done\nid -u\nperl {program} {socket} < {list}",
        list = list.display(),
        program = program.display(),
        socket = agent.socket().display()
    );
    let pipeline = server.admin.submit(&config(&[&run(&script)]));
    let id = task_at(&agent, "until").id.unwrap();
    let description = std::fs::read_to_string(checkout().join("docs/local-api.json")).unwrap();
    let description: serde_json::Value = serde_json::from_str(&description).unwrap();
    let paths = description["paths"].as_object().unwrap().keys();
    let paths = paths.map(|path| path.replace("{id}", id.as_str()));
    let mut tries = Vec::new();
    for path in paths.chain(["/v1/nothing".to_owned(), "/".to_owned()]) {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            tries.push(format!("{method} {path}"));
        }
    }
    assert!(tries.len() >= 8 * 8, "{tries:?}");
    let draft = dir.path().join("draft");
    std::fs::write(&draft, tries.join("\n") + "\n").unwrap();
    std::fs::rename(&draft, &list).unwrap();
    server.admin.wait(&pipeline);
    let job = server.admin.only_job(&pipeline);
    assert_outcome(&server.admin, &job, Outcome::Success);
    let output = server.admin.output(&job);
    assert!(output.starts_with(&format!("{}\n", user.uid())), "{output}");
    let log = agent.log();
    for each in &tries {
        assert!(output.contains(&format!("{each} HTTP/1.1 403 Forbidden")), "{each}: {output}");
        let (method, path) = each.split_once(' ').unwrap();
        let (uid, method) = (format!("uid={}", user.uid()), format!("method=\"{method}\""));
        let path = format!("path=\"{path}\"");
        let is_it = |line: &&str| {
            [" WARN ", "audit: refused", &uid, &method, &path].iter().all(|it| line.contains(it))
        };
        assert_eq!(log.lines().filter(is_it).count(), 1, "{each}: {log}");
    }
    assert_eq!(agent.wait_for_state(State::Idle).holds, []);
}

#[test]
fn a_hundred_clients_of_which_some_never_read_hold_nothing_up_and_take_little_memory() {
    let server = Server::start();
    let mut agent = Agent::start(&server);
    // The median time of a task, from its submission to its end.
    let run_some = || {
        let mut times = [std::time::Duration::ZERO; 15];
        for time in &mut times {
            let start = std::time::Instant::now();
            let job = server.admin.run(&config(&[&run("true"), &run("true")]));
            assert_outcome(&server.admin, &job, Outcome::Success);
            *time = start.elapsed();
        }
        times.sort_unstable();
        times[times.len() / 2]
    };
    // What tasks take by themselves is taken by now.
    run_some();
    let alone = run_some();
    let pid = agent.process().pid();
    let before = resident_bytes(pid);
    let path = agent.socket();
    let mut clients = Vec::new();
    let mut readers = Vec::new();
    for number in 0..100 {
        let mut client = UnixStream::connect(&path).unwrap();
        let request = "GET /v1/events HTTP/1.1\r\nhost: agent\r\n\r\n";
        client.write_all(request.as_bytes()).unwrap();
        if number < 20 {
            clients.push(client);
            continue;
        }
        let mut own = client.try_clone().unwrap();
        readers.push(std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            let mut count = 0;
            while let Ok(bytes @ 1..) = own.read(&mut buffer) {
                count += bytes;
            }
            count
        }));
        clients.push(client);
    }
    let watched = run_some();
    let after = resident_bytes(pid);
    let recent = agent.wait_for_state(State::Idle).recent;
    assert_eq!(recent.len(), 45);
    for client in &clients {
        client.shutdown(std::net::Shutdown::Both).unwrap();
    }
    for reader in readers {
        assert!(reader.join().unwrap() > 10_000, "a client was told little");
    }
    eprintln!("resident memory: {before} bytes without clients, {after} with them");
    assert!(after < before + 5_000_000, "{before} bytes without clients, {after} with them");
    // Measured in one run, and far from what noise does: an agent that waits for a client that
    // never reads would wait for ever.
    eprintln!("a task takes {alone:?} without clients, {watched:?} with them");
    assert!(watched < alone * 3 + std::time::Duration::from_secs(1), "{alone:?}, {watched:?}");
}
