//! Claiming: a long poll where the server knows it, back-off where it does not, patience where
//! it can not be reached, and a sentence that names the fix where it refuses.
//!
//! A claim never ends the launch agent: a service manager would only start it again, as fast as
//! it may, and nobody would read why.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use russet_protocol::runner::{ClaimRequest, ClaimResponse};
use tokio_util::sync::CancellationToken;

use super::api::{Api, ClaimAnswer};
use super::token::Keeper;
use super::{Event, Sink};
use crate::config::Class;
use crate::metrics::{self, Metrics};
use russet_platform::clock::Clock;
use russet_platform::http;

/// Pauses towards a server that answers at once that there is no work.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// An answer that took at least this long was a long poll.
const LONG_POLL: Duration = Duration::from_secs(1);

/// Pauses while the server can not be reached.
const FIRST_OFFLINE_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_OFFLINE_PAUSE: Duration = Duration::from_secs(30);

/// Pauses while the server refuses: only a person can change that.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// Pauses while there is no token to claim with: somebody may just be exchanging it.
const NO_TOKEN_PAUSE: Duration = Duration::from_secs(5);

/// The pause that a 429 asks for where it names none.
const BUSY_PAUSE: Duration = Duration::from_secs(10);

/// And the shortest that is kept where it names one: `Retry-After: 0` would be a loop.
const SHORTEST_BUSY_PAUSE: Duration = Duration::from_secs(1);

/// Last message about the control plane, so that it is logged once and not at every try, by
/// one slot and not by all.
#[derive(Debug, Default)]
pub(super) struct Presence(Mutex<Option<String>>);

impl Presence {
    /// Returns true if this is news.
    fn trouble(&self, kind: &str) -> bool {
        let Ok(mut last) = self.0.lock() else { return false };
        let news = last.as_deref() != Some(kind);
        *last = Some(kind.to_owned());
        news
    }

    /// Returns true if there was trouble before.
    fn well(&self) -> bool {
        self.0.lock().is_ok_and(|mut last| last.take().is_some())
    }
}

/// So soon after a claim a task that waits is there. A claim is not dropped sooner.
const GIVEN_SOON: Duration = Duration::from_millis(500);

/// State that claiming needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claimer<'a> {
    pub(super) api: &'a Api,
    pub(super) clock: &'a Clock,
    pub(super) sink: &'a Sink,
    pub(super) class: &'a Class,
    pub(super) metrics: &'a Metrics,
    /// Source of the class's token.
    pub(super) keeper: &'a Arc<Keeper>,
    /// Last message about the server.
    pub(super) server: &'a Presence,
    /// Last message about the token.
    pub(super) token: &'a Presence,
    pub(super) request: &'a ClaimRequest,
    pub(super) api_url: &'a str,
}

impl Claimer<'_> {
    /// Claims until there is a task, or until `dropped`: then there is none.
    pub(super) async fn claim(&self, dropped: &CancellationToken) -> Option<Box<ClaimResponse>> {
        let class = self.class.name();
        let backed_off = |answer, pause| {
            self.metrics.claim(&class, answer);
            self.metrics.backed_off(&class, pause);
            pause
        };
        let mut idle = http::backoff(FIRST_PAUSE, LONGEST_PAUSE);
        let mut offline = http::backoff(FIRST_OFFLINE_PAUSE, LONGEST_OFFLINE_PAUSE);
        loop {
            let asked = self.clock.now();
            let token = match self.keeper.fetch().await {
                Ok(token) => token,
                Err(reason) => {
                    self.no_token(&reason);
                    backed_off(metrics::Claim::NoToken, NO_TOKEN_PAUSE);
                    tokio::select! {
                        () = self.clock.sleep(NO_TOKEN_PAUSE) => continue,
                        () = dropped.cancelled() => return None,
                    }
                }
            };
            let update = self.sink.board.status().update;
            let request = ClaimRequest { update, ..self.request.clone() };
            let dropped_for_good = async {
                dropped.cancelled().await;
                // A claim that was just sent may have been given a task, which nobody would run
                // before its lease has lapsed. The plain timer: it is about a call on its way.
                tokio::time::sleep(GIVEN_SOON.saturating_sub(self.clock.now().since(asked))).await;
            };
            let answer = tokio::select! {
                // An answer that is here is taken, whatever else is wanted.
                biased;
                answer = self.api.claim(&token, &request) => answer,
                () = dropped_for_good => return None,
            };
            let pause = match answer {
                ClaimAnswer::Task(task) => {
                    self.reached();
                    self.metrics.claim(&class, metrics::Claim::Task);
                    return Some(task);
                }
                ClaimAnswer::NoWork => {
                    self.reached();
                    self.metrics.claim(&class, metrics::Claim::NoWork);
                    offline.reset();
                    if self.clock.now().since(asked) >= LONG_POLL {
                        idle.reset();
                        continue;
                    }
                    idle.next_pause()
                }
                ClaimAnswer::Busy(pause) => {
                    self.reached();
                    let pause = pause.unwrap_or(BUSY_PAUSE).max(SHORTEST_BUSY_PAUSE);
                    backed_off(metrics::Claim::Busy, pause)
                }
                ClaimAnswer::Offline(reason) => {
                    self.offline(&reason);
                    backed_off(metrics::Claim::Offline, offline.next_pause())
                }
                ClaimAnswer::Denied(_) if self.keeper.renew(&token) => {
                    tracing::info!(class = self.class.label, "read a new token");
                    backed_off(metrics::Claim::Denied, FIRST_PAUSE)
                }
                ClaimAnswer::Denied(reason) => {
                    self.denied(&reason);
                    backed_off(metrics::Claim::Denied, REFUSED_PAUSE)
                }
                ClaimAnswer::Refused(reason) => {
                    self.refused(&reason);
                    backed_off(metrics::Claim::Refused, REFUSED_PAUSE)
                }
            };
            tokio::select! {
                () = self.clock.sleep(pause) => {}
                () = dropped.cancelled() => return None,
            }
        }
    }

    fn reached(&self) {
        if self.server.well() {
            tracing::info!(url = self.api_url, "the control plane answers again");
            self.sink.say(Event::Online);
        }
        if self.token.well() {
            tracing::info!(class = self.class.label, "the token is accepted again");
        }
    }

    fn offline(&self, reason: &str) {
        if self.server.trouble("offline") {
            tracing::warn!(
                url = self.api_url,
                reason,
                "the control plane can not be reached; claiming goes on when it can"
            );
            self.sink.say(Event::Offline { reason: reason.to_owned() });
        }
    }

    fn no_token(&self, reason: &str) {
        if self.token.trouble(reason) {
            let label = &self.class.label;
            self.sink.error(format!("`{label}` claims nothing without a token: {reason}"));
        }
    }

    fn denied(&self, reason: &str) {
        if self.token.trouble("denied") {
            self.sink.error(format!(
                "{url} does not accept the token of `{label}` ({reason})\n  hint: the token was \
                 revoked or belongs to another server; make a new one with `russet token create \
                 NAMESPACE/NAME` and put it in `{label}`; running tasks go on, and claiming is \
                 tried again every minute",
                url = self.api_url,
                label = self.class.label,
            ));
        }
    }

    fn refused(&self, reason: &str) {
        if self.token.trouble(reason) {
            self.sink.error(format!(
                "{} refuses the claims of `{}`: {reason}\n  hint: look at `runner.name`, and that \
                 `api.url` is a control plane; it is tried again every minute",
                self.api_url, self.class.label
            ));
        }
    }
}
