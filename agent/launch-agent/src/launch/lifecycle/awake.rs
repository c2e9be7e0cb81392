//! Keeping the machine awake while tasks run, and as the owner likes while they are waited for.
//!
//! A Mac that is idle by its own measure goes to sleep under a task that waits for a network or a
//! lock. What runs when the agent is killed is kept awake again by the next one.
//!
//! The tool (`caffeinate`, `systemd-inhibit`) runs around a `cat` whose standard input is a pipe of
//! ours, so it ends with the launch agent however that ends, on both systems alike.

use std::time::Duration;

use tokio::sync::watch;

use crate::config::KeepAwake;
use crate::state::View;
use russet_platform::clock::Clock;
use russet_platform::command::{Command, Tools};

/// Tasks that are shorter need nothing: nothing falls asleep so fast, and their first moments are
/// not spent on starting another process.
const START_DELAY: Duration = Duration::from_secs(1);

/// Until another try, where it does not work.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// Decides if this machine should stay awake.
pub(in crate::launch) fn is_awake_wanted(policy: KeepAwake, view: &View) -> bool {
    let is_busy = view.is_busy();
    let waits = || !view.is_ending && view.holds.iter().all(|(_, class, _)| class.is_some());
    match policy {
        KeepAwake::Never => false,
        KeepAwake::Tasks => is_busy,
        KeepAwake::Always => is_busy || waits(),
    }
}

/// Keeps this machine awake while that is wanted, for as long as there is an agent.
pub(in crate::launch) async fn keep_awake(wanted: watch::Receiver<bool>, clock: Clock) {
    hold_while_wanted(wanted, clock, || russet_platform::stay_awake(&Tools::system())).await;
}

async fn hold_while_wanted(
    mut wanted: watch::Receiver<bool>,
    clock: Clock,
    stay_awake: impl Fn() -> Option<Command>,
) {
    let mut is_said = false;
    while wanted.wait_for(|wanted| *wanted).await.is_ok() {
        let mut until = wanted.clone();
        let let_go = async move { drop(until.wait_for(|wanted| !wanted).await) };
        tokio::select! {
            () = let_go => {}
            why = hold_until_failure(&clock, &stay_awake) => {
                if !std::mem::replace(&mut is_said, true) {
                    tracing::warn!(why, "this machine may go to sleep while tasks run");
                }
                clock.sleep(RETRY_INTERVAL).await;
            }
        }
    }
}

/// Returns only where it does not work, and says why.
async fn hold_until_failure(clock: &Clock, stay_awake: impl Fn() -> Option<Command>) -> String {
    clock.sleep(START_DELAY).await;
    let Some(command) = stay_awake() else { return std::future::pending().await };
    match command.hold() {
        Ok(mut held) => held.ended().await.to_string(),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{RETRY_INTERVAL, START_DELAY, View, hold_while_wanted, is_awake_wanted};
    use crate::config::KeepAwake;
    use crate::requests::HoldSource;
    use crate::state::slot::SlotView;
    use russet_platform::clock::Clock;
    use russet_platform::command::Tools;
    use russet_platform::command::testing::fake_tool;
    use russet_platform::macos_tools::caffeinate;

    #[test]
    fn a_task_keeps_it_awake_and_waiting_for_one_only_as_the_owner_likes() {
        let idle =
            View { is_ready: true, slots: vec![SlotView::Free, SlotView::Free], ..View::default() };
        let busy =
            View { slots: vec![SlotView::Free, SlotView::Busy { ending: None }], ..idle.clone() };
        let hold = |class| vec![(HoldSource::Pause, class, "lunch".to_owned())];
        let paused = View { holds: hold(None), ..idle.clone() };
        let one_class = View { holds: hold(Some("a/b".to_owned())), ..idle.clone() };
        let ending = View { is_ending: true, ..idle.clone() };
        let wanted = |policy| {
            [&idle, &busy, &paused, &one_class, &ending].map(|view| is_awake_wanted(policy, view))
        };
        assert_eq!(wanted(KeepAwake::Never), [false; 5]);
        assert_eq!(wanted(KeepAwake::Tasks), [false, true, false, false, false]);
        assert_eq!(wanted(KeepAwake::Always), [true, true, false, true, false]);
    }

    #[tokio::test]
    async fn it_is_held_while_wanted_tried_again_where_it_fails_and_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let tools = Tools::below(dir.path());
        let ran = dir.path().join("caffeinate.ran");
        let (wanted, receiver) = tokio::sync::watch::channel(false);
        let (clock, hand) = Clock::manual("boot");
        let keeping = tokio::spawn(hold_while_wanted(receiver, clock, move || {
            Some(caffeinate::stay_awake(&tools))
        }));
        let there = async |is_there: bool| {
            for _ in 0..3000 {
                if ran.exists() == is_there {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
            panic!("it is not there as wanted: {is_there}");
        };
        // There is no such tool at first.
        wanted.send_replace(true);
        let wait = async |time| {
            assert_eq!(hand.next_sleeper().await, time);
            hand.advance(time);
        };
        wait(START_DELAY).await;
        assert_eq!(hand.next_sleeper().await, RETRY_INTERVAL);
        fake_tool(dir.path(), "caffeinate", "shift; touch \"$0.ran\"; \"$@\"; rm \"$0.ran\"");
        wait(RETRY_INTERVAL).await;
        wait(START_DELAY).await;
        there(true).await;
        wanted.send_replace(false);
        there(false).await;
        wanted.send_replace(true);
        wait(START_DELAY).await;
        there(true).await;
        // As when the agent ends.
        keeping.abort();
        there(false).await;
    }
}
