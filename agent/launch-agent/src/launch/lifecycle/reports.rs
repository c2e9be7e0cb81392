//! Reports to the control plane of how this machine is. Claims say it as well, but a class that is
//! held, or whose slots are all in trouble, sends none; and what changes is told at once.
//!
//! A machine at work sends no report: its claims and heartbeats say that it is there.

use std::sync::Arc;
use std::time::Duration;

use russet_protocol::local::{HealthCheck, HealthLevel, Hold, SlotState, State, Update};
use russet_protocol::machine::{MachineReport, RunnerOrders};
use russet_protocol::runner::{ClaimRequest, HeldSlot};
use tokio::sync::watch;

use crate::launch::server::{Answer, TokenSource};
use crate::launch::shared::Shared;
use crate::local_api::Keeper;

/// Interval of reports of a class that does not claim, where the control plane names none.
const REPORT_INTERVAL: Duration = Duration::from_secs(20);

/// Time for which a machine says nothing before it reports that it is there: the pauses between tasks, in
/// which a slot is cleaned, are shorter, and the next claim follows.
const SILENCE_TIME: Duration = Duration::from_secs(2);

/// Shortest interval that a control plane may name.
const MIN_REPORT_INTERVAL: Duration = Duration::from_millis(500);

/// Interval of reports to a control plane that knows no such call.
const UNKNOWN_INTERVAL: Duration = Duration::from_secs(600);

/// Time in which the last words of an agent have to arrive.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);

/// Part of a report whose change is told at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Essence {
    /// State, where it is not one of a machine at work.
    state: Option<State>,
    held_slots: Vec<HeldSlot>,
    holds: Vec<Hold>,
    bad: Vec<String>,
    lifted: Vec<String>,
    /// Set where neither claims nor heartbeats say that this machine is here.
    is_silent: bool,
    /// Stage of an update: a machine that waits for its tasks to end sends no claim that says it.
    update: Option<Update>,
}

impl Essence {
    fn of(shared: &Shared, class: usize) -> Self {
        let board = &shared.sink.board;
        let label = shared.config.classes.get(class).map_or("", |class| class.label.as_str());
        let update = board.status().update;
        // Each percent would be a call.
        let update = update.filter(|update| !matches!(update, Update::Downloading { .. }));
        Self {
            update,
            ..Self::of_report(board.machine_report(class, label), board.held_slots(class))
        }
    }

    fn of_report(report: MachineReport, held_slots: Vec<HeldSlot>) -> Self {
        let at_work = [State::Starting, State::Idle, State::Running, State::Offline];
        let state = Some(report.state).filter(|state| !at_work.contains(state));
        let talks = report.slots.iter().any(|slot| slot.state == SlotState::Busy)
            || (report.slots.iter().any(|slot| slot.state == SlotState::Free)
                && state.is_none()
                && report.holds.is_empty());
        let is_bad = |check: &HealthCheck| check.level == HealthLevel::Bad;
        let bad = report.findings.into_iter().filter(is_bad).map(|check| check.name);
        Self {
            state,
            held_slots,
            holds: report.holds,
            bad: bad.collect(),
            lifted: report.lifted,
            is_silent: !talks && !report.slots.is_empty(),
            update: None,
        }
    }

    fn news(&self, before: &Self) -> News {
        if self == before {
            News::Nothing
        } else if (Self { is_silent: before.is_silent, ..self.clone() }) == *before {
            News::Silence
        } else {
            News::Change
        }
    }

    /// Returns true where there is nothing that has to be said again and again: claims and heartbeats say
    /// the rest.
    fn is_quiet(&self) -> bool {
        *self == Self { update: self.update.clone(), ..Self::default() }
    }
}

/// Reports for as long as there is an agent, and hands on what the control plane wants.
pub(super) async fn report_state(shared: Arc<Shared>, keeper: Keeper) {
    let mut changes = shared.sink.board.watch();
    let mut told = vec![Essence::default(); shared.config.classes.len()];
    let mut interval = REPORT_INTERVAL;
    let mut is_asked = false;
    // The owner names none, and who looks at the machine wants to know: once, at the start.
    let mut unnamed: Vec<bool> =
        shared.config.classes.iter().map(|class| class.resource_class.is_none()).collect();
    loop {
        let mut is_quiet = true;
        for (class, before) in told.iter_mut().enumerate() {
            let now = Essence::of(&shared, class);
            // A board that has become quiet is reported once more.
            let is_unnamed = unnamed.get(class).copied().unwrap_or_default();
            if now.is_quiet() && now == *before && !is_asked && !is_unnamed {
                continue;
            }
            is_quiet &= now.is_quiet();
            match report_class(&shared, class, &keeper).await {
                Some(wanted) => {
                    interval = wanted;
                    unnamed.iter_mut().skip(class).take(1).for_each(|is| *is = false);
                }
                // It is asked again.
                None => is_quiet &= !is_unnamed,
            }
            *before = now;
        }
        is_asked = tokio::select! {
            () = shared.orders_wanted.notified() => true,
            () = until_news(&mut changes, || news(&shared, &told)) => false,
            // The plain timer: nothing is due at a certain time.
            () = tokio::time::sleep(interval), if !is_quiet => false,
        };
    }
}

/// Difference between what was reported and what is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum News {
    Nothing,
    /// The machine has begun or ended to say nothing.
    Silence,
    /// Anything else, which is told at once.
    Change,
}

/// Returns the most important difference of any class.
fn news(shared: &Shared, told: &[Essence]) -> News {
    let of_class = |(class, before): (usize, &Essence)| Essence::of(shared, class).news(before);
    (0..).zip(told).map(of_class).max().unwrap_or(News::Nothing)
}

/// Waits for a change that is to be told: at once, or where it is silence, when it has lasted.
async fn until_news<T>(changes: &mut watch::Receiver<T>, news: impl Fn() -> News) {
    while changes.changed().await.is_ok() {
        if news() == News::Silence {
            let passed =
                async { while news() == News::Silence && changes.changed().await.is_ok() {} };
            if tokio::time::timeout(SILENCE_TIME, passed).await.is_err() {
                return;
            }
        }
        if news() == News::Change {
            return;
        }
    }
}

/// Says goodbye for all classes, so that nobody takes this machine for lost.
pub(super) async fn say_goodbye(shared: &Arc<Shared>, is_update: bool) {
    for class in 0..shared.config.classes.len() {
        let Some((token, mut request)) = request_of(shared, class).await else { continue };
        if let Some(machine) = &mut request.machine {
            machine.is_leaving = true;
            if is_update {
                machine.state = State::Updating;
            }
        }
        let report = shared.api.report(&token, &request);
        if tokio::time::timeout(GOODBYE_TIMEOUT, report).await.is_err() {
            return;
        }
    }
}

/// Reports a class. Returns the interval after which the next report is wanted.
async fn report_class(shared: &Arc<Shared>, class: usize, keeper: &Keeper) -> Option<Duration> {
    let (token, request) = request_of(shared, class).await?;
    match shared.api.report(&token, &request).await {
        Answer::Done(orders) => {
            let RunnerOrders { report_ms, resource_class, pause } = orders;
            if let Some(name) = resource_class {
                shared.sink.board.name_class(class, &name, shared.clock.wall_ms());
            }
            keeper.set_server_pause(class, pause).await;
            let wanted = report_ms.map_or(REPORT_INTERVAL, Duration::from_millis);
            Some(wanted.max(MIN_REPORT_INTERVAL))
        }
        Answer::Gone(_) => Some(UNKNOWN_INTERVAL),
        Answer::Refused(error) | Answer::Failed(error) => {
            tracing::debug!(error, "could not report the state of this machine");
            None
        }
    }
}

async fn request_of(
    shared: &Arc<Shared>,
    index: usize,
) -> Option<(russet_protocol::secret::Secret, ClaimRequest)> {
    let class = shared.config.classes.get(index)?;
    let token = match Arc::new(TokenSource::new(&shared.config, class)).fetch().await {
        Ok(token) => token,
        Err(error) => {
            // The claims of the class say so.
            tracing::debug!(%error, "no token to report with");
            return None;
        }
    };
    let board = &shared.sink.board;
    let request = ClaimRequest {
        held_slots: board.held_slots(index),
        holds: board.class_holds(&class.label),
        update: board.status().update,
        xcodes: shared.xcodes.told(),
        runtimes: shared.xcodes.told_runtimes(),
        machine: Some(Box::new(shared.machine.report(board, index, &class.label))),
        ssh: shared.request.ssh.filter(|_| class.task_agent.is_none()),
        ..shared.request.clone()
    };
    Some((token, request))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use russet_protocol::local::{Hold, SlotState, State, Update};
    use russet_protocol::machine::{MachineReport, MachineSlot};
    use tokio::sync::watch;

    use super::{Essence, News, SILENCE_TIME, until_news};

    fn report(state: State, slots: &[SlotState]) -> MachineReport {
        let slot = |state: &SlotState| MachineSlot { state: *state, ..MachineSlot::default() };
        MachineReport { state, slots: slots.iter().map(slot).collect(), ..MachineReport::default() }
    }

    fn essence(report: MachineReport) -> Essence {
        Essence::of_report(report, Vec::new())
    }

    #[test]
    fn a_machine_at_work_has_nothing_to_report_and_one_that_claims_nothing_does() {
        for state in [State::Starting, State::Idle, State::Running, State::Offline] {
            assert!(essence(report(state, &[SlotState::Free])).is_quiet(), "{state:?}");
            assert!(essence(report(state, &[SlotState::Busy, SlotState::Held])).is_quiet());
        }
        assert!(!essence(report(State::Idle, &[SlotState::Cleaning])).is_quiet());
        assert!(!essence(report(State::Starting, &[SlotState::Cleaning])).is_quiet());
        assert!(!essence(report(State::Paused, &[SlotState::Busy])).is_quiet());
        let mut held = report(State::Idle, &[SlotState::Free]);
        held.holds = vec![Hold::default()];
        assert!(!essence(held).is_quiet());
        let ready = Update::WaitingForIdle { version: "2.0.0".to_owned() };
        let busy = essence(report(State::Running, &[SlotState::Busy]));
        let waiting = Essence { update: Some(ready), ..busy.clone() };
        assert!(waiting.is_quiet() && waiting != busy, "it is told once");
    }
    #[test]
    fn silence_alone_is_no_change_and_does_not_hide_one() {
        let busy = essence(report(State::Running, &[SlotState::Busy]));
        let cleaning = essence(report(State::Idle, &[SlotState::Cleaning]));
        assert_eq!(cleaning.news(&busy), News::Silence);
        assert_eq!(busy.news(&cleaning), News::Silence);
        assert_eq!(busy.news(&busy), News::Nothing);
        assert_eq!(essence(report(State::Paused, &[])).news(&busy), News::Change);
    }

    /// Makes changes, and returns how long until one was to be told.
    async fn told_after(changes: &[(Duration, News)]) -> Duration {
        let (board, mut watched) = watch::channel(News::Nothing);
        let start = tokio::time::Instant::now();
        let seen = board.subscribe();
        let make = async {
            for (pause, news) in changes {
                tokio::time::sleep(*pause).await;
                board.send_replace(*news);
            }
            std::future::pending().await
        };
        tokio::select! {
            () = until_news(&mut watched, || *seen.borrow()) => start.elapsed(),
            () = make => unreachable!(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_between_tasks_is_not_told_and_a_long_one_is() {
        let short = SILENCE_TIME / 2;
        let pauses = [
            (short, News::Silence),
            (short, News::Nothing),
            (short, News::Silence),
            (short, News::Nothing),
        ];
        let change = (short, News::Change);
        assert_eq!(told_after(&[pauses.as_slice(), &[change]].concat()).await, short * 5);
        assert_eq!(told_after(&[(short, News::Silence)]).await, short * 3);
        assert_eq!(told_after(&[(short, News::Silence), change]).await, short * 2);
    }
}
