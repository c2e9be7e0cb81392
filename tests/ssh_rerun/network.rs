//! A machine that can only dial out: people reach its tasks through the control plane all the same.
//!
//! It is a network namespace with one link to the host. A rule of its routing drops all that is sent from
//! a port where programs listen, so no connection to it comes about, while those that it dials do.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use russet_protocol::ssh::SshPhase;
use serde_json::json;

use super::{Farm, end_hold};
use crate::support::{AgentOptions, Process, Server, can_be_root, checkout, has_tool};

/// Ports of those who listen in the namespace: below those from which Linux dials (32768 and more).
const LISTENING: &str = "1-32767";

/// Port that the agent opens for SSH, in vain.
const SSH_PORT: u16 = 22_222;

/// Time that a connection which is dropped is given.
const PATIENCE: Duration = Duration::from_secs(2);

/// A network namespace, removed at the end.
struct Namespace {
    name: String,
    /// Address of the host at their link.
    host: Ipv4Addr,
    /// Its own.
    own: Ipv4Addr,
}

impl Namespace {
    fn make() -> Self {
        let mut random = [0_u8; 2];
        getrandom::fill(&mut random).unwrap();
        let number = u16::from_ne_bytes(random);
        // Addresses for tests of networks (RFC 2544), four for each.
        let base = u32::from(Ipv4Addr::new(198, 18, 0, 0)) + u32::from(number & 0x3fff) * 4;
        let (host, own) = (Ipv4Addr::from(base + 1), Ipv4Addr::from(base + 2));
        let space = Self { name: format!("rt{:04x}", number & 0x3fff), host, own };
        let (name, far) = (space.name.as_str(), format!("{}p", space.name));
        ip(&["netns", "add", name]);
        ip(&["link", "add", name, "type", "veth", "peer", "name", &far, "netns", name]);
        ip(&["addr", "add", &format!("{host}/30"), "dev", name]);
        ip(&["link", "set", name, "up"]);
        let inside = |words: &[&str]| ip(&[&["-n", name], words].concat());
        inside(&["link", "set", "lo", "up"]);
        inside(&["addr", "add", &format!("{own}/30"), "dev", &far]);
        inside(&["link", "set", &far, "up"]);
        space
    }

    /// Lets no connection in from now on, neither to the ports of [`LISTENING`] nor to this one.
    fn refuse_incoming(&self, port: u16) {
        for ports in [LISTENING, &port.to_string()] {
            let rule = ["rule", "add", "pref", "10", "ipproto", "tcp", "sport", ports, "blackhole"];
            ip(&[&["-n", self.name.as_str()], &rule[..]].concat());
        }
    }

    /// Program that starts another one in it.
    fn enter(&self) -> Vec<String> {
        vec!["nsenter".to_owned(), format!("--net=/run/netns/{}", self.name), "--".to_owned()]
    }

    /// Starts a program within it that passes on what comes to an address, by dialling.
    fn forward(&self, at: SocketAddr, to: SocketAddr) -> Forward {
        let enter = self.enter();
        Forward::start(Command::new(&enter[0]).args(&enter[1..]).arg("python3"), at, to)
    }
}

/// A program that passes connections on, by dialling.
struct Forward {
    address: SocketAddr,
    _process: Process,
}

impl Forward {
    /// Starts it, by a command that begins with how Python is started.
    fn start(python: &mut Command, at: SocketAddr, to: SocketAddr) -> Self {
        let words = [at.ip().to_string(), at.port().to_string()];
        let mut child = python
            .arg(checkout().join("tests/fixtures/forward.py"))
            .args(words)
            .args([to.ip().to_string(), to.port().to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { address: (at.ip(), line.trim().parse().unwrap()).into(), _process: Process(child) }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        for words in [["link", "del", &self.name], ["netns", "del", &self.name]] {
            Command::new("ip").args(words).output().ok();
        }
    }
}

#[track_caller]
fn ip(words: &[&str]) {
    let output = Command::new("ip").args(words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {words:?}: {said}");
}

#[test]
fn a_task_of_a_machine_that_can_only_dial_out_is_reached_through_the_control_plane() {
    if !can_be_root("to make network namespaces")
        || !["ip", "nsenter", "python3"].into_iter().all(has_tool)
    {
        return;
    }
    let space = Namespace::make();
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let probe = space.forward((space.own, 0).into(), nowhere);
    let reach = || TcpStream::connect_timeout(&probe.address, PATIENCE);
    reach().unwrap();
    space.refuse_incoming(probe.address.port());
    assert!(reach().is_err(), "it can be reached from outside");

    let server = Server::start_alone("its address is the host's", &[]);
    let to = server.url().strip_prefix("http://").unwrap().parse().unwrap();
    let host = Forward::start(&mut Command::new("python3"), (space.host, 0).into(), to);
    let inner = space.forward((Ipv4Addr::LOCALHOST, 0).into(), host.address);
    let ssh = format!(
        "ssh: {{enabled: true, bind: 0.0.0.0, ports: {SSH_PORT}, advertise_addr: {}}}",
        space.own
    );
    let options = AgentOptions {
        url: Some(format!("http://{}", inner.address)),
        runner: vec![ssh],
        within: space.enter(),
        ..AgentOptions::default()
    };
    let farm = Farm::start_agent(server, json!({"description": "", "allow_ssh": true}), options);
    let job = farm.rerun();
    let way = farm.wait_for_phase(&job, SshPhase::Waiting);
    assert_eq!(way.ready.unwrap().address, Some(format!("{}:{SSH_PORT}", space.own)));
    let (code, out, err) = farm.ssh(&job, &["cat note.txt; exit 7"]);
    assert_eq!((code, out.as_str()), (7, "built\n"), "{err}");
    assert!(err.contains("cannot be reached from here; going through the control plane"), "{err}");
    end_hold(&farm, &job);
}
