//! Requests to stop: signals, the end of the parent, the word of an embedder.

use std::os::fd::OwnedFd;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::config::Host;
use crate::requests::Stop;
use russet_platform::PipeEnd;

/// Sources of requests that the launch agent end.
#[derive(Debug)]
pub(in crate::launch) struct StopRequests {
    host: Host,
    term: Option<Signal>,
    interrupt: Option<Signal>,
    hangup: Option<Signal>,
    parent: Option<PipeEnd>,
    embedder: Option<mpsc::UnboundedReceiver<Stop>>,
    /// TERM and INT so far.
    asked: u32,
}

impl StopRequests {
    /// Begins to listen.
    pub(in crate::launch) fn listen(
        host: Host,
        signals: bool,
        parent: Option<OwnedFd>,
        embedder: Option<mpsc::UnboundedReceiver<Stop>>,
    ) -> std::io::Result<Self> {
        let on = |kind| if signals { signal(kind).map(Some) } else { Ok(None) };
        Ok(Self {
            host,
            term: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hangup: on(SignalKind::hangup())?,
            parent: parent.map(PipeEnd::watch).transpose()?,
            embedder,
            asked: 0,
        })
    }

    /// Returns the next request.
    pub(in crate::launch) async fn next(&mut self) -> Stop {
        tokio::select! {
            () = receive_signal(&mut self.term) => self.count_signal(self.host),
            // A person at a terminal means the same under every host.
            () = receive_signal(&mut self.interrupt) => self.count_signal(Host::Foreground),
            () = receive_signal(&mut self.hangup) => Stop::Drain,
            () = parent_ended(&mut self.parent) => {
                if self.host.is_service() { Stop::Leave } else { Stop::Cancel }
            }
            stop = receive_stop(&mut self.embedder) => stop,
        }
    }

    fn count_signal(&mut self, host: Host) -> Stop {
        self.asked += 1;
        match (host, self.asked) {
            (Host::Launchd | Host::Systemd, _) => Stop::Leave,
            (Host::Foreground, 1) => Stop::Drain,
            (Host::Foreground, _) => Stop::Cancel,
        }
    }
}

async fn receive_signal(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            if signal.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}

/// Returns once, when the parent is gone.
async fn parent_ended(parent: &mut Option<PipeEnd>) {
    match parent {
        Some(pipe) => pipe.ended().await,
        None => return std::future::pending().await,
    }
    *parent = None;
}

async fn receive_stop(embedder: &mut Option<mpsc::UnboundedReceiver<Stop>>) -> Stop {
    match embedder {
        Some(requests) => match requests.recv().await {
            Some(stop) => stop,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}
