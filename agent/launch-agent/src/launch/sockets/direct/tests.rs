use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};

use super::{PortRange, start_direct_port};
use russet_platform::clock::Clock;
use russet_platform::users;

const LIMIT: Duration = Duration::from_secs(30);

struct Slot {
    dir: tempfile::TempDir,
    is_agent: Arc<AtomicBool>,
    port: u16,
    listening: tokio::task::JoinHandle<()>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Slot {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // Free a moment ago, and the range is this one port.
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let range = PortRange { address: Ipv4Addr::LOCALHOST.into(), ports: port..=port };
        let is_agent = Arc::new(AtomicBool::new(true));
        let asked = Arc::clone(&is_agent);
        let known = Arc::new(move |pid| pid == std::process::id() && asked.load(Ordering::Relaxed));
        let (path, user) = (dir.path().join("ssh.sock"), users::calling_user());
        let listening = start_direct_port(&path, 1, &user, range, known, &Clock::system()).unwrap();
        Self { dir, is_agent, port, listening }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("ssh.sock")
    }

    async fn dial(&self) -> UnixStream {
        UnixStream::connect(self.path()).await.unwrap()
    }

    async fn is_open(&self) -> bool {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_ok()
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, what).await.expect("it took too long")
}

async fn read_line(stream: &mut UnixStream) -> String {
    let mut line = Vec::new();
    while line.last() != Some(&b'\n') {
        line.push(soon(stream.read_u8()).await.unwrap());
    }
    String::from_utf8(line).unwrap()
}

#[tokio::test]
async fn the_port_is_open_while_a_task_waits_and_joins_each_person_to_it() {
    let slot = Slot::start().await;
    assert!(!slot.is_open().await, "nobody waits yet");
    let mut agent = slot.dial().await;
    let hello = read_line(&mut agent).await;
    assert_eq!(hello, format!("{{\"port\":{}}}\n", slot.port));
    let mut person = TcpStream::connect((Ipv4Addr::LOCALHOST, slot.port)).await.unwrap();
    let from = person.local_addr().unwrap();
    person.write_all(b"SSH-2.0-client\r\n").await.unwrap();
    let opened = read_line(&mut agent).await;
    assert!(opened.contains(&format!("\"from\":\"{from}\"")), "{opened}");
    let mut bytes = [0; 16];
    soon(agent.read_exact(&mut bytes)).await.unwrap();
    assert_eq!(&bytes, b"SSH-2.0-client\r\n");
    agent.write_all(b"back").await.unwrap();
    let mut back = [0; 4];
    soon(person.read_exact(&mut back)).await.unwrap();
    // The next one waits for its own connection of the task agent.
    let mut second = TcpStream::connect((Ipv4Addr::LOCALHOST, slot.port)).await.unwrap();
    let mut another = slot.dial().await;
    read_line(&mut another).await;
    read_line(&mut another).await;
    another.write_all(b"yours").await.unwrap();
    let mut yours = [0; 5];
    soon(second.read_exact(&mut yours)).await.unwrap();
    drop((agent, another, person, second));
    soon(async {
        while slot.is_open().await {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn only_the_task_agent_opens_the_port() {
    let slot = Slot::start().await;
    slot.is_agent.store(false, Ordering::Relaxed);
    let mut job = slot.dial().await;
    assert_eq!(soon(job.read(&mut [0; 8])).await.unwrap(), 0, "it is hung up on");
    assert!(!slot.is_open().await);
}
