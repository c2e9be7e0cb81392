//! The local API: HTTP and JSON over a unix socket, for people and tools on this machine.
//!
//! The caller is whom the kernel names, never whom the caller claims to be. The agent itself
//! does no work for it: what is shown lies ready on the board (`board/`), what is wanted
//! goes to the state machine as commands, and everything between runs in tasks of its own, so a
//! client that never reads costs its own connection and nothing else.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::board::Board;
use crate::install::SealedMachine;
use crate::metrics::Metrics;
use crate::requests::{Command, UpdateRequests};
use russet_platform::clock::Clock;

mod access;
mod audit;
mod listener;
mod logs;
mod maintenance;
mod reading;
mod routes;
mod shown;
mod state;
mod task_log;

pub(crate) use access::Policy;
pub(crate) use maintenance::Keeper;

/// Parts of the local API.
#[derive(Debug)]
pub(crate) struct Parts<'a> {
    /// Path of the socket.
    pub(crate) socket: &'a Path,
    /// Directory in which requested maintenance is kept.
    pub(crate) state: &'a Path,
    /// Directory of the slots.
    pub(crate) data: &'a Path,
    /// Rights of users.
    pub(crate) policy: Policy,
    /// State that is shown.
    pub(crate) board: Arc<Board>,
    /// Time.
    pub(crate) clock: Clock,
    /// Counters and measurements.
    pub(crate) metrics: Arc<Metrics>,
    /// The agent's log, where that is a file.
    pub(crate) log: Option<PathBuf>,
    /// Way of requests about updates; none where this agent looks for none.
    pub(crate) updates: Option<UpdateRequests>,
    /// The machine that the installation is for; none where the agent is not installed.
    pub(crate) machine: Option<SealedMachine>,
    /// Classes, as the configuration calls them.
    pub(crate) classes: Vec<String>,
    /// Channel of commands.
    pub(crate) commands: mpsc::UnboundedSender<Command>,
}

/// Goes on with the maintenance of before, and listens. What cannot be listened on is said and
/// done without: the machine runs tasks all the same.
pub(crate) fn start_api(parts: Parts<'_>) -> (Vec<tokio::task::JoinHandle<()>>, Keeper) {
    let Parts {
        socket,
        state,
        data,
        policy,
        board,
        clock,
        metrics,
        log,
        updates,
        machine,
        classes,
        commands,
    } = parts;
    let (maintenance, keeping) =
        maintenance::start_keeper(state, clock.clone(), commands.clone(), &board, classes);
    let keeper = maintenance.clone();
    let mut running = vec![keeping];
    match listener::Listener::bind(socket, &policy) {
        Ok(listener) => {
            tracing::debug!(socket = %socket.display(), "listening for people on this machine");
            let (state, data) = (state.to_owned(), data.to_owned());
            let parts = routes::Parts {
                board,
                maintenance,
                commands,
                updates,
                policy,
                clock,
                metrics,
                log,
                state,
                machine,
                data,
            };
            let router = routes::router(parts);
            let service = router.into_make_service_with_connect_info::<listener::Peer>();
            running.push(tokio::spawn(async move {
                // It never ends by itself; each connection's errors are its own.
                drop(axum::serve(listener, service).await);
            }));
        }
        Err(error) => tracing::warn!(
            socket = %socket.display(),
            %error,
            "could not listen for people on this machine: `russet agent status` will not work"
        ),
    }
    (running, keeper)
}
