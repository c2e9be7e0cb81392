//! Claiming: a long poll where the server knows it, back-off where it does not, patience where
//! it cannot be reached, and a sentence that names the fix where it refuses.
//!
//! A claim never ends the launch agent: a service manager would only start it again, as fast as
//! it may, and nobody would read why.

use std::sync::Arc;
use std::time::Duration;

use russet_protocol::ids::AllocationId;
use russet_protocol::runner::{ClaimRequest, ClaimResponse};
use tokio_util::sync::CancellationToken;

use super::address;
use super::api::{Api, ClaimAnswer, LONG_POLL_SECONDS};
use super::log_once::LogOnce;
use super::machine_facts::MachineFacts;
use super::token::TokenSource;
use crate::board::Event;
use crate::config::Class;
use crate::health::xcodes::Xcodes;
use crate::launch::events::EventSink;
use crate::metrics::{self, Metrics};
use russet_platform::clock::Clock;
use russet_platform::http;

/// Pauses towards a server that answers at once that there is no work.
const FIRST_IDLE_INTERVAL: Duration = Duration::from_millis(50);
const MAX_IDLE_INTERVAL: Duration = Duration::from_secs(5);

/// An answer that took at least this long was a long poll.
const LONG_POLL: Duration = Duration::from_secs(1);

/// Pauses while the server cannot be reached.
const FIRST_OFFLINE_INTERVAL: Duration = Duration::from_millis(500);
const MAX_OFFLINE_INTERVAL: Duration = Duration::from_secs(30);

/// Pauses while the server refuses: only a person can change that.
const REFUSED_INTERVAL: Duration = Duration::from_secs(60);

/// Pauses while there is no token to claim with: somebody may just be exchanging it.
const NO_TOKEN_INTERVAL: Duration = Duration::from_secs(5);

/// The pause that a 429 asks for where it names none.
const BUSY_INTERVAL: Duration = Duration::from_secs(10);

/// And the shortest that is kept where it names one: `Retry-After: 0` would be a loop.
const MIN_BUSY_INTERVAL: Duration = Duration::from_secs(1);

/// Time after which a claim was given a task if one waits; a claim is not dropped sooner.
const MIN_CLAIM_TIME: Duration = Duration::from_millis(500);

/// Sends the claims of a class.
#[derive(Clone, Debug)]
pub(in crate::launch) struct Claimer<'a> {
    pub(in crate::launch) api: &'a Api,
    pub(in crate::launch) clock: &'a Clock,
    pub(in crate::launch) sink: &'a EventSink,
    pub(in crate::launch) class: &'a Class,
    /// Place of the class in the configuration.
    pub(in crate::launch) class_index: usize,
    pub(in crate::launch) metrics: &'a Metrics,
    /// The source of the class's token.
    pub(in crate::launch) token_source: &'a Arc<TokenSource>,
    /// Troubles with the control plane that were logged.
    pub(in crate::launch) server: &'a LogOnce,
    /// Troubles with the token that were logged.
    pub(in crate::launch) token: &'a LogOnce,
    pub(in crate::launch) request: &'a ClaimRequest,
    /// Id for the claim of the task that this brings; the same until there is one.
    pub(in crate::launch) allocation: AllocationId,
    /// Facts about this machine.
    pub(in crate::launch) machine: &'a MachineFacts,
    /// Rung where the control plane wants something that it says in the answer to a report.
    pub(in crate::launch) orders_wanted: &'a tokio::sync::Notify,
    /// Xcodes of this machine.
    pub(in crate::launch) xcodes: &'a Xcodes,
    pub(in crate::launch) api_url: &'a str,
}

impl Claimer<'_> {
    /// Claims until there is a task, or until `dropped`: then there is none.
    pub(in crate::launch) async fn claim(
        &self,
        dropped: &CancellationToken,
    ) -> Option<Box<ClaimResponse>> {
        let class = self.class.name();
        let backed_off = |answer, pause| {
            self.metrics.claim(&class, answer);
            self.metrics.backed_off(&class, pause);
            pause
        };
        let mut idle = http::backoff(FIRST_IDLE_INTERVAL, MAX_IDLE_INTERVAL);
        let mut offline = http::backoff(FIRST_OFFLINE_INTERVAL, MAX_OFFLINE_INTERVAL);
        loop {
            let asked = self.clock.now();
            let token = match self.token_source.fetch().await {
                Ok(token) => token,
                Err(error) => {
                    self.note_no_token(&error.to_string());
                    backed_off(metrics::Claim::NoToken, NO_TOKEN_INTERVAL);
                    tokio::select! {
                        () = self.clock.sleep(NO_TOKEN_INTERVAL) => continue,
                        () = dropped.cancelled() => return None,
                    }
                }
            };
            let update = self.sink.board.status().update;
            let ip = address::towards(self.api_url).map(|it| it.to_string()).unwrap_or_default();
            let held_slots = self.sink.board.held_slots(self.class_index);
            let (board, label) = (&self.sink.board, &self.class.label);
            let machine = self.machine.report(board, self.class_index, label);
            let known_pause = board.known_pause(label);
            let request = ClaimRequest {
                machine: Some(Box::new(machine)),
                update,
                ip,
                held_slots,
                holds: self.sink.board.class_holds(&self.class.label),
                xcodes: self.xcodes.told(),
                runtimes: self.xcodes.told_runtimes(),
                allocation: Some(self.allocation.clone()),
                // Another task agent than ours has its own.
                ssh: self.request.ssh.filter(|_| self.class.task_agent.is_none()),
                ..self.request.clone()
            };
            // After trouble the answer comes at once: people see within a second that it is over, and
            // not when a long poll ends.
            let has_trouble = self.server.has_trouble() || self.token.has_trouble();
            let wait_seconds = if has_trouble { 0 } else { LONG_POLL_SECONDS };
            let dropped_for_good = async {
                dropped.cancelled().await;
                // A claim that was just sent may have been given a task, which nobody would run
                // before its lease has lapsed. The plain timer: it is about a call on its way.
                tokio::time::sleep(MIN_CLAIM_TIME.saturating_sub(self.clock.now().since(asked)))
                    .await;
            };
            let answer = tokio::select! {
                // An answer that is here is taken, whatever else is wanted.
                biased;
                answer = self.api.claim(&token, &request, &known_pause, wait_seconds) => answer,
                () = dropped_for_good => return None,
            };
            let pause = match answer {
                ClaimAnswer::Task(task) => {
                    self.note_reached();
                    self.metrics.claim(&class, metrics::Claim::Task);
                    return Some(task);
                }
                ClaimAnswer::NoWork(pause) => {
                    self.note_reached();
                    if pause.is_some_and(|pause| pause != known_pause) {
                        self.orders_wanted.notify_one();
                    }
                    self.metrics.claim(&class, metrics::Claim::NoWork);
                    offline.reset();
                    if self.clock.now().since(asked) >= LONG_POLL {
                        idle.reset();
                        continue;
                    }
                    idle.next_pause()
                }
                ClaimAnswer::Busy(pause) => {
                    self.note_reached();
                    let pause = pause.unwrap_or(BUSY_INTERVAL).max(MIN_BUSY_INTERVAL);
                    backed_off(metrics::Claim::Busy, http::with_jitter(pause))
                }
                ClaimAnswer::Offline(reason, asked) => {
                    self.note_offline(&reason);
                    backed_off(metrics::Claim::Offline, http::next_pause(&mut offline, asked))
                }
                ClaimAnswer::Denied(_) if self.token_source.renew(&token) => {
                    tracing::info!(class = self.class.label, "read a new token");
                    backed_off(metrics::Claim::Denied, FIRST_IDLE_INTERVAL)
                }
                ClaimAnswer::Denied(reason) => {
                    self.note_denied(&reason);
                    backed_off(metrics::Claim::Denied, REFUSED_INTERVAL)
                }
                ClaimAnswer::Refused(reason) => {
                    self.note_refused(&reason);
                    backed_off(metrics::Claim::Refused, REFUSED_INTERVAL)
                }
            };
            tokio::select! {
                () = self.clock.sleep(pause) => {}
                () = dropped.cancelled() => return None,
            }
        }
    }

    fn note_reached(&self) {
        if self.server.note_recovery() {
            tracing::info!(url = self.api_url, "the control plane answers again");
            self.sink.send(Event::Online);
        }
        if self.token.note_recovery() {
            tracing::info!(class = self.class.label, "the token is accepted again");
        }
    }

    fn note_offline(&self, reason: &str) {
        if self.server.note_trouble("offline") {
            tracing::warn!(
                url = self.api_url,
                reason,
                "the control plane cannot be reached; claiming goes on when it can"
            );
            self.sink.send(Event::Offline { reason: reason.to_owned() });
        }
    }

    fn note_no_token(&self, reason: &str) {
        if self.token.note_trouble(reason) {
            let label = &self.class.label;
            self.sink.error(format!("`{label}` claims nothing without a token: {reason}"));
        }
    }

    fn note_denied(&self, reason: &str) {
        if self.token.note_trouble("denied") {
            self.sink.error(format!(
                "{url} does not accept the token of `{label}` ({reason})\n  hint: the token was \
                 revoked, expired, or belongs to another server; make a new one with `russet token create \
                 NAMESPACE/NAME` and put it in `{label}`; running tasks go on, and claiming is \
                 tried again every minute",
                url = self.api_url,
                label = self.class.label,
            ));
        }
    }

    fn note_refused(&self, reason: &str) {
        if self.token.note_trouble(reason) {
            self.sink.error(format!(
                "{} refuses the claims of `{}`: {reason}\n  hint: look at `runner.name`, and that \
                 `api.url` is a control plane; it is tried again every minute",
                self.api_url, self.class.label
            ));
        }
    }
}
