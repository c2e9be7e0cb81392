//! Meaning of signals, and of the end of the parent.

use std::io::Read as _;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::{Host, Stop};

/// Wishes that the launch agent end, from wherever they come.
#[derive(Debug)]
pub(super) struct Wishes {
    host: Host,
    term: Option<Signal>,
    interrupt: Option<Signal>,
    hangup: Option<Signal>,
    parent: Option<AsyncFd<std::fs::File>>,
    embedder: Option<mpsc::UnboundedReceiver<Stop>>,
    /// TERM and INT so far.
    asked: u32,
}

impl Wishes {
    /// Begins to listen.
    pub(super) fn listen(
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
            parent: parent.map(watch).transpose()?,
            embedder,
            asked: 0,
        })
    }

    /// The next wish.
    pub(super) async fn next(&mut self) -> Stop {
        tokio::select! {
            () = received(&mut self.term) => self.asked(self.host),
            // A person at a terminal means the same under every host.
            () = received(&mut self.interrupt) => self.asked(Host::Foreground),
            () = received(&mut self.hangup) => Stop::Drain,
            () = ended(&mut self.parent) => {
                if self.host.is_service() { Stop::Leave } else { Stop::Cancel }
            }
            stop = embedded(&mut self.embedder) => stop,
        }
    }

    fn asked(&mut self, host: Host) -> Stop {
        self.asked += 1;
        match (host, self.asked) {
            (Host::Launchd | Host::Systemd, _) => Stop::Leave,
            (Host::Foreground, 1) => Stop::Drain,
            (Host::Foreground, _) => Stop::Cancel,
        }
    }
}

fn watch(parent: OwnedFd) -> std::io::Result<AsyncFd<std::fs::File>> {
    let flags = nix::fcntl::fcntl(&parent, nix::fcntl::FcntlArg::F_GETFL)?;
    let flags = nix::fcntl::OFlag::from_bits_truncate(flags) | nix::fcntl::OFlag::O_NONBLOCK;
    nix::fcntl::fcntl(&parent, nix::fcntl::FcntlArg::F_SETFL(flags))?;
    // SAFETY: the file is owned by what waits for it, so its descriptor stays open meanwhile.
    Ok(unsafe { AsyncFd::register_with_interest(std::fs::File::from(parent), Interest::READABLE)? })
}

async fn received(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            if signal.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}

/// Returns when the other end of the pipe is closed. What comes through it is thrown away.
async fn ended(parent: &mut Option<AsyncFd<std::fs::File>>) {
    let Some(pipe) = parent else { return std::future::pending().await };
    let mut buffer = [0_u8; 256];
    loop {
        let Ok(mut ready) = pipe.readable().await else { break };
        match ready.try_io(|pipe| pipe.get_ref().read(&mut buffer)) {
            Ok(Ok(count)) if count > 0 => {}
            Ok(_) => break,
            // It was not readable after all.
            Err(_) => {}
        }
    }
    // Once is enough.
    *parent = None;
}

async fn embedded(embedder: &mut Option<mpsc::UnboundedReceiver<Stop>>) -> Stop {
    match embedder {
        Some(wishes) => match wishes.recv().await {
            Some(stop) => stop,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}
