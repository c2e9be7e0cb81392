//! A server: its connections, their limits and their ends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use russh::Disconnect;
use russh::server::{Config, Handle, RunningSession, run_stream};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::config::Settings;
use crate::connection::{Answers, Channels};
use crate::forward::Listeners;
use crate::gate::{Gate, Transport};
use crate::session::Host;

/// Connections at once.
const MAX_CONNECTIONS: usize = 64;

/// Questions without an answer after which a client has gone.
const MAX_UNANSWERED: u32 = 3;

/// Time for a client to take the reason why its connection ends.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// Time for a client that is one too many to take that word.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection of a person who has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Number of it, from 1.
    pub number: u64,
    /// Address that it came from, as far as it is known.
    pub from: String,
    /// Fingerprint of the key that logged in.
    pub key: String,
    /// Bytes that the person sent, as they crossed the network.
    pub bytes_in: u64,
    /// Bytes that the person was sent.
    pub bytes_out: u64,
}

/// The end of all connections, with what is said at it.
#[derive(Clone, Debug)]
struct Ending(String);

/// A server. Clones share everything.
#[derive(Clone)]
pub struct SshServer(Arc<Shared>);

struct Shared {
    settings: Arc<Settings>,
    protocol: Arc<Config>,
    host: Arc<dyn Host>,
    room: Arc<Semaphore>,
    next: AtomicU64,
    connected: watch::Sender<u32>,
    terminals: watch::Sender<u64>,
    ending: watch::Sender<Option<Ending>>,
    open: Mutex<Vec<Weak<Channels>>>,
}

impl std::fmt::Debug for SshServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SshServer").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl SshServer {
    /// Makes a server, which does nothing until it gets a stream.
    #[must_use]
    pub fn new(settings: Settings, host: Arc<dyn Host>) -> Self {
        Self(Arc::new(Shared {
            protocol: settings.protocol(),
            settings: Arc::new(settings),
            host,
            room: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            next: AtomicU64::new(1),
            connected: watch::Sender::new(0),
            terminals: watch::Sender::new(0),
            ending: watch::Sender::new(None),
            open: Mutex::default(),
        }))
    }

    /// Returns the number of people who are connected, as it changes.
    #[must_use]
    pub fn connected(&self) -> watch::Receiver<u32> {
        self.0.connected.subscribe()
    }

    /// Returns the number of terminals that have been opened so far, as it changes: only now can a
    /// person be told something, who may have been connected for long.
    #[must_use]
    pub fn terminals(&self) -> watch::Receiver<u64> {
        self.0.terminals.subscribe()
    }

    /// Shows a line on every connected terminal.
    pub fn tell(&self, line: &str) {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|channels| {
            channels.upgrade().is_some_and(|channels| {
                channels.tell(line);
                true
            })
        });
    }

    /// Ends every connection, and refuses new ones. Returns when they have ended.
    pub async fn end(&self, reason: &str) {
        self.0.ending.send_replace(Some(Ending(reason.to_owned())));
        // Each ends within the time for goodbyes.
        let all = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX);
        drop(self.0.room.acquire_many(all).await);
    }

    /// Serves one connection until it has ended. `from` is its other end, for reports.
    pub async fn serve<S>(&self, mut stream: S, from: String)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Ok(_room) = self.0.room.try_acquire() else {
            // A line before the version is for people (RFC 4253, 4.2).
            let refusal = stream.write_all(b"There are too many connections to this task.\r\n");
            drop(timeout(REFUSAL_TIMEOUT, refusal).await);
            return;
        };
        let mut ending = self.0.ending.subscribe();
        if ending.borrow_and_update().is_some() {
            return;
        }
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let gate = Arc::new(Gate::new());
        let (logged_in, key) = watch::channel(None);
        let channels = Arc::new(Channels::new());
        let answers = Answers {
            settings: Arc::clone(&self.0.settings),
            host: Arc::clone(&self.0.host),
            gate: Arc::clone(&gate),
            channels: Arc::clone(&channels),
            listeners: Listeners::default(),
            number,
            logged_in,
            terminals: self.0.terminals.clone(),
        };
        let deadline = Instant::now() + self.0.settings.login_timeout;
        let transport = Transport::new(stream, Arc::clone(&gate));
        let protocol = Arc::clone(&self.0.protocol);
        let greeting = tokio::time::timeout_at(deadline, run_stream(protocol, transport, answers));
        let greeted = tokio::select! {
            greeted = greeting => greeted,
            _ = wait_for_ending(&mut ending) => return,
        };
        let session = match greeted {
            Ok(Ok(session)) => session,
            Ok(Err(error)) => {
                tracing::debug!(from, "a client of SSH was not understood: {error}");
                return;
            }
            // It said nothing in time.
            Err(_) => return,
        };
        {
            let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.retain(|channels| channels.strong_count() > 0);
            open.push(Arc::downgrade(&channels));
        }
        let shared = &self.0;
        let mut watched = Watched { shared, number, gate, key, from, deadline, connection: None };
        watched.run(session, ending).await;
        channels.close();
    }
}

/// A connection that is watched until it ends.
struct Watched<'a> {
    shared: &'a Shared,
    number: u64,
    gate: Arc<Gate>,
    key: watch::Receiver<Option<String>>,
    from: String,
    deadline: Instant,
    connection: Option<Connection>,
}

impl Watched<'_> {
    async fn run(
        &mut self,
        mut session: RunningSession<Answers>,
        mut ending: watch::Receiver<Option<Ending>>,
    ) {
        let handle = session.handle();
        let interval = self.shared.settings.keepalive_interval;
        let mut can_log_in = true;
        loop {
            let look =
                if self.connection.is_some() { Instant::now() + interval } else { self.deadline };
            tokio::select! {
                ended = &mut session => {
                    if let Err(error) = ended {
                        tracing::debug!(from = self.from, "a connection of SSH ended: {error}");
                    }
                    return;
                }
                changed = self.key.changed(), if can_log_in => {
                    can_log_in = changed.is_ok();
                    self.begin();
                }
                () = sleep_until(look) => {
                    // Who is held back cannot answer.
                    let is_gone = self.connection.is_none()
                        || (!self.gate.is_holding() && self.gate.silence() > interval * (MAX_UNANSWERED + 1));
                    if is_gone {
                        self.gate.end();
                    }
                }
                reason = wait_for_ending(&mut ending) => {
                    say_goodbye(&handle, reason).await;
                    drop(timeout(GOODBYE_TIMEOUT, &mut session).await);
                    self.gate.end();
                    return;
                }
            }
        }
    }

    fn begin(&mut self) {
        let Some(key) = self.key.borrow_and_update().clone() else { return };
        if self.connection.is_some() {
            return;
        }
        let (number, from) = (self.number, self.from.clone());
        let connection = Connection { number, from, key, bytes_in: 0, bytes_out: 0 };
        self.shared.host.began(&connection);
        self.connection = Some(connection);
        self.shared.connected.send_modify(|connected| *connected += 1);
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        // However it ended.
        self.gate.end();
        if let Some(connection) = &mut self.connection {
            (connection.bytes_in, connection.bytes_out) = self.gate.bytes();
            self.shared.host.ended(connection);
            self.shared.connected.send_modify(|connected| *connected -= 1);
        }
    }
}

async fn say_goodbye(handle: &Handle, reason: String) {
    let goodbye = handle.disconnect(Disconnect::ByApplication, reason, "en".to_owned());
    // A client that takes nothing is cut off without it.
    drop(timeout(GOODBYE_TIMEOUT, goodbye).await);
}

/// Returns the reason of the end once there is one.
async fn wait_for_ending(ending: &mut watch::Receiver<Option<Ending>>) -> String {
    let reason = |end: &Option<Ending>| end.as_ref().map(|Ending(reason)| reason.clone());
    match ending.wait_for(Option::is_some).await.map(|end| reason(&end)) {
        Ok(reason) => reason.unwrap_or_default(),
        // The server lives as long as its connections, so this does not happen.
        Err(_) => std::future::pending().await,
    }
}
