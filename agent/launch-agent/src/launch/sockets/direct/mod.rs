//! A port of the machine at which people reach a task that was rerun with SSH.
//!
//! The launch agent owns the port, so no job does. The task agent dials the launch agent's socket, and
//! each of its connections there waits for one person; whoever connects to the port is joined to it.
//! What passes is SSH, which the task agent and the person's client have the keys of.
//!
//! Threats. A job could open the port for somebody else: so only the process that was started as the
//! slot's task agent is heard, by the number and the start time that the kernel tells, and it dials
//! only where the control plane and the owner allow it. The port is open only while it dials, and one
//! of those that the owner named. The launch agent connects to no path of the slot's user, reads no
//! byte of what it passes, and bounds how much there is of it.

use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use russet_protocol::ssh::{PortOpened, TunnelOpened};
use russet_protocol::supervise::SlotUser;
use serde::Serialize;
use tokio::io::{AsyncWriteExt as _, Interest};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinSet;

use super::socket;
use russet_platform::clock::Clock;

/// People at once.
const MAX_PEOPLE: usize = 16;

/// Buffer of each direction, in bytes.
const BUFFER_SIZE: usize = 64 * 1024;

/// Timeout of a line to the task agent.
const LINE_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after a failure to accept.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Answers if a process is the slot's task agent.
pub(in crate::launch) type IsTaskAgent = Arc<dyn Fn(u32) -> bool + Send + Sync>;

/// Ports that the owner named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::launch) struct PortRange {
    pub(in crate::launch) address: IpAddr,
    pub(in crate::launch) ports: RangeInclusive<u16>,
}

/// Listens at `path` for the slot's task agent, until it is aborted.
pub(in crate::launch) fn start_direct_port(
    path: &Path,
    slot: u32,
    user: &SlotUser,
    range: PortRange,
    is_task_agent: IsTaskAgent,
    clock: &Clock,
) -> io::Result<tokio::task::JoinHandle<()>> {
    let listener = socket::bind(path, user)?;
    let clock = clock.clone();
    let port = DirectPort { slot, uid: user.uid, range, is_task_agent, clock };
    Ok(tokio::spawn(port.run(listener)))
}

struct DirectPort {
    slot: u32,
    uid: u32,
    range: PortRange,
    is_task_agent: IsTaskAgent,
    clock: Clock,
}

impl DirectPort {
    async fn run(self, agents: UnixListener) {
        let mut people = JoinSet::new();
        let mut waiting: Option<UnixStream> = None;
        let mut port: Option<TcpListener> = None;
        loop {
            if waiting.is_none() && people.is_empty() {
                // Nobody of the task is left.
                port = None;
            }
            tokio::select! {
                accepted = agents.accept() => match accepted {
                    Ok((stream, _)) if self.is_known(&stream) => {
                        if waiting.is_none() {
                            waiting = self.welcome(stream, &mut port).await;
                        }
                    }
                    Ok(_) => {}
                    Err(_) => self.clock.sleep(ACCEPT_PAUSE).await,
                },
                () = wait_for_end(waiting.as_ref()) => waiting = None,
                accepted = next_person(port.as_ref()),
                    if waiting.is_some() && people.len() < MAX_PEOPLE => match accepted {
                    Ok((person, from)) => if let Some(agent) = waiting.take() {
                        people.spawn(join_person(agent, person, from.to_string()));
                    },
                    Err(_) => self.clock.sleep(ACCEPT_PAUSE).await,
                },
                Some(_) = people.join_next() => {}
            }
        }
    }

    /// Tells the task agent its port, opening one if none is.
    async fn welcome(
        &self,
        mut agent: UnixStream,
        port: &mut Option<TcpListener>,
    ) -> Option<UnixStream> {
        if port.is_none() {
            *port = self.open_port().await;
        }
        let number = port.as_ref()?.local_addr().ok()?.port();
        say(&mut agent, &PortOpened { port: number }).await.ok()?;
        Some(agent)
    }

    /// Opens the first port of the range that is free: each slot with such a task has one.
    async fn open_port(&self) -> Option<TcpListener> {
        for port in self.range.ports.clone() {
            if let Ok(listener) = TcpListener::bind((self.range.address, port)).await {
                tracing::info!(slot = self.slot, port, "opened a port for SSH to a task");
                return Some(listener);
            }
        }
        tracing::warn!(slot = self.slot, "no port of `runner.ssh.ports` is free");
        None
    }

    fn is_known(&self, stream: &UnixStream) -> bool {
        let pid = stream.peer_cred().ok().and_then(|peer| u32::try_from(peer.pid()?).ok());
        let known =
            socket::is_known(stream, self.uid) && pid.is_some_and(|pid| (self.is_task_agent)(pid));
        if !known {
            tracing::warn!(
                slot = self.slot,
                "refused a stranger on the socket of the port for SSH"
            );
        }
        known
    }
}

async fn next_person(port: Option<&TcpListener>) -> io::Result<(TcpStream, std::net::SocketAddr)> {
    match port {
        Some(port) => port.accept().await,
        None => std::future::pending().await,
    }
}

/// Returns when the task agent has hung up, or says something, which it has no reason to.
async fn wait_for_end(waiting: Option<&UnixStream>) {
    let Some(stream) = waiting else { return std::future::pending().await };
    // Being told that it is ready may be a mistake; only reading says so.
    while stream.ready(Interest::READABLE).await.is_ok() {
        match stream.try_read(&mut [0; 1]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            _ => return,
        }
    }
}

async fn join_person(mut agent: UnixStream, mut person: TcpStream, from: String) {
    // Where it is refused, small pieces wait for each other, and nothing else is different.
    drop(person.set_nodelay(true));
    let opened = TunnelOpened { from, person: String::new() };
    if say(&mut agent, &opened).await.is_err() {
        return;
    }
    let passed =
        tokio::io::copy_bidirectional_with_sizes(&mut agent, &mut person, BUFFER_SIZE, BUFFER_SIZE);
    // A connection that breaks off is the client's to tell.
    drop(passed.await);
}

async fn say(agent: &mut UnixStream, line: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    let written = tokio::time::timeout(LINE_TIMEOUT, agent.write_all(&text)).await;
    written.map_err(|_| io::ErrorKind::TimedOut)?
}

#[cfg(test)]
mod tests;
