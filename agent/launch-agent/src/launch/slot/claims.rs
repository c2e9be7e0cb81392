//! The claims of a slot, from the call to the journal of the task that it brings.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use russet_protocol::ids::AllocationId;
use russet_protocol::runner::ClaimResponse;
use tokio_util::sync::CancellationToken;

use super::info::SlotInfo;
use super::meter::TaskMeter;
use super::record::TaskRecord;
use super::session::wait_for_session;
use super::xcode::wait_for_xcode;
use crate::board::Event;
use crate::config::Class;
use crate::crash_points::CrashPoint;
use crate::launch::admission::{Granted, find_refusal, grant_credentials};
use crate::launch::server::{Claimer, LogOnce, TokenSource};
use crate::launch::shared::Shared;
use crate::launch::slot_dir::Journal;
use crate::state::slot::Input;

/// Claims tasks for a slot.
#[derive(Debug)]
pub(super) struct SlotClaims {
    info: Arc<SlotInfo>,
    record: Arc<TaskRecord>,
    meter: Arc<TaskMeter>,
    /// Troubles with the class's token that were logged.
    token: Arc<LogOnce>,
    /// Ends the claim that waits.
    outstanding: Mutex<Option<CancellationToken>>,
    /// Id of the next task's claim, the same in each call until one is answered with a task: where an
    /// answer was lost, also of a claim that was dropped meanwhile, the next one is its task.
    allocation: Mutex<AllocationId>,
}

impl SlotClaims {
    pub(super) fn new(
        info: Arc<SlotInfo>,
        record: Arc<TaskRecord>,
        meter: Arc<TaskMeter>,
        token: Arc<LogOnce>,
    ) -> Self {
        let allocation = Mutex::new(AllocationId::generate());
        Self { info, record, meter, token, outstanding: Mutex::default(), allocation }
    }

    /// Makes what ends the claim that is about to begin. It is there before the claim itself runs,
    /// so that one that is dropped at once is dropped.
    pub(super) fn begin(&self) -> CancellationToken {
        let dropped = CancellationToken::new();
        *self.outstanding.lock().unwrap_or_else(PoisonError::into_inner) = Some(dropped.clone());
        dropped
    }

    /// Claims until there is a task.
    pub(super) async fn claim(&self, dropped: CancellationToken) {
        let info = &*self.info;
        let Some(class) = info.class.clone() else { return };
        let token_source = Arc::new(TokenSource::new(&info.shared.config, &class));
        if !wait_for_session(info, &dropped).await || !wait_for_xcode(info, &dropped).await {
            info.send(Input::ClaimDropped);
            return;
        }
        let claimer = Claimer {
            class_index: info.class_index().unwrap_or_default(),
            api: &info.shared.api,
            clock: &info.shared.clock,
            sink: &info.shared.sink,
            class: &class,
            metrics: &info.shared.metrics,
            token_source: &token_source,
            server: &info.shared.server,
            token: &self.token,
            request: &info.shared.request,
            allocation: self.allocation().clone(),
            machine: &info.shared.machine,
            orders_wanted: &info.shared.orders_wanted,
            xcodes: &info.shared.xcodes,
            api_url: &info.shared.config.api_url,
        };
        match claimer.claim(&dropped).await {
            Some(claimed) => {
                *self.allocation() = AllocationId::generate();
                self.take_task(&class, *claimed);
            }
            None => info.send(Input::ClaimDropped),
        }
    }

    fn allocation(&self) -> MutexGuard<'_, AllocationId> {
        self.allocation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a claim that waits.
    pub(super) fn drop_outstanding(&self) {
        let claim = self.outstanding.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(claim) = claim {
            claim.cancel();
        }
    }

    fn take_task(&self, class: &Class, claimed: ClaimResponse) {
        let info = &*self.info;
        CrashPoint::Claimed.pass();
        self.meter.note_claimed(info);
        if let Some(warning) = warning_of_claim(&claimed) {
            tracing::warn!(warning, "the control plane took the claim with a warning");
        }
        let refused = find_refusal(class, &claimed);
        match &refused {
            None => {
                tracing::info!(
                    slot = info.number,
                    allocation = %claimed.allocation,
                    job = claimed.task_name(),
                    project = claimed.project,
                    "claimed a task"
                );
            }
            Some(reason) => info.shared.sink.warn(format!("refused a task: {reason}")),
        }
        let granted = match &refused {
            None => grant_credentials(&info.shared.config, class, &claimed),
            Some(_) => Granted::default(),
        };
        let journal = info.make_journal(class, claimed);
        if refused.is_none() {
            show_task(info, &journal);
        }
        // Should this process end now, the next one gives the task back.
        if let Err(error) = journal.write(&info.dir.fd) {
            tracing::error!(slot = info.number, %error, "could not write the journal");
        }
        self.record.set_claimed(journal, granted);
        info.send(Input::Claimed { refused });
    }
}

/// Returns the server's warning. CircleCI's server sends an empty one with every claim.
fn warning_of_claim(claimed: &ClaimResponse) -> Option<&str> {
    claimed.warning.as_deref().filter(|text| !text.trim().is_empty())
}

/// Shows people the task of a journal.
pub(super) fn show_task(info: &SlotInfo, journal: &Journal) {
    let Shared { sink, clock, .. } = &*info.shared;
    sink.outputs.begin(info.number);
    sink.board.begin(info.number, journal.shown.clone(), clock.wall_ms());
    sink.send(Event::Claimed { slot: info.number, job: journal.shown.job.clone() });
}

#[cfg(test)]
mod tests {
    use super::warning_of_claim;

    #[test]
    fn an_empty_warning_is_none() {
        let claim = |warning: serde_json::Value| {
            let claim =
                serde_json::json!({"allocation": "a", "task_token": "t", "warning": warning});
            let claim = serde_json::from_value(claim).unwrap();
            warning_of_claim(&claim).map(str::to_owned)
        };
        for none in [serde_json::json!(null), serde_json::json!(""), serde_json::json!(" \n")] {
            assert_eq!(claim(none.clone()), None, "{none}");
        }
        assert_eq!(claim(serde_json::json!("old agent")).as_deref(), Some("old agent"));
    }
}
