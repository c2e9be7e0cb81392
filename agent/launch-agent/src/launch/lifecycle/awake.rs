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
use russet_platform::Wakefulness;
use russet_platform::clock::Clock;
use russet_platform::command::{Command, Tools};

/// Tasks that are shorter need nothing: nothing falls asleep so fast, and their first moments are
/// not spent on starting another process.
const START_DELAY: Duration = Duration::from_secs(1);

/// Until another try, where it does not work.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// Decides which part of this machine should stay awake. Slots for which `is_gui` is true have
/// tasks that draw: under them the display stays on, since one that sleeps is a locked or a black
/// screen.
pub(in crate::launch) fn wakefulness_wanted(
    policy: KeepAwake,
    view: &View,
    is_gui: impl Fn(usize) -> bool,
) -> Option<Wakefulness> {
    let is_busy = view.is_busy();
    let waits = || !view.is_ending && view.holds.iter().all(|(_, class, _)| class.is_some());
    let is_wanted = match policy {
        KeepAwake::Never => false,
        KeepAwake::Tasks => is_busy,
        KeepAwake::Always => is_busy || waits(),
    };
    let mut slots = view.slots.iter().enumerate();
    let draws = slots.any(|(index, slot)| slot.has_task() && is_gui(index));
    is_wanted.then_some(if draws { Wakefulness::Display } else { Wakefulness::System })
}

/// Keeps this machine awake while that is wanted, for as long as there is an agent.
pub(in crate::launch) async fn keep_awake(
    wanted: watch::Receiver<Option<Wakefulness>>,
    clock: Clock,
    tools: Tools,
) {
    hold_while_wanted(wanted, clock, |part| russet_platform::stay_awake(&tools, part)).await;
}

async fn hold_while_wanted(
    mut wanted: watch::Receiver<Option<Wakefulness>>,
    clock: Clock,
    stay_awake: impl Fn(Wakefulness) -> Option<Command>,
) {
    let mut is_said = false;
    let mut delay = START_DELAY;
    loop {
        let now = wanted.wait_for(Option::is_some).await.map(|now| *now);
        let Ok(Some(part)) = now else { return };
        let mut until = wanted.clone();
        let change = async move {
            let next = until.wait_for(|next| *next != Some(part)).await.map(|next| *next);
            next.ok().flatten()
        };
        tokio::select! {
            // One part after the other: what is awake does not fall asleep in between.
            next = change => delay = if next.is_some() { Duration::ZERO } else { START_DELAY },
            why = hold_until_failure(&clock, delay, || stay_awake(part)) => {
                if !std::mem::replace(&mut is_said, true) {
                    tracing::warn!(why, "this machine may go to sleep while tasks run");
                }
                clock.sleep(RETRY_INTERVAL).await;
            }
        }
    }
}

/// Returns only where it does not work, and says why.
async fn hold_until_failure(
    clock: &Clock,
    delay: Duration,
    stay_awake: impl Fn() -> Option<Command>,
) -> String {
    if !delay.is_zero() {
        clock.sleep(delay).await;
    }
    let Some(command) = stay_awake() else { return std::future::pending().await };
    match command.hold() {
        Ok(mut held) => held.ended().await.to_string(),
        Err(error) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::{RETRY_INTERVAL, START_DELAY, View, hold_while_wanted, wakefulness_wanted};
    use crate::config::KeepAwake;
    use crate::requests::HoldSource;
    use crate::state::slot::SlotView;
    use russet_platform::Wakefulness::{self, Display, System};
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
            let wanted = |view| wakefulness_wanted(policy, view, |_| false).is_some();
            [&idle, &busy, &paused, &one_class, &ending].map(wanted)
        };
        assert_eq!(wanted(KeepAwake::Never), [false; 5]);
        assert_eq!(wanted(KeepAwake::Tasks), [false, true, false, false, false]);
        assert_eq!(wanted(KeepAwake::Always), [true, true, false, true, false]);
    }

    #[test]
    fn the_display_stays_on_under_a_task_at_the_screen_and_under_no_other() {
        let busy = |index: usize| {
            let mut slots = vec![SlotView::Free, SlotView::Free];
            slots[index] = SlotView::Busy { ending: None };
            View { is_ready: true, slots, ..View::default() }
        };
        let wanted = |index| wakefulness_wanted(KeepAwake::Tasks, &busy(index), |slot| slot == 1);
        assert_eq!((wanted(0), wanted(1)), (Some(System), Some(Display)));
        let idle = View { is_ready: true, slots: vec![SlotView::Free; 2], ..View::default() };
        let waits = wakefulness_wanted(KeepAwake::Always, &idle, |_| true);
        assert_eq!(waits, Some(System));
    }

    /// Notes what it keeps awake, for as long as it runs the program that it was given.
    const FAKE: &str = "held=\"$0.ran\"; [ \"$1\" = -disu ] && held=\"$0.display\"\n\
                        shift; touch \"$held\"; \"$@\"; rm \"$held\"";

    #[tokio::test]
    async fn it_is_held_while_wanted_tried_again_where_it_fails_and_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let tools = Tools::below(dir.path());
        let ran = dir.path().join("caffeinate.ran");
        let (wanted, receiver) = tokio::sync::watch::channel(None::<Wakefulness>);
        let (clock, hand) = Clock::manual("boot");
        let keeping = tokio::spawn(hold_while_wanted(receiver, clock, move |part| {
            Some(caffeinate::stay_awake(&tools, part))
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
        wanted.send_replace(Some(System));
        let wait = async |time| {
            assert_eq!(hand.next_sleeper().await, time);
            hand.advance(time);
        };
        wait(START_DELAY).await;
        assert_eq!(hand.next_sleeper().await, RETRY_INTERVAL);
        fake_tool(dir.path(), "caffeinate", FAKE);
        wait(RETRY_INTERVAL).await;
        wait(START_DELAY).await;
        there(true).await;
        wanted.send_replace(None);
        there(false).await;
        wanted.send_replace(Some(System));
        wait(START_DELAY).await;
        there(true).await;
        // A task at the screen begins: at once, without a moment in which all may sleep.
        wanted.send_replace(Some(Display));
        there(false).await;
        let display = dir.path().join("caffeinate.display");
        for _ in 0..3000 {
            if display.exists() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(display.exists());
        wanted.send_replace(Some(System));
        there(true).await;
        // As when the agent ends.
        keeping.abort();
        there(false).await;
    }
}
