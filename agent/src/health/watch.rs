//! Looks at the machine while the agent runs, and holds claims back where it is not well.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Check, Reserve, checks, facts, obstacle};
use crate::launch::board::Board;
use crate::launch::state::holds::HoldSource;
use crate::local_api::Command;

/// How often. A look costs microseconds; more often would only wake the processor up.
const PERIOD: Duration = Duration::from_secs(30);

/// Looks for as long as there is an agent. The first look is done when this returns.
pub(crate) fn start(
    state: PathBuf,
    reserve: Reserve,
    commands: mpsc::UnboundedSender<Command>,
    board: Arc<Board>,
) -> tokio::task::JoinHandle<()> {
    let mut held = None;
    look(&state, reserve, &mut held, &commands, &board);
    tokio::spawn(async move {
        loop {
            // The plain timer: nothing is due at a certain time, and a machine that slept is
            // looked at soon after it wakes up.
            tokio::time::sleep(PERIOD).await;
            look(&state, reserve, &mut held, &commands, &board);
        }
    })
}

fn look(
    state: &std::path::Path,
    reserve: Reserve,
    held: &mut Option<String>,
    commands: &mpsc::UnboundedSender<Command>,
    board: &Board,
) {
    let checks = checks(&facts::gather(state), reserve);
    board.health(checks.iter().map(Check::told).collect());
    let found = obstacle(&checks);
    // The numbers in the reason change all the time; that there is one matters.
    if found.is_some() != held.is_some() {
        // Nobody listens any more when the agent ends.
        drop(commands.send(Command::Hold(HoldSource::Health, found.clone())));
        *held = found;
    }
}
