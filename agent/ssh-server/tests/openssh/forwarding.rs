//! Forwarding, which is off unless it is allowed by name.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use russet_ssh_server::{Forwarding, Settings};

use super::support::{Serving, noise, serve, serve_with, succeed, text, wait_until};

fn serve_forwarding(forwarding: Forwarding) -> Serving {
    serve_with(&[("key", &["ed25519"])], |settings| Settings { forwarding, ..settings })
}

/// Answers one connection with what came, and returns its port.
fn echo_once() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        stream.write_all(&bytes).unwrap();
    });
    port
}

#[test]
fn ports_are_forwarded_both_ways_where_that_is_allowed() {
    let serving = serve_forwarding(Forwarding { ports: true, agent: false });
    let bytes = noise(3_000_000);
    let up = serving.path("up");
    std::fs::write(&up, &bytes).unwrap();
    let mut ssh = serving.ssh();
    ssh.args(["-W", &format!("127.0.0.1:{}", echo_once()), "127.0.0.1"]);
    let output = ssh.stdin(std::fs::File::open(&up).unwrap()).output().unwrap();
    assert!(output.stdout == bytes, "{}", text(&output.stderr));
    let mut ssh = serving.ssh();
    ssh.args(["-W", "127.0.0.1:1", "127.0.0.1"]);
    assert!(text(&ssh.output().unwrap().stderr).contains("open failed"));

    let mut ssh = serving.ssh();
    ssh.args(["-o", "ExitOnForwardFailure=yes", "-R", &format!("0:127.0.0.1:{}", echo_once())]);
    let mut client = ssh.args(["-N", "127.0.0.1"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    let mut stderr = client.stderr.take().unwrap();
    while !said.contains('\n') {
        let mut byte = [0];
        assert_eq!(stderr.read(&mut byte).unwrap(), 1, "{said}");
        said.push(char::from(byte[0]));
    }
    let port = said.split_whitespace().nth(2).unwrap().parse::<u16>().unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut sending = stream.try_clone().unwrap();
    let sent = bytes.clone();
    std::thread::spawn(move || {
        sending.write_all(&sent).unwrap();
        sending.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert!(got == bytes);
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(client.id().cast_signed()),
        nix::sys::signal::Signal::SIGTERM,
    )
    .unwrap();
    client.wait().unwrap();
    wait_until("the end of the listener", || TcpStream::connect(("127.0.0.1", port)).is_err());
    // Ports are not the agent.
    let output = serving.ssh().args(["-A", "127.0.0.1", "echo agent=${SSH_AUTH_SOCK-}"]).output();
    assert_eq!(succeed(&output.unwrap()), "agent=\n");
}

#[test]
fn the_persons_agent_is_forwarded_where_that_is_allowed() {
    let serving = serve_forwarding(Forwarding { ports: false, agent: true });
    let socket = serving.path("agent").display().to_string();
    let mut agent = Command::new("ssh-agent").args(["-D", "-a", &socket]).spawn().unwrap();
    wait_until("the agent", || std::path::Path::new(&socket).exists());
    let added = Command::new("ssh-add")
        .args(["-q"])
        .arg(serving.path("stranger"))
        .env("SSH_AUTH_SOCK", &socket)
        .status();
    assert!(added.unwrap().success());
    // The first value of an option counts, and `IdentityAgent` is among them.
    let (none, used) = ("IdentityAgent=none", format!("IdentityAgent={socket}"));
    let words: Vec<_> = serving
        .ssh()
        .get_args()
        .map(|word| if word == none { used.clone().into() } else { word.to_owned() })
        .collect();
    let output = Command::new("timeout")
        .args(words)
        .args(["-A", "127.0.0.1", "ssh-add -l; ls -A $TMPDIR"])
        .output()
        .unwrap();
    agent.kill().unwrap();
    agent.wait().unwrap();
    let said = succeed(&output);
    assert!(said.contains("stranger") && said.contains(".ssh-agent-"), "{said}");
    let left = || std::fs::read_dir(serving.path("tmp")).unwrap().count();
    wait_until("the end of the socket", || left() == 0);
    let output = serving.ssh().args(["-W", "127.0.0.1:1", "127.0.0.1"]).output().unwrap();
    assert!(text(&output.stderr).contains("administratively prohibited"));
}

#[test]
fn forwarding_is_refused() {
    let serving = serve();
    let port = serving.port;
    let said = |options: &[&str]| {
        let output = serving.ssh().args(options).output().unwrap();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let (is_done, _, errors) = said(&["-W", &format!("127.0.0.1:{port}"), "127.0.0.1"]);
    assert!(!is_done && errors.contains("administratively prohibited"), "{errors}");
    let remote = ["-o", "ExitOnForwardFailure=yes", "-R", "0:127.0.0.1:1", "127.0.0.1", "true"];
    let (is_done, _, errors) = said(&remote);
    assert!(!is_done && errors.contains("remote port forwarding failed"), "{errors}");
    let (is_done, output, errors) = said(&["-A", "127.0.0.1", "echo agent=${SSH_AUTH_SOCK-}"]);
    assert!(is_done && output == "agent=\n", "{output}{errors}");
    let socket = serving.path("socket").display().to_string();
    let stream =
        ["-o", "ExitOnForwardFailure=yes", "-R", &format!("{socket}:1"), "127.0.0.1", "true"];
    let (is_done, _, errors) = said(&stream);
    assert!(!is_done, "{errors}");
    let mut ssh = serving.ssh();
    ssh.env("DISPLAY", ":9").args(["-v", "-X", "127.0.0.1", "echo display=${DISPLAY-}"]);
    let output = ssh.output().unwrap();
    assert_eq!(succeed(&output), "display=\n", "{}", text(&output.stderr));
}
