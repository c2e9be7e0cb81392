//! The channel to the task agent of a slot: a unix socket on which it says that it lives.
//!
//! Threat: the socket is reachable by whatever runs on this machine. It belongs to the slot's
//! user, and every peer is asked for its credentials: only that user and root are heard. What
//! the peer says is believed no further than it reaches: it can be a step that lies about its
//! own task.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russet_protocol::ids::AllocationId;
use russet_protocol::local::TaskSsh;
use russet_protocol::outcome::Outcome;
use russet_protocol::supervise::{FromLaunchAgent, FromTaskAgent, LeftBehind, SlotUser};
use russet_protocol::task::{FIRST_STEP, PRE_TASK_STEP};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};

use super::socket;
use crate::board::Event;
use crate::launch::events::EventSink;
use russet_platform::clock::{BootTime, Clock};

/// A longer line is none of a task agent.
const MAX_LINE: u64 = 64 * 1024;

/// Most connections at once: more than a task agent that redials ever has.
///
/// Threat: each costs a descriptor of the launch agent, and a job that opens them in a loop would
/// take those that every other slot needs.
const MAX_CONNECTIONS: usize = 8;

/// Time that a peer has to identify itself.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for which a connection that outlives the task agent is listened to.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_millis(200);

/// The channel to the task agent of a slot.
#[derive(Debug)]
pub(in crate::launch) struct TaskAgentChannel {
    slot: u32,
    clock: Clock,
    sink: EventSink,
    user: SlotUser,
    state: Mutex<Option<Current>>,
    /// A connection of the task has ended.
    hung_up: tokio::sync::Notify,
}

/// The last words of a task agent: no more than a hint until they are verified, since a job can
/// say them as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::launch) struct LastWords {
    pub(in crate::launch) outcome: Outcome,
    /// Set if it emptied what it was asked to.
    pub(in crate::launch) emptied: bool,
    /// Reason of a failure of the machine's.
    pub(in crate::launch) message: Option<String>,
    pub(in crate::launch) left: Vec<LeftBehind>,
}

#[derive(Debug)]
struct Current {
    allocation: AllocationId,
    /// The newest connection.
    lines: Option<mpsc::UnboundedSender<FromLaunchAgent>>,
    /// The number of the process that said hello, as the kernel knows it.
    pid: Option<u32>,
    last_heard: Option<BootTime>,
    /// Pings since it was last heard.
    unanswered: u32,
    /// A cancel, for a task agent that comes (back) later.
    cancel: Option<FromLaunchAgent>,
    /// Connections that said hello and are read from.
    open: usize,
    last_words: Option<LastWords>,
    /// Set once a step of the job has begun.
    has_stepped: bool,
}

impl TaskAgentChannel {
    /// Listens at `path`, for the slot's user.
    pub(in crate::launch) fn listen(
        path: &Path,
        slot: u32,
        user: &SlotUser,
        clock: &Clock,
        sink: &EventSink,
    ) -> io::Result<(Arc<Self>, tokio::task::JoinHandle<()>)> {
        let listener = socket::bind(path, user)?;
        let channel = Arc::new(Self {
            slot,
            clock: clock.clone(),
            sink: sink.clone(),
            user: user.clone(),
            state: Mutex::new(None),
            hung_up: tokio::sync::Notify::new(),
        });
        let accepting = tokio::spawn(Arc::clone(&channel).accept(listener));
        Ok((channel, accepting))
    }

    /// A task begins, or is adopted.
    pub(in crate::launch) fn begin(&self, allocation: &AllocationId) {
        if let Ok(mut state) = self.state.lock() {
            *state = Some(Current {
                allocation: allocation.clone(),
                lines: None,
                pid: None,
                last_heard: None,
                unanswered: 0,
                cancel: None,
                open: 0,
                last_words: None,
                has_stepped: false,
            });
        }
    }

    /// The task has ended. Answers what its agent said last.
    pub(in crate::launch) fn end(&self) -> Option<LastWords> {
        self.state.lock().ok()?.take()?.last_words
    }

    /// Returns true if a step of the job is known to have begun.
    pub(in crate::launch) fn has_stepped(&self) -> bool {
        self.with(|current| current.has_stepped).unwrap_or(false)
    }

    /// Returns when nobody speaks for the task any more, or soon after: what a task agent said
    /// before it ended is heard then.
    pub(in crate::launch) async fn hear_out(&self) {
        let quiet = async {
            loop {
                let hung_up = self.hung_up.notified();
                if self.with(|current| current.open).unwrap_or(0) == 0 {
                    return;
                }
                hung_up.await;
            }
        };
        tokio::select! {
            () = quiet => {}
            // Somebody else keeps a connection open, and is no task agent.
            () = self.clock.sleep(LAST_WORDS_TIMEOUT) => {}
        }
    }

    /// Tells the task agent to end its task, now or when it dials again. False: nobody listens now.
    pub(in crate::launch) fn send_cancel(&self, line: FromLaunchAgent) -> bool {
        self.with(|current| {
            current.cancel = Some(line.clone());
            current.lines.as_ref().is_some_and(|lines| lines.send(line).is_ok())
        })
        .unwrap_or(false)
    }

    /// Asks whether it lives, and says how many such questions have no answer.
    pub(in crate::launch) fn ping(&self) -> u32 {
        self.with(|current| {
            current.unanswered += 1;
            if let Some(lines) = &current.lines {
                // A connection that broke is replaced when the task agent dials again.
                drop(lines.send(FromLaunchAgent::Ping));
            }
            current.unanswered - 1
        })
        .unwrap_or(0)
    }

    /// Returns the time for which it has been silent.
    pub(in crate::launch) fn silent_for(&self) -> Option<Duration> {
        let now = self.clock.now();
        self.with(|current| current.last_heard.map(|at| now.since(at))).flatten()
    }

    /// The process that said hello.
    pub(in crate::launch) fn peer_pid(&self) -> Option<u32> {
        self.with(|current| current.pid).flatten()
    }

    fn with<T>(&self, change: impl FnOnce(&mut Current) -> T) -> Option<T> {
        self.state.lock().ok()?.as_mut().map(change)
    }

    async fn accept(self: Arc<Self>, listener: UnixListener) {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    // One too many is hung up on: a task agent dials again later.
                    if self.is_known(&stream)
                        && let Ok(place) = Arc::clone(&room).try_acquire_owned()
                    {
                        let talk = Arc::clone(&self).converse(stream);
                        tokio::spawn(async move {
                            talk.await;
                            drop(place);
                        });
                    }
                }
                // Out of descriptors, most likely: give others time to close theirs.
                Err(error) => {
                    tracing::warn!(slot = self.slot, %error, "could not accept a task agent");
                    self.clock.sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    fn is_known(&self, stream: &UnixStream) -> bool {
        let known = socket::is_known(stream, self.user.uid);
        if !known {
            tracing::warn!(slot = self.slot, "refused a stranger on the task agent's socket");
        }
        known
    }

    async fn converse(self: Arc<Self>, stream: UnixStream) {
        let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
        let pid = pid.and_then(|pid| u32::try_from(pid).ok());
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        let hello = tokio::select! {
            line = next_line(&mut read) => line,
            () = self.clock.sleep(HELLO_TIMEOUT) => None,
        };
        let Some(FromTaskAgent::Hello { allocation, .. }) = hello else { return };
        let (lines, mut outgoing) = mpsc::unbounded_channel();
        if !self.welcome(&allocation, pid, lines) {
            return;
        }
        let writer = tokio::spawn(async move {
            while let Some(line) = outgoing.recv().await {
                let Ok(mut text) = serde_json::to_vec(&line) else { continue };
                text.push(b'\n');
                if write.write_all(&text).await.is_err() {
                    return;
                }
            }
        });
        while let Some(line) = next_line(&mut read).await {
            if !self.heard(&allocation, &line) {
                break;
            }
        }
        writer.abort();
        self.with(|current| {
            if current.allocation == allocation {
                current.open = current.open.saturating_sub(1);
            }
        });
        self.hung_up.notify_waiters();
    }

    /// Takes the connection as that of the slot's task.
    fn welcome(
        &self,
        allocation: &AllocationId,
        pid: Option<u32>,
        lines: mpsc::UnboundedSender<FromLaunchAgent>,
    ) -> bool {
        let now = self.clock.now();
        self.with(|current| {
            if current.allocation != *allocation {
                return false;
            }
            if let Some(cancel) = &current.cancel {
                drop(lines.send(cancel.clone()));
            }
            current.lines = Some(lines);
            current.open += 1;
            current.pid = pid;
            current.last_heard = Some(now);
            current.unanswered = 0;
            true
        })
        .unwrap_or(false)
    }

    /// False: the slot has another task by now.
    fn heard(&self, allocation: &AllocationId, line: &FromTaskAgent) -> bool {
        let now = self.clock.now();
        let current = self.with(|current| {
            current.last_heard = Some(now);
            current.unanswered = 0;
            if current.allocation != *allocation {
                return false;
            }
            match line {
                FromTaskAgent::Done { outcome, emptied, message, left } => {
                    let (message, left) = (message.clone(), left.clone());
                    let (outcome, emptied) = (*outcome, *emptied);
                    current.last_words = Some(LastWords { outcome, emptied, message, left });
                }
                FromTaskAgent::Step { number, .. } => {
                    current.has_stepped |= (FIRST_STEP..PRE_TASK_STEP).contains(number);
                }
                _ => {}
            }
            true
        });
        if current != Some(true) {
            return false;
        }
        let slot = self.slot;
        match line {
            FromTaskAgent::Started { job, project } => {
                let (job, project) = (job.clone(), project.clone());
                self.sink.send(Event::Started { slot, job, project });
            }
            FromTaskAgent::Step { number, name } => {
                self.sink.outputs.step(slot, *number);
                self.sink.board.step(slot, *number, name, self.clock.wall_ms());
            }
            FromTaskAgent::Ssh { sessions, waiting } => {
                let ssh = TaskSsh { sessions: *sessions, waiting: *waiting };
                self.sink.board.ssh(slot, ssh, self.clock.wall_ms());
            }
            FromTaskAgent::Hello { .. } | FromTaskAgent::Pong | FromTaskAgent::Done { .. } => {}
        }
        true
    }
}

/// The next line that can be understood. Lines of a newer task agent that cannot are skipped.
async fn next_line(read: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> Option<FromTaskAgent> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let count = (&mut *read).take(MAX_LINE).read_until(b'\n', &mut line).await.ok()?;
        if count == 0 || line.last() != Some(&b'\n') {
            return None;
        }
        if let Ok(line) = serde_json::from_slice(&line) {
            return Some(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TaskAgentChannel;
    use crate::launch::events::EventSink;
    use russet_platform::clock::Clock;
    use russet_protocol::outcome::Outcome;
    use russet_protocol::supervise::FromLaunchAgent;
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
    use tokio::net::UnixStream;

    #[tokio::test]
    async fn a_task_agent_is_heard_pinged_and_canceled_and_a_wrong_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        let user = russet_platform::users::calling_user();
        let (channel, accepting) =
            TaskAgentChannel::listen(&path, 1, &user, &Clock::system(), &EventSink::default())
                .unwrap();
        channel.begin(&"mine".into());
        assert_eq!(channel.ping(), 0);
        assert_eq!(channel.ping(), 1);

        let mut wrong = BufReader::new(UnixStream::connect(&path).await.unwrap());
        let hello = b"{\"say\":\"hello\",\"version\":1,\"allocation\":\"other\",\"pid\":1}\n";
        wrong.write_all(hello).await.unwrap();
        let mut line = String::new();
        assert_eq!(wrong.read_line(&mut line).await.unwrap(), 0);

        let mut right = BufReader::new(UnixStream::connect(&path).await.unwrap());
        let cancel =
            FromLaunchAgent::Cancel { outcome: Outcome::Canceled, reason: "why".to_owned() };
        assert!(!channel.send_cancel(cancel));
        let hello = b"{\"say\":\"hello\",\"version\":1,\"allocation\":\"mine\",\"pid\":1}\n";
        right.write_all(hello).await.unwrap();
        right.read_line(&mut line).await.unwrap();
        assert!(line.contains("cancel") && line.contains("why"), "{line}");
        assert_eq!(channel.peer_pid(), Some(std::process::id()));
        assert_eq!(channel.ping(), 0);
        line.clear();
        right.read_line(&mut line).await.unwrap();
        assert!(line.contains("ping"), "{line}");
        accepting.abort();
    }

    #[tokio::test]
    async fn a_job_that_dials_in_a_loop_takes_few_descriptors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.sock");
        let user = russet_platform::users::calling_user();
        let (_link, accepting) =
            TaskAgentChannel::listen(&path, 1, &user, &Clock::system(), &EventSink::default())
                .unwrap();
        let mut kept = Vec::new();
        for _ in 0..super::MAX_CONNECTIONS {
            kept.push(UnixStream::connect(&path).await.unwrap());
        }
        let mut line = String::new();
        let mut more = BufReader::new(UnixStream::connect(&path).await.unwrap());
        assert_eq!(more.read_line(&mut line).await.unwrap(), 0, "it is hung up on");
        accepting.abort();
    }
}
