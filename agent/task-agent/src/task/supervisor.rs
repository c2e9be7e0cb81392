//! The line to the launch agent.
//!
//! The launch agent may be restarted while the task runs, so the task agent redials for as long
//! as it lives, and says on every new line who it is and how far. It goes on without: the
//! deadline and the control plane are its own business.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use russet_protocol::ids::AllocationId;
use russet_protocol::outcome::Outcome;
use russet_protocol::supervise::{FromLaunchAgent, FromTaskAgent, LeftBehind, VERSION};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};

use super::stop::{Stop, StopSignal};
use russet_platform::clock::{BootTime, Clock};
use russet_platform::http;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Timeout of handing over the last words.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Never heard from.
const NEVER: u64 = 0;

/// The line to the launch agent.
#[derive(Debug)]
pub(crate) struct Supervisor {
    lines: mpsc::UnboundedSender<FromTaskAgent>,
    last_heard: Arc<AtomicU64>,
    clock: Clock,
    /// `None` while there is a line to keep; then whether the last words were taken.
    was_heard: watch::Receiver<Option<bool>>,
}

impl Supervisor {
    /// Dials, and keeps dialing.
    pub(crate) fn start(
        socket: Option<PathBuf>,
        allocation: AllocationId,
        clock: Clock,
        stop: StopSignal,
    ) -> Self {
        let (lines, outgoing) = mpsc::unbounded_channel();
        let last_heard = Arc::new(AtomicU64::new(NEVER));
        let line = Line {
            allocation,
            clock: clock.clone(),
            stop,
            last_heard: Arc::clone(&last_heard),
            started: None,
            step: None,
            ssh: None,
        };
        let (heard, was_heard) = watch::channel(None);
        tokio::spawn(async move {
            let taken = match socket {
                Some(socket) => line.keep(&socket, outgoing).await,
                None => swallow_messages(outgoing).await,
            };
            heard.send_replace(Some(taken));
        });
        Self { lines, last_heard, clock, was_heard }
    }

    /// Says something.
    pub(crate) fn say(&self, line: FromTaskAgent) {
        // The worker lives as long as we do.
        drop(self.lines.send(line));
    }

    /// Returns the time for which the launch agent has been silent, if it was ever heard.
    pub(crate) fn silent_for(&self) -> Option<Duration> {
        match self.last_heard.load(Ordering::Relaxed) {
            NEVER => None,
            at => Some(self.clock.now().since(BootTime(at))),
        }
    }

    /// Says how the task ended and hangs up. Answers whether somebody took it: who does not listen
    /// finds the result record.
    pub(crate) async fn done(
        &self,
        outcome: Outcome,
        emptied: bool,
        message: Option<String>,
        left: Vec<LeftBehind>,
    ) -> bool {
        self.say(FromTaskAgent::Done { outcome, emptied, message, left });
        let mut was_heard = self.was_heard.clone();
        let taken = tokio::time::timeout(LAST_WORDS, was_heard.wait_for(Option::is_some)).await;
        matches!(taken, Ok(Ok(heard)) if *heard == Some(true))
    }
}

/// Without a launch agent nobody waits for the last words either.
async fn swallow_messages(mut outgoing: mpsc::UnboundedReceiver<FromTaskAgent>) -> bool {
    while outgoing.recv().await.is_some_and(|line| !is_last(&line)) {}
    true
}

fn is_last(line: &FromTaskAgent) -> bool {
    matches!(line, FromTaskAgent::Done { .. })
}

struct Line {
    allocation: AllocationId,
    clock: Clock,
    stop: StopSignal,
    last_heard: Arc<AtomicU64>,
    started: Option<FromTaskAgent>,
    step: Option<FromTaskAgent>,
    ssh: Option<FromTaskAgent>,
}

impl Line {
    /// Keeps the line until the last words. Answers whether somebody took them.
    async fn keep(
        mut self,
        socket: &Path,
        mut out: mpsc::UnboundedReceiver<FromTaskAgent>,
    ) -> bool {
        let mut backoff = http::backoff(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            if let Ok(stream) = UnixStream::connect(socket).await {
                backoff.reset();
                if self.talk(stream, &mut out).await.is_ok() {
                    return true;
                }
            }
            let redial = self.clock.now().after(backoff.next_pause());
            // What is said meanwhile is remembered, so that the next line begins with it.
            loop {
                tokio::select! {
                    () = self.clock.sleep_until(redial) => break,
                    line = out.recv() => match line {
                        Some(line) if !is_last(&line) => self.remember(&line),
                        _ => return false,
                    }
                }
            }
        }
    }

    /// `Ok` is the end of the task, an error the end of the line.
    async fn talk(
        &mut self,
        stream: UnixStream,
        out: &mut mpsc::UnboundedReceiver<FromTaskAgent>,
    ) -> std::io::Result<()> {
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        let hello = FromTaskAgent::Hello {
            version: VERSION,
            allocation: self.allocation.clone(),
            pid: std::process::id(),
        };
        write(&mut writer, &hello).await?;
        let said = [self.started.clone(), self.step.clone(), self.ssh.clone()];
        for line in said.into_iter().flatten() {
            write(&mut writer, &line).await?;
        }
        let mut text = Vec::new();
        loop {
            tokio::select! {
                said = out.recv() => match said {
                    Some(line) => {
                        self.remember(&line);
                        write(&mut writer, &line).await?;
                        if is_last(&line) {
                            return writer.shutdown().await;
                        }
                    }
                    None => return writer.shutdown().await,
                },
                heard = read(&mut reader, &mut text) => {
                    heard?;
                    self.hear(&text, &mut writer).await?;
                    text.clear();
                }
            }
        }
    }

    async fn hear(&self, text: &[u8], writer: &mut OwnedWriteHalf) -> std::io::Result<()> {
        self.last_heard.store(self.clock.now().0, Ordering::Relaxed);
        match serde_json::from_slice(text) {
            Ok(FromLaunchAgent::Ping) => write(writer, &FromTaskAgent::Pong).await,
            Ok(FromLaunchAgent::Cancel { outcome, reason }) => {
                // Asked twice, it is meant.
                if self.stop.is_set() {
                    self.stop.hurry();
                }
                self.stop.stop(Stop::Asked { outcome, reason });
                Ok(())
            }
            // A newer launch agent may say what we do not understand.
            Err(_) => Ok(()),
        }
    }

    fn remember(&mut self, line: &FromTaskAgent) {
        match line {
            FromTaskAgent::Started { .. } => self.started = Some(line.clone()),
            FromTaskAgent::Step { .. } => self.step = Some(line.clone()),
            FromTaskAgent::Ssh { .. } => self.ssh = Some(line.clone()),
            _ => {}
        }
    }
}

async fn write(writer: &mut OwnedWriteHalf, line: &FromTaskAgent) -> std::io::Result<()> {
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    writer.write_all(&text).await
}

/// Reads on in the current line. May be dropped and called again with the same `text`.
async fn read(reader: &mut BufReader<OwnedReadHalf>, text: &mut Vec<u8>) -> std::io::Result<()> {
    match reader.read_until(b'\n', text).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}
