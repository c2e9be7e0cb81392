//! The loop that lists and asks, and tells the state machine and people.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Xcodes;
use crate::board::Board;
use crate::requests::{Command, HoldSource};

/// Interval of lists.
const LIST_INTERVAL: Duration = Duration::from_secs(30);

/// Interval of lists while a class is held: whoever mends it sees that soon.
const HELD_INTERVAL: Duration = Duration::from_secs(5);

/// Time for which a bundle that has changed is left alone before it is asked.
const SETTLE_INTERVAL: Duration = Duration::from_secs(2);

/// Lists between two questions to Xcodes, which start processes: about ten minutes.
const LISTS_PER_QUESTION: u32 = 20;

/// The same while a class is held: a minute.
const HELD_LISTS_PER_QUESTION: u32 = 12;

/// Watches for as long as there is an agent. What needs no process is known, and told, when this
/// returns.
pub(crate) fn start_watch(
    xcodes: Arc<Xcodes>,
    commands: mpsc::UnboundedSender<Command>,
    board: Arc<Board>,
) -> tokio::task::JoinHandle<()> {
    xcodes.list();
    tell(&xcodes, &commands, &board);
    tokio::spawn(async move {
        let mut lists = 0_u32;
        loop {
            if lists == 0 {
                ask_apart(&xcodes).await;
            }
            let is_held = tell(&xcodes, &commands, &board);
            let (interval, per_question) = match is_held {
                true => (HELD_INTERVAL, HELD_LISTS_PER_QUESTION),
                false => (LIST_INTERVAL, LISTS_PER_QUESTION),
            };
            lists = lists.saturating_add(1);
            if lists >= per_question {
                lists = 0;
            }
            tokio::select! {
                // The plain timer: nothing is due at a certain time.
                () = tokio::time::sleep(interval) => list_apart(&xcodes).await,
                () = doubt(&xcodes) => lists = 0,
            }
        }
    })
}

/// Waits until something is to be asked. Claims come often while a bundle changes, so not at once.
async fn doubt(xcodes: &Xcodes) {
    xcodes.doubt.notified().await;
    tokio::time::sleep(SETTLE_INTERVAL).await;
}

async fn list_apart(xcodes: &Arc<Xcodes>) {
    let listing = Arc::clone(xcodes);
    // A panic in it leaves what was known.
    drop(tokio::task::spawn_blocking(move || listing.list()).await);
}

async fn ask_apart(xcodes: &Arc<Xcodes>) {
    let asking = Arc::clone(xcodes);
    drop(tokio::task::spawn_blocking(move || asking.ask()).await);
}

/// Tells what holds each class, and what there is. Returns true if a class is held.
fn tell(xcodes: &Xcodes, commands: &mpsc::UnboundedSender<Command>, board: &Board) -> bool {
    let mut is_held = false;
    for class in 0..xcodes.wanted.len() {
        let reason = xcodes.obstacle(class);
        is_held |= reason.is_some();
        // Nobody listens any more when the agent ends. The same again changes nothing.
        drop(commands.send(Command::HoldClass(HoldSource::Xcode, class, reason)));
    }
    if let Some((all, runtimes)) = xcodes.shown() {
        board.xcodes(all, runtimes);
    }
    is_held
}
