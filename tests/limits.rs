//! A real server at its limits, and commands that are asked to come back.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use russet_protocol::admin::ServerReady;

use crate::support::{Process, Server, russet, test_dir};

/// Longest wait for an answer.
const LIMIT: Duration = Duration::from_secs(30);

/// A connection with one request on it, as the administrator.
fn ask(address: &str, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let head = format!("GET /api/v3/contexts HTTP/1.1\r\nhost: x\r\ncircle-token: {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// Head of the answer on a connection.
fn head_of(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[track_caller]
fn assert_put_off(head: &str) {
    assert!(head.starts_with("HTTP/1.1 503") && head.contains("retry-after: "), "{head:?}");
}

#[test]
fn a_server_with_few_descriptors_serves_as_many_as_it_can_and_puts_the_others_off() {
    let dir = test_dir();
    let log = dir.path().join("log");
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""])
        .arg(russet())
        .args(["server", "--ready-stdout", "--listen", "127.0.0.1:0", "--log-file"])
        .arg(&log)
        .arg("--data-dir")
        .arg(dir.path().join("data"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let _process = Process(child);
    let ready: ServerReady = serde_json::from_str(&line).unwrap();
    let address = ready.url.strip_prefix("http://").unwrap();
    let token = ready.admin_token.expose();
    let (mut kept, mut refused) = (Vec::new(), 0);
    for _ in 0..100 {
        let mut stream = ask(address, token);
        let head = head_of(&mut stream);
        if head.starts_with("HTTP/1.1 200") {
            kept.push(stream);
        } else {
            assert_put_off(&head);
            refused += 1;
        }
    }
    assert!(kept.len() >= 8 && refused >= 36, "{} are served, {refused} are not", kept.len());
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(said.contains("calls are put off: "), "{said}");
    drop(kept);
    let began = Instant::now();
    while !head_of(&mut ask(address, token)).starts_with("HTTP/1.1 200") {
        assert!(began.elapsed() < LIMIT, "it serves nobody any more");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_server_without_any_descriptor_left_answers_and_goes_on_when_it_has_some() {
    let why = "the test takes its descriptors away";
    let server = Server::start_alone(why, &[]);
    let address = server.url().strip_prefix("http://").unwrap().to_owned();
    let token = server.admin.token();
    let pid = server.pid();
    // One connection is served before, during and after.
    let mut early = ask(&address, token);
    assert!(head_of(&mut early).starts_with("HTTP/1.1 200"));
    let numbers = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let names = numbers.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let highest: u64 = names.map(|name| name.parse().unwrap()).max().unwrap();
    let limit = |soft: u64| {
        let to = format!("--nofile={soft}:");
        let done = Command::new("prlimit").args(["--pid", &pid.to_string(), &to]).status();
        assert!(done.unwrap().success());
    };
    // Holes below the highest are filled first.
    limit(highest + 1);
    let mut kept = Vec::new();
    let began = Instant::now();
    loop {
        let mut stream = ask(&address, token);
        let head = head_of(&mut stream);
        if !head.starts_with("HTTP/1.1 200") {
            assert_put_off(&head);
            break;
        }
        kept.push(stream);
        assert!(began.elapsed() < LIMIT, "it has descriptors without end");
    }
    // Several at once, more than it keeps spares.
    let mut crowd: Vec<TcpStream> = (0..20).map(|_| ask(&address, token)).collect();
    for stream in &mut crowd {
        assert_put_off(&head_of(stream));
    }
    limit(1024);
    drop((crowd, kept));
    let began = Instant::now();
    while !head_of(&mut ask(&address, token)).starts_with("HTTP/1.1 200") {
        assert!(began.elapsed() < LIMIT, "it serves nobody any more");
    }
}

/// Answers one connection after the other with these, each in a thread of its own, and returns the
/// requests and when they came.
fn serve(answers: &'static [&'static str]) -> (String, std::thread::JoinHandle<Vec<Instant>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let mut times = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
                head.push(byte[0]);
            }
            times.push(Instant::now());
            stream.write_all(answer.as_bytes()).unwrap();
        }
        times
    });
    (url, serving)
}

#[test]
fn a_command_waits_as_long_as_the_control_plane_asks() {
    let busy = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\ncontent-length: 0\r\n\
                connection: close\r\n\r\n";
    let cut = "";
    let done = "HTTP/1.1 200 OK\r\ncontent-length: 12\r\nconnection: close\r\n\r\n{\"items\":[]}";
    let answers: &[&str] = Box::leak(Box::new([busy, cut, done]));
    let (url, serving) = serve(answers);
    let out = Command::new(russet())
        .args(["resource-class", "list", "--url", &url])
        .env("RUSSET_TOKEN", "t")
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
    assert_eq!(String::from_utf8_lossy(&out.stderr), "", "a pipe hears nothing of it");
    let times = serving.join().unwrap();
    assert!(times[1] - times[0] >= Duration::from_secs(2));
}
