//! A proxy that is not ours before several servers: HAProxy with the configuration that the
//! documentation gives.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Process, checkout, http_get, wait_for};

/// The program.
pub const PROGRAM: &str = "haproxy";

/// A running proxy. It ends when this is dropped.
pub struct Balancer {
    _process: Process,
    url: String,
}

impl Balancer {
    /// Starts one before servers at these addresses, with its configuration in a directory.
    pub fn start(dir: &Path, servers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let file = dir.join("haproxy.cfg");
        std::fs::write(&file, configuration(servers)).unwrap();
        // Its standard input is the listening socket: a port that is free now may not be so later.
        let child = Command::new(PROGRAM)
            .args(["-db", "-f"])
            .arg(&file)
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.join("haproxy.log")).unwrap())
            .spawn()
            .unwrap();
        Self { _process: Process(child), url }
    }

    /// Waits until it passes requests on: it looks for servers that were away once a second.
    pub fn wait_until_open(&self) {
        wait_for("the proxy to pass requests on", || {
            let stream = TcpStream::connect(self.url.strip_prefix("http://").unwrap()).ok()?;
            (!http_get(stream, "/").starts_with("HTTP/1.1 503")).then_some(())
        });
    }

    /// Origin.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// The documented configuration, with these servers and the socket that is standard input.
fn configuration(servers: &[&str]) -> String {
    let documented = std::fs::read_to_string(checkout().join("docs/haproxy.cfg")).unwrap();
    assert!(documented.contains("bind :8080\n"), "{documented}");
    let mut text = String::new();
    for line in documented.replace("bind :8080\n", "bind fd@0\n").lines() {
        if let Some(example) = line.strip_prefix("    server one ") {
            let (_, checks) = example.split_once(" check ").unwrap();
            for (number, address) in servers.iter().enumerate() {
                text.push_str(&format!("    server s{number} {address} check {checks}\n"));
            }
        } else if !line.starts_with("    server ") {
            text.push_str(&format!("{line}\n"));
        }
    }
    text
}
