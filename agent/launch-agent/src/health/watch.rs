//! Looks at the machine while the agent runs, and holds claims back where it is not well.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::clock::Skew;
use super::damper::Damper;
use super::facts::{Facts, gather_facts};
use super::{Check, first_obstacle, judge_facts};
use crate::board::Board;
use crate::config::Reserve;
use crate::requests::{Command, HoldSource};

/// Interval of looks. A look costs microseconds; more often would only wake the processor up.
const PERIOD: Duration = Duration::from_secs(30);

/// Subjects of a look.
#[derive(Debug)]
pub(crate) struct Watched {
    /// On whose disk tasks work.
    pub(crate) state: PathBuf,
    pub(crate) reserve: Reserve,
    pub(crate) skew: Arc<Skew>,
    /// Number of files that tasks may open, where their owner says so.
    pub(crate) open_files: Option<u64>,
}

/// Result of the looks before.
#[derive(Debug, Default)]
struct Held {
    /// Reason for which claims are held back.
    reason: Option<String>,
    damper: Damper,
}

/// Looks for as long as there is an agent. The first look is done when this
/// returns.
pub(crate) fn start_watch(
    watched: Watched,
    commands: mpsc::UnboundedSender<Command>,
    board: Arc<Board>,
) -> tokio::task::JoinHandle<()> {
    let mut held = Held::default();
    check_machine(&watched, &mut held, &commands, &board);
    tokio::spawn(async move {
        loop {
            // The plain timer: nothing is due at a certain time, and a machine that slept is
            // looked at soon after it wakes up.
            tokio::select! {
                () = tokio::time::sleep(PERIOD) => {}
                () = watched.skew.crossed() => {}
            }
            check_machine(&watched, &mut held, &commands, &board);
        }
    })
}

fn check_machine(
    watched: &Watched,
    held: &mut Held,
    commands: &mpsc::UnboundedSender<Command>,
    board: &Board,
) {
    let mut facts = Facts { clock_skew_s: watched.skew.seconds(), ..gather_facts(&watched.state) };
    facts.open_files = watched.open_files.unwrap_or(facts.open_files);
    let shortage = held.damper.take_look(&facts, watched.reserve);
    let all = judge_facts(&facts, watched.reserve, shortage);
    board.health(all.iter().map(Check::told).collect());
    let found = first_obstacle(&all);
    // The numbers in the reason change all the time; that there is one matters.
    if found.is_some() != held.reason.is_some() {
        // Nobody listens any more when the agent ends.
        drop(commands.send(Command::Hold(HoldSource::Health, found.clone())));
        held.reason = found;
    }
}
