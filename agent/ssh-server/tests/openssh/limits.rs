//! Many clients, and clients that misbehave.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use russet_ssh_server::Settings;

use super::support::{serve, serve_with, succeed, text, wait_until};

fn impatient() -> super::support::Serving {
    serve_with(&[("key", &["ed25519"])], |settings| Settings {
        login_timeout: Duration::from_millis(500),
        keepalive_interval: Duration::from_millis(100),
        ..settings
    })
}

#[test]
fn fifty_people_are_served_at_once() {
    let serving = serve();
    let children: Vec<_> = (0..50)
        .map(|number| {
            let mut ssh = serving.ssh();
            ssh.args(["127.0.0.1", &format!("cat; echo {number}")]);
            ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    wait_until("all of them", || *serving.server.connected().borrow() == 50);
    for (number, child) in children.into_iter().enumerate() {
        assert_eq!(succeed(&child.wait_with_output().unwrap()), format!("{number}\n"));
    }
    wait_until("their ends", || *serving.server.connected().borrow() == 0);
}

#[test]
fn whoever_does_not_log_in_is_cut_off() {
    let serving = impatient();
    let mut silent = TcpStream::connect(("127.0.0.1", serving.port)).unwrap();
    let mut half = TcpStream::connect(("127.0.0.1", serving.port)).unwrap();
    half.write_all(b"SSH-2.0-half\r\n").unwrap();
    for stream in [&mut silent, &mut half] {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut said = Vec::new();
        // Its end, or a reset: no timeout.
        let ended = stream.read_to_end(&mut said);
        assert!(ended.map_err(|error| error.kind()) != Err(std::io::ErrorKind::WouldBlock));
        assert!(said.starts_with(b"SSH-2.0-Russet\r\n"));
    }
}

#[test]
fn a_client_that_vanishes_is_missed() {
    let serving = impatient();
    let mut ssh = serving.ssh();
    let mut client = ssh
        .args(["127.0.0.1", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    wait_until("the session", || *serving.server.connected().borrow() == 1);
    // Still alive after several questions, since it answers them.
    client.stdin.as_mut().unwrap().write_all(b"x").unwrap();
    let mut byte = [0];
    client.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
    let children =
        std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children", pid = client.id()));
    let pid: i32 = children.unwrap().trim().parse().unwrap();
    kill(Pid::from_raw(pid), Signal::SIGSTOP).unwrap();
    wait_until("that it is missed", || *serving.server.connected().borrow() == 0);
    kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    client.wait().unwrap();
}

#[test]
fn the_end_of_the_task_is_told_and_ends_every_session() {
    let serving = serve();
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let mut ssh = serving.ssh();
            ssh.args(["127.0.0.1", "cat"]).stdin(Stdio::piped()).stderr(Stdio::piped());
            ssh.spawn().unwrap()
        })
        .collect();
    wait_until("the sessions", || *serving.server.connected().borrow() == 3);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(serving.server.end("the task ends"));
    for client in clients {
        let output = client.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(255));
        assert!(text(&output.stderr).contains("the task ends"), "{}", text(&output.stderr));
    }
    assert_eq!(*serving.server.connected().borrow(), 0);
    assert!(!serving.run("true").status.success(), "nobody gets in any more");
    assert_eq!(serving.host.ended.lock().unwrap().len(), 3);
}
