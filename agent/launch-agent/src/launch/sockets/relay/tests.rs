use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixStream};

use super::{MAX_CONNECTIONS, RelayTarget, start_relay};
use crate::testing::tls_acceptor;
use russet_platform::clock::Clock;
use russet_platform::users;

/// A certificate for `ci.russet.test`, its key and the authority that signed it, made with
/// `tests/fixtures/relay/make.sh`.
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/relay");

const LIMIT: Duration = Duration::from_secs(30);

struct Slot {
    dir: tempfile::TempDir,
    relay: tokio::task::JoinHandle<()>,
}

impl Slot {
    fn start(port: u16) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let relay = relay(&dir.path().join("relay.sock"), port);
        Self { dir, relay }
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("relay.sock")
    }

    async fn dial(&self) -> UnixStream {
        UnixStream::connect(self.socket()).await.unwrap()
    }
}

fn relay(path: &Path, port: u16) -> tokio::task::JoinHandle<()> {
    let target = RelayTarget { host: "127.0.0.1".to_owned(), port };
    start_relay(path, 1, &users::calling_user(), target, &Clock::system()).unwrap()
}

async fn server() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, what).await.expect("it took too long")
}

#[test]
fn the_target_is_the_host_and_port_of_the_control_plane() {
    for (url, host, port) in [
        ("https://ci.example.com", "ci.example.com", 443),
        ("http://10.0.0.5:8080", "10.0.0.5", 8080),
        ("https://[fd00::1]:8443", "fd00::1", 8443),
    ] {
        assert_eq!(
            RelayTarget::of(url),
            Some(RelayTarget { host: host.to_owned(), port }),
            "{url}"
        );
    }
    assert_eq!(RelayTarget::of("nonsense"), None);
}

#[tokio::test]
async fn a_side_that_has_said_everything_still_hears_the_answer() {
    let (listener, port) = server().await;
    let slot = Slot::start(port);
    let answering = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        // Ends only if the half-close comes through.
        stream.read_to_end(&mut asked).await.unwrap();
        stream.write_all(&asked.repeat(1000)).await.unwrap();
    });
    let mut stream = slot.dial().await;
    stream.write_all(&[7; 1000]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    assert_eq!(answer, vec![7; 1_000_000]);
    answering.await.unwrap();
}

#[tokio::test]
async fn a_job_can_take_so_many_connections_and_no_more_and_gets_them_back() {
    let (listener, port) = server().await;
    let slot = Slot::start(port);
    let mut open = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        open.push((slot.dial().await, soon(listener.accept()).await.unwrap().0));
    }
    let mut one_too_many = slot.dial().await;
    assert_eq!(soon(one_too_many.read(&mut [0; 1])).await.unwrap_or(0), 0, "it was let in");
    drop(open);
    // Their places come back when the relay has noticed.
    soon(async {
        loop {
            let (mut stream, mut byte) = (slot.dial().await, [0; 1]);
            tokio::select! {
                accepted = listener.accept() => return drop(accepted.unwrap()),
                _ = stream.read(&mut byte) => tokio::task::yield_now().await,
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_away_ends_the_connection_and_not_the_relay() {
    let (listener, port) = server().await;
    drop(listener);
    let slot = Slot::start(port);
    assert_eq!(soon(slot.dial().await.read(&mut [0; 1])).await.unwrap_or(0), 0);
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let _stream = slot.dial().await;
    soon(listener.accept()).await.unwrap();
}

/// A server with TLS that answers every request of a connection with `ok`.
async fn tls_server() -> u16 {
    let acceptor = tls_acceptor(FIXTURES);
    let (listener, port) = server().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = [0; 4096];
                while stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                    if stream.write_all(answer).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn tls_is_the_task_agents_own_and_checks_the_name_of_the_server() {
    let port = tls_server().await;
    let slot = Slot::start(port);
    let ca = PathBuf::from(FIXTURES).join("ca.pem");
    // The name has no address anywhere: the relay alone knows the way.
    let url = "https://ci.russet.test";
    let client = russet_platform::http::api_client(url, Some(&ca), Some(&slot.socket())).unwrap();
    let answer = soon(client.get(url).send()).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "ok");
    // A server that cannot prove the name is not talked to, whoever passes the bytes on.
    let other = "https://other.russet.test";
    let client = russet_platform::http::api_client(other, Some(&ca), Some(&slot.socket())).unwrap();
    let error = soon(client.get(other).send()).await.unwrap_err();
    assert!(format!("{error:?}").contains("NotValidForName"), "{error:?}");
    // Nor one whose authority is not trusted.
    let client = russet_platform::http::api_client(url, None, Some(&slot.socket())).unwrap();
    let error = soon(client.get(url).send()).await.unwrap_err();
    assert!(format!("{error:?}").contains("UnknownIssuer"), "{error:?}");
}

#[tokio::test]
async fn a_client_goes_on_through_the_relay_of_the_next_launch_agent() {
    let port = tls_server().await;
    let slot = Slot::start(port);
    let ca = PathBuf::from(FIXTURES).join("ca.pem");
    let url = "https://ci.russet.test";
    let client = russet_platform::http::api_client(url, Some(&ca), Some(&slot.socket())).unwrap();
    soon(client.get(url).send()).await.unwrap();
    slot.relay.abort();
    let _next = relay(&slot.socket(), port);
    // The connection of before may be tried once more before it is known to be gone.
    soon(async { while client.get(url).send().await.is_err() {} }).await;
}
