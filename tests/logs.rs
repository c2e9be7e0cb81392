//! The agent's log: rotated by itself, read across rotations, followed.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::Signal;
use russet_protocol::local::{LogLevel, LogLine};
use russet_protocol::outcome::Outcome;

use crate::support::{
    Agent, AgentOptions, Process, Server, can_be_root, config, run, russet, test_dir, wait_for,
};

/// Log line that precedes the answer to each request.
const ASKED: &str = "audit: asked for on the local API";

/// An agent that logs to a file `log` in a directory of its own.
fn start(server: &Server, dir: &Path, more: &str) -> Agent {
    let log = dir.join("log");
    let logging = format!("logging: {{ file: '{}', {more} }}", log.display());
    let options = AgentOptions { more: vec![logging], ..AgentOptions::default() };
    let agent = Agent::start_with(server, &options);
    wait_for_socket(&agent);
    agent
}

fn socket(agent: &Agent) -> PathBuf {
    agent.state().join("agent.sock")
}

fn wait_for_socket(agent: &Agent) {
    wait_for("an agent that listens", || UnixStream::connect(socket(agent)).ok());
}

/// Asks for something that leaves a line. False: there was no answer.
fn leave_line(socket: &Path) -> bool {
    let Ok(mut stream) = UnixStream::connect(socket) else { return false };
    let request = "POST /v1/resume HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 204")
}

fn logs(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(russet());
    command.args(["agent", "logs", "--file"]).arg(dir.join("log")).args(arguments);
    command
}

fn lines(output: &Output) -> Vec<LogLine> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn asked(lines: &[LogLine]) -> usize {
    lines.iter().filter(|line| line.text.starts_with(ASKED)).count()
}

#[test]
fn rotation_under_load_loses_no_line_also_when_the_agent_is_killed() {
    let server = Server::start();
    let dir = test_dir();
    let mut agent = start(&server, dir.path(), "max_size: 4KiB, max_files: 1000");
    let mut answered = 0;
    for round in 0..3 {
        let files = || std::fs::read_dir(dir.path()).unwrap().count();
        let (socket, before) = (socket(&agent), files());
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let socket = socket.clone();
                std::thread::spawn(move || (0..60).filter(|_| leave_line(&socket)).count())
            })
            .collect();
        if round < 2 {
            // In the middle of it.
            wait_for("another rotation", || (files() > before).then_some(()));
            agent.kill();
        }
        answered += clients.into_iter().map(|client| client.join().unwrap()).sum::<usize>();
        if round < 2 {
            agent.start_again();
            wait_for_socket(&agent);
        }
    }
    assert!(answered >= 240, "{answered}");
    // It is read while nobody runs, too.
    agent.kill();
    let output = logs(dir.path(), &["-n", "100000", "--output", "json"]).output().unwrap();
    let lines = lines(&output);
    // One that was killed may have written a line and not have answered.
    let found = asked(&lines);
    assert!((answered..=answered + 16).contains(&found), "{found} lines of {answered}");
    let times: Vec<_> = lines.iter().filter_map(|line| line.time_ms).collect();
    assert!(times.is_sorted() && times.len() == lines.len());
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let meta = entry.unwrap().metadata().unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o640);
        assert!(meta.len() <= 4096, "{}", meta.len());
    }
}

/// `russet agent logs -f`, and what it has said so far.
struct Following {
    process: Process,
    out: BufReader<std::process::ChildStdout>,
}

impl Following {
    fn start(dir: &Path, arguments: &[&str]) -> Self {
        let mut command = logs(dir, &["-f", "--output", "json"]);
        let mut child: Child =
            command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { process: Process(child), out }
    }

    fn next(&mut self) -> LogLine {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn wait_for_asked(&mut self, count: usize) {
        let mut found = 0;
        while found < count {
            found += usize::from(self.next().text.starts_with(ASKED));
        }
    }
}

#[test]
fn following_goes_on_across_rotations_and_ends_with_ctrl_c() {
    let server = Server::start();
    let dir = test_dir();
    let agent = start(&server, dir.path(), "max_size: 4KiB, max_files: 3");
    assert!(leave_line(&socket(&agent)));
    let mut following = Following::start(dir.path(), &["-n", "1"]);
    // The last line of before; from then on it follows.
    following.wait_for_asked(1);
    for _ in 0..10 {
        for _ in 0..20 {
            assert!(leave_line(&socket(&agent)));
        }
        following.wait_for_asked(20);
    }
    assert!(dir.path().join("log.2").exists());
    following.process.signal(Signal::SIGINT);
    assert_eq!(following.process.wait(), Some(0));
}

#[test]
fn following_ends_with_its_reader_although_nothing_is_written() {
    let server = Server::start();
    let dir = test_dir();
    let _agent = start(&server, dir.path(), "max_size: 1MB");
    let mut following = Following::start(dir.path(), &["-n", "1"]);
    following.next();
    let Following { process, out } = &mut following;
    // The reader goes.
    drop(std::mem::replace(out, BufReader::new(closed_pipe())));
    assert_eq!(process.wait(), Some(0));
}

/// Something else to read from.
fn closed_pipe() -> std::process::ChildStdout {
    Command::new("true").stdout(Stdio::piped()).spawn().unwrap().stdout.take().unwrap()
}

#[test]
fn lines_are_chosen_by_number_level_and_time_in_both_formats() {
    for format in ["text", "json"] {
        let server = Server::start();
        let dir = test_dir();
        let agent = start(&server, dir.path(), &format!("format: {format}, max_size: 4KiB"));
        for _ in 0..60 {
            assert!(leave_line(&socket(&agent)));
        }
        let job = server.admin.submit(&config(&[&run("echo begun; sleep 1000")]));
        server.admin.wait_for_output(&job, "begun");
        for pid in agent.task_agents() {
            let pid = nix::unistd::Pid::from_raw(pid);
            nix::sys::signal::kill(pid, Signal::SIGKILL).ok();
        }
        server.admin.wait(&job);
        let read = |arguments: &[&str]| {
            lines(&logs(dir.path(), &[arguments, &["--output", "json"]].concat()).output().unwrap())
        };
        assert_eq!(read(&["-n", "7"]).len(), 7);
        assert_eq!(read(&[]).len(), 50);
        let warned = read(&["--level", "warn", "--since", "1h"]);
        assert!(!warned.is_empty() && warned.iter().all(|line| line.level >= Some(LogLevel::Warn)));
        assert!(read(&["--since", "1h"]).len() > 60);
        let text = logs(dir.path(), &["-n", "100"]).output().unwrap();
        let text = String::from_utf8(text.stdout).unwrap();
        assert!(text.contains("  INFO audit: ") && text.contains("path="), "{text}");
    }
}

#[test]
fn what_can_not_be_read_is_said_with_the_way_out() {
    let dir = test_dir();
    let said = |output: Output| {
        assert_eq!(output.status.code(), Some(5));
        String::from_utf8(output.stderr).unwrap()
    };
    let none = said(logs(dir.path(), &["-f"]).output().unwrap());
    assert!(none.contains("nothing is logged in") && none.contains("agent start"), "{none}");
    if !can_be_root("for other users") {
        return;
    }
    std::fs::write(dir.path().join("log"), "").unwrap();
    std::fs::set_permissions(dir.path().join("log"), PermissionsExt::from_mode(0o640)).unwrap();
    let program = dir.path().join("russet");
    std::fs::copy(russet(), &program).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = Command::new(&program);
    command.args(["agent", "logs", "--file"]).arg(dir.path().join("log"));
    let denied = said(command.uid(65_534).gid(65_534).output().unwrap());
    assert!(denied.contains("you may not read") && denied.contains("sudo"), "{denied}");
}

#[test]
fn a_log_that_others_could_exchange_is_no_log() {
    let server = Server::start();
    let dir = test_dir();
    std::os::unix::fs::symlink("/etc/hostname", dir.path().join("log")).unwrap();
    let file = dir.path().join("log");
    let more = vec![format!("logging: {{ file: '{}' }}", file.display())];
    let mut agent = Agent::start_with(&server, &AgentOptions { more, ..AgentOptions::default() });
    assert_eq!(agent.process().wait(), Some(3));
    assert!(agent.log().contains("a link, which is not followed"), "{}", agent.log());
}

/// Asks for lines, and leaves the rest of the answer to be read.
fn ask_for_logs(agent: &Agent, query: &str) -> BufReader<UnixStream> {
    let mut stream = UnixStream::connect(socket(agent)).unwrap();
    let request = format!("GET /v1/logs?{query} HTTP/1.1\r\nhost: a\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    BufReader::new(stream)
}

#[test]
fn the_local_api_follows_the_log_and_clients_that_never_read_delay_nobody() {
    let server = Server::start();
    let dir = test_dir();
    let agent = start(&server, dir.path(), "max_size: 4KiB, level: debug");
    let stuck: Vec<_> = (0..40).map(|_| ask_for_logs(&agent, "lines=10000&follow=true")).collect();
    let mut heard = ask_for_logs(&agent, "lines=1&follow=true&level=info");
    for _ in 0..5 {
        let job = server.admin.run(&config(&[&run("true")]));
        assert_eq!(job.outcome, Some(Outcome::Success));
    }
    let mut ended = 0;
    while ended < 5 {
        let mut line = String::new();
        assert!(heard.read_line(&mut line).unwrap() > 0, "it ended after {ended}");
        // Between them are the sizes of chunks.
        if let Ok(line) = serde_json::from_str::<LogLine>(&line) {
            assert!(line.level >= Some(LogLevel::Info));
            ended += usize::from(line.text.starts_with("the task agent has ended"));
        }
    }
    drop(stuck);
}

#[cfg(target_os = "linux")]
#[test]
fn only_those_who_may_do_everything_read_the_log_on_the_socket() {
    let server = Server::start();
    let dir = test_dir();
    let agent = start(&server, dir.path(), "level: info");
    let mut answer = String::new();
    let mut stream = ask_for_logs(&agent, "lines=3");
    stream.read_line(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    if !can_be_root("for other users") {
        return;
    }
    for uid in [65_534, 59_001] {
        let answer = crate::support::http_get_as(uid, socket(&agent), "/v1/logs");
        assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains("audit"), "{answer}");
    }
}
