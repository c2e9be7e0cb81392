//! What goes on around the server while it can be reached: reports, requests, warnings, the end.

use std::time::Duration;

use futures_util::FutureExt as _;
use russet_platform::clock::{Clock, whole_millis};
use russet_protocol::ssh::{HoldOrders, HoldReport, MAX_EXTENSION_MS};
use russet_protocol::supervise::FromTaskAgent;
use russet_ssh_server::SshServer;
use tokio::sync::{mpsc, watch};

use super::control::Asked;
use super::hold::{Hold, HoldLimits};
use crate::hold_request::{HoldReply, HoldRequest};
use crate::task::journal::StepOutput;
use crate::task::stop::StopSignal;
use crate::task::supervisor::Supervisor;

/// Time between reports of a hold in which nothing changes.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Longest time by which requests in the task extend a hold, in all.
const MAX_EXTENSION: Duration = Duration::from_millis(MAX_EXTENSION_MS);

/// Reason why a hold ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HoldEnd {
    /// Its time is up, and nobody was connected.
    Idle,
    /// Its time is up, and somebody was.
    Longest,
    /// Somebody asked for it.
    Asked,
    /// The task stops.
    Stopped,
}

/// Watches over a server. One at a time waits for the next event.
pub(super) struct Manager {
    pub(super) server: SshServer,
    pub(super) limits: HoldLimits,
    pub(super) clock: Clock,
    pub(super) stop: StopSignal,
    pub(super) supervisor: std::sync::Arc<Supervisor>,
    pub(super) connected: watch::Receiver<u32>,
    pub(super) terminals: watch::Receiver<u64>,
    pub(super) asked: mpsc::Receiver<Asked>,
    pub(super) orders: watch::Receiver<HoldOrders>,
    pub(super) reports: watch::Sender<Option<HoldReport>>,
    /// Time that was asked for here.
    pub(super) asked_here: Duration,
    /// Time that was asked for at the control plane.
    pub(super) asked_there: Duration,
    /// Set once somebody asked to end it.
    pub(super) is_ending: bool,
}

impl Manager {
    /// Answers until `steps` have ended, and returns their answer.
    pub(super) async fn accompany<T>(&mut self, steps: impl Future<Output = T>) -> T {
        tokio::pin!(steps);
        loop {
            self.report(None);
            let mut not_yet = None;
            tokio::select! {
                answer = &mut steps => return answer,
                () = self.next_event(&mut not_yet) => {}
            }
        }
    }

    /// Holds the task, and returns why the hold ended.
    pub(super) async fn hold(&mut self, output: &StepOutput) -> HoldEnd {
        let sessions = *self.connected.borrow_and_update();
        let mut hold = Hold::begin(self.limits, self.clock.now(), sessions);
        // Whoever asked while the steps ran meant the hold.
        hold.extend(self.asked_here.saturating_add(self.asked_there));
        let mut shown = sessions;
        let mut hold = Some(hold);
        loop {
            // Whoever came or asked in time counts, even if the time is up before it was looked at.
            while self.next_event(&mut hold).now_or_never().is_some() {}
            let now = self.clock.now();
            self.report(hold.as_ref());
            let Some(current) = &mut hold else { return HoldEnd::Stopped };
            if self.stop.is_set() {
                return HoldEnd::Stopped;
            }
            if self.is_ending {
                return HoldEnd::Asked;
            }
            let sessions = *self.connected.borrow();
            if current.is_over(now) {
                return if sessions == 0 { HoldEnd::Idle } else { HoldEnd::Longest };
            }
            if sessions != shown {
                shown = sessions;
                let left = russet_text::format_duration(current.remaining(now));
                output.say(&format!("{}; held for {left} from now", connected_words(sessions)));
            }
            if let Some(remaining) = current.take_warning(now) {
                let left = russet_text::format_duration(remaining);
                self.server.tell(&format!(
                    "this task ends in {left}; `circleci-agent ssh extend 30m` holds it for longer"
                ));
            }
            let look = current.next_look(now).min(now.after(REPORT_INTERVAL));
            let (stop, clock) = (self.stop.clone(), self.clock.clone());
            tokio::select! {
                () = self.next_event(&mut hold) => {}
                () = clock.sleep_until(look) => {}
                () = stop.requested() => {}
            }
        }
    }

    /// Waits for something to happen, and takes it into account. May be dropped.
    async fn next_event(&mut self, hold: &mut Option<Hold>) {
        tokio::select! {
            Ok(()) = self.connected.changed() => {
                let sessions = *self.connected.borrow_and_update();
                if let Some(hold) = hold {
                    hold.connected(sessions, self.clock.now());
                }
            }
            Ok(()) = self.terminals.changed() => {
                if let Some(hold) = hold {
                    hold.tell_again();
                }
            }
            Some((request, reply)) = self.asked.recv() => {
                match request {
                    HoldRequest::Extend(by) => {
                        // A job can ask too, and holds its slot no longer than a day by it.
                        let left = MAX_EXTENSION.saturating_sub(self.asked_here);
                        let by = Duration::from_millis(by).min(left);
                        self.asked_here = self.asked_here.saturating_add(by);
                        if let Some(hold) = hold {
                            hold.extend(by);
                        }
                    }
                    HoldRequest::End => self.is_ending = true,
                }
                let remaining = self.remaining(hold.as_ref());
                let (waiting, remaining_ms) = (hold.is_some(), whole_millis(remaining));
                // Whoever asked may be gone.
                reply.send(HoldReply { waiting, remaining_ms }).ok();
            }
            Ok(()) = self.orders.changed() => {
                let orders = *self.orders.borrow_and_update();
                // Their sum: an answer that was lost changes nothing.
                let sum = Duration::from_millis(orders.extended_ms);
                let more = sum.saturating_sub(self.asked_there);
                if !more.is_zero() {
                    self.asked_there = sum;
                    if let Some(hold) = hold {
                        hold.extend(more);
                    }
                }
                self.is_ending |= orders.end;
            }
            else => std::future::pending().await,
        }
    }

    /// Returns the time until the hold ends; while steps run, that for which it will be held if nobody
    /// is connected then.
    fn remaining(&self, hold: Option<&Hold>) -> Duration {
        match hold {
            _ if self.is_ending => Duration::ZERO,
            Some(hold) => hold.remaining(self.clock.now()),
            None => {
                self.limits.idle.saturating_add(self.asked_here).saturating_add(self.asked_there)
            }
        }
    }

    /// Says how it goes, to the control plane and on the machine.
    fn report(&self, hold: Option<&Hold>) {
        let (sessions, waiting) = (*self.connected.borrow(), hold.is_some());
        let report =
            HoldReport { waiting, sessions, remaining_ms: whole_millis(self.remaining(hold)) };
        let before = self.reports.send_replace(Some(report));
        let is_same = before.is_some_and(|it| (it.sessions, it.waiting) == (sessions, waiting));
        if !is_same {
            self.supervisor.say(FromTaskAgent::Ssh { sessions, waiting });
        }
    }
}

/// Says how many are connected.
fn connected_words(sessions: u32) -> String {
    match sessions {
        0 => "nobody is connected any more".to_owned(),
        1 => "somebody is connected".to_owned(),
        count => format!("{count} sessions are connected"),
    }
}
