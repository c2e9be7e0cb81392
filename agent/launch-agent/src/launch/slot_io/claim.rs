//! Claiming a task for a slot.

use std::sync::Arc;

use russet_protocol::runner::ClaimResponse;
use tokio_util::sync::CancellationToken;

use super::SlotIo;
use crate::config::Class;
use crate::launch::claim::Claimer;
use crate::launch::state::slot::Input;
use crate::launch::token::Keeper;
use crate::launch::{grants, policy};

impl SlotIo {
    /// Makes what ends the claim that is about to begin. It is there before the claim itself runs,
    /// so that one that is dropped at once is dropped.
    pub(in crate::launch) fn begin_claim(&self) -> CancellationToken {
        let dropped = CancellationToken::new();
        self.with(|task| task.claim = Some(dropped.clone()));
        dropped
    }

    /// Claims until there is a task.
    pub(in crate::launch) async fn claim(self: Arc<Self>, dropped: CancellationToken) {
        let Some(class) = self.class.clone() else { return };
        let keeper = Arc::new(Keeper::new(&self.shared.config, &class));
        if !self.session_is_there(&dropped).await {
            self.input(Input::ClaimDropped);
            return;
        }
        let claimer = Claimer {
            api: &self.shared.api,
            clock: &self.shared.clock,
            sink: &self.shared.sink,
            class: &class,
            metrics: &self.shared.metrics,
            keeper: &keeper,
            server: &self.shared.server,
            token: &self.token,
            request: &self.shared.request,
            api_url: &self.shared.config.api_url,
        };
        match claimer.claim(&dropped).await {
            Some(claimed) => self.claimed(&class, *claimed),
            None => self.input(Input::ClaimDropped),
        }
    }

    /// Ends a claim that waits.
    pub(in crate::launch) fn drop_claim(&self) {
        if let Some(claim) = self.with(|task| task.claim.take()) {
            claim.cancel();
        }
    }

    fn claimed(&self, class: &Class, claimed: ClaimResponse) {
        self.meter_claimed();
        if let Some(warning) = &claimed.warning {
            tracing::warn!(warning, "the control plane took the claim with a warning");
        }
        let refused = policy::refusal(class, &claimed);
        match &refused {
            None => {
                tracing::info!(
                    slot = self.number,
                    allocation = %claimed.allocation,
                    job = claimed.task_name(),
                    project = claimed.project,
                    "claimed a task"
                );
            }
            Some(reason) => self.shared.sink.warn(format!("refused a task: {reason}")),
        }
        let granted = match &refused {
            None => grants::grant(&self.shared.config, class, &claimed),
            Some(_) => grants::Granted::default(),
        };
        let journal = self.make_journal(class, claimed);
        if refused.is_none() {
            self.show(&journal);
        }
        // Should this process end now, the next one gives the task back.
        if let Err(error) = journal.write(&self.dir.fd) {
            tracing::error!(slot = self.number, %error, "could not write the journal");
        }
        self.with(|task| {
            task.journal = Some(journal);
            task.granted = granted;
        });
        self.input(Input::Claimed { refused });
    }
}
