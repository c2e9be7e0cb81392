//! A control plane under pressure, as a process: what a connection costs it, a full disk, its log.

use std::fs::{File, Permissions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::admin::assert_outcome;
use crate::support::disk::Disk;
use crate::support::{Agent, CLASS, Process, Server, config, run, russet, test_dir, wait_for};
use russet_protocol::admin::ServerReady;
use russet_protocol::outcome::Outcome;
use serde_json::json;

/// Bytes that one connection may cost the server.
const MAX_CONNECTION_BYTES: u64 = 40_000;

/// The resident memory of a process, in bytes.
fn resident(pid: nix::unistd::Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn open_files(pid: nix::unistd::Pid) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "reads /proc")]
fn a_connection_costs_the_server_its_buffers_and_no_table_of_routes() {
    let server = Server::start_alone("it measures one process", &[]);
    let pid = server.pid();
    let address = server.url().strip_prefix("http://").unwrap().to_owned();
    let (before, files) = (resident(pid), open_files(pid));
    let connections: Vec<TcpStream> = (0..400)
        .map(|_| {
            let mut connection = TcpStream::connect(&address).unwrap();
            // The table of routes would be copied by now; the head never ends.
            connection.write_all(b"GET / HTTP/1.1\r\n").unwrap();
            connection
        })
        .collect();
    wait_for("the server to accept all", || (open_files(pid) >= files + 400).then_some(()));
    server.admin.get::<serde_json::Value>("/api/v3/pipelines");
    let each = resident(pid).saturating_sub(before) / connections.len() as u64;
    assert!(each < MAX_CONNECTION_BYTES, "{each} bytes for each connection");
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "reads /proc")]
fn the_number_of_open_files_is_raised_to_what_the_system_allows() {
    let dir = test_dir();
    let child = Command::new("sh")
        .args(["-c", "ulimit -Sn 256; exec \"$0\" server --ready-stdout --listen 127.0.0.1:0 --data-dir \"$1\""])
        .arg(russet())
        .arg(dir.path().join("data"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut process = Process(child);
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let _ready: ServerReady = serde_json::from_str(&line).unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let mut numbers = line.split_whitespace().filter_map(|word| word.parse::<u64>().ok());
    let (soft, hard) = (numbers.next().unwrap(), numbers.next().unwrap_or(u64::MAX));
    assert_eq!(soft, hard.min(65_536));
}

/// Takes all room on a disk.
fn fill(path: &Path) {
    let mut file = File::create(path).unwrap();
    let piece = vec![0; 1 << 20];
    while file.write_all(&piece).is_ok() {}
    while file.write_all(&piece[..1024]).is_ok() {}
}

#[test]
fn on_a_full_disk_submits_are_refused_and_what_runs_ends_whole_when_there_is_room() {
    let Some(disk) = Disk::create() else { return };
    let dir = test_dir();
    let log = dir.path().join("log/server.log");
    std::fs::create_dir(log.parent().unwrap()).unwrap();
    let options = ["--log-file", log.to_str().unwrap(), "--log-level", "info"];
    let server = Server::start_in(&disk.path().join("data"), &options);
    let _agent = Agent::start(&server);
    let go = dir.path().join("go");
    let script = format!(
        "echo begun; until test -e {}; do sleep 0.05; done; head -c 2000000 /dev/zero | base64; \
         echo whole",
        go.display()
    );
    let pipeline = server.admin.submit(&config(&[&run(&script)]));
    server.admin.wait_for_output(&pipeline, "begun");
    let filler = disk.path().join("filler");
    fill(&filler);
    std::fs::write(&go, "").unwrap();
    let body = json!({"project": "test/full", "config": config(&[&run("true")])});
    let (status, answer) =
        server.admin.send(reqwest::Method::POST, "/api/v3/pipelines", Some(body)).unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(status == 507 && answer.contains("make room"), "{status} {answer}");
    let is_full = || std::fs::read_to_string(&log).unwrap().contains("data directory is full");
    wait_for("the task to meet the full disk", || is_full().then_some(()));
    std::fs::remove_file(&filler).unwrap();
    let job = server.admin.only_job(&server.admin.wait(&pipeline));
    assert_outcome(&server.admin, &job, Outcome::Success);
    assert!(server.admin.output(&job).ends_with("whole\n"));
}

#[test]
fn a_server_on_postgresql_that_is_killed_goes_on_with_the_task_that_runs() {
    let Some(database) = russet_test_postgres::database() else { return };
    let dir = test_dir();
    let file = dir.path().join("database-url");
    std::fs::write(&file, database.url()).unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let mut server = Server::start_alone(
        "it has a database of its own",
        &["--database-file", file.to_str().unwrap()],
    );
    let _agent = Agent::start(&server);
    let go = dir.path().join("go");
    let script =
        format!("echo begun; until test -e {}; do sleep 0.05; done; echo whole", go.display());
    let pipeline = server.admin.submit(&config(&[&run(&script)]));
    server.admin.wait_for_output(&pipeline, "begun");
    server.kill();
    server.start_again();
    std::fs::write(&go, "").unwrap();
    let job = server.admin.only_job(&server.admin.wait(&pipeline));
    assert_outcome(&server.admin, &job, Outcome::Success);
    assert!(server.admin.output(&job).ends_with("whole\n"));
    assert_eq!(database.sql("SELECT outcome FROM tasks").trim(), "success");
}

#[test]
fn the_log_of_a_server_is_a_file_that_is_rotated() {
    let dir = test_dir();
    let log = dir.path().join("server.log");
    let size = ["--log-max-size", "4096", "--log-files", "2"];
    let json = ["--log-format", "json", "--log-level", "info"];
    let options = [&["--log-file", log.to_str().unwrap()][..], &size, &json].concat();
    let server = Server::start_alone("it names the file of one log", &options);
    server.admin.class_token(CLASS);
    for _ in 0..60 {
        server.admin.submit(&config(&[&run("true")]));
    }
    let rotated = dir.path().join("server.log.1");
    wait_for("a second file", || rotated.exists().then_some(()));
    for line in std::fs::read_to_string(&rotated).unwrap().lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
    }
}
