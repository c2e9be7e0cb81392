//! Telling the control plane how a task ended whose agent did not, or handing it back.
//!
//! None of this is tied to the cancel of a task or to a drain: a task that nobody speaks for
//! stays in the way of others until its lease ends.

use std::sync::Arc;

use reqwest::StatusCode;
use russet_protocol::supervise::{Assignment, Failure, Mode, exit};

use super::helper::run_to_end;
use super::info::SlotInfo;
use super::meter::TaskMeter;
use super::processes::end_processes;
use super::record::TaskRecord;
use crate::launch::process::describe_status;
use crate::launch::server::Answer;
use crate::launch::slot_dir::Journal;
use crate::metrics::Failure as TroubleKind;
use crate::state::slot::{Input, Settlement};

/// Settles the tasks of a slot with the control plane.
#[derive(Debug)]
pub(super) struct Settler {
    pub(super) info: Arc<SlotInfo>,
    pub(super) record: Arc<TaskRecord>,
    pub(super) meter: Arc<TaskMeter>,
}

impl Settler {
    /// Settles, and says whether it worked.
    pub(super) async fn settle(&self, settlement: Settlement) {
        let settled = match self.record.journal() {
            Some(journal) => {
                let settled = self.try_settle(&journal, &settlement).await;
                if settled {
                    self.meter.count_settled(&self.info, &settlement);
                }
                settled
            }
            // Without a claim there is nothing to settle.
            None => true,
        };
        self.info.send(if settled { Input::Settled } else { Input::NotSettled });
    }

    async fn try_settle(&self, journal: &Journal, settlement: &Settlement) -> bool {
        let user = journal.assignment.user.as_ref().unwrap_or_else(|| self.info.user());
        match settlement {
            Settlement::GiveBack(reason) => {
                end_processes(user, session_since(journal)).await;
                self.give_back(journal, reason).await
            }
            Settlement::Refuse(reason) => self.fail(journal, reason).await,
            Settlement::Report(failure) => {
                // Its steps must not run on while the network is down and this waits.
                end_processes(user, session_since(journal)).await;
                if journal.assignment.mode == Mode::External {
                    let text = format!("{}: {}", failure.outcome, failure.message);
                    self.fail(journal, &text).await
                } else {
                    self.flush(journal, failure).await
                }
            }
        }
    }

    /// Hands the task back. A server that has had it back too often gets the reason instead.
    async fn give_back(&self, journal: &Journal, reason: &str) -> bool {
        self.info
            .shared
            .sink
            .warn(format!("slot {}: gave a task back: {reason}", self.info.number));
        let Some(task_id) = &journal.task_id else {
            return self.unclaim_as_user(journal, reason).await;
        };
        match self.info.shared.api.unclaim(task_id, &journal.assignment.token).await {
            Answer::Done(()) => true,
            Answer::Gone(StatusCode::CONFLICT) => self.fail(journal, reason).await,
            Answer::Gone(_) => true,
            // It takes no task back; that it is not run here it may still want to know.
            Answer::Refused(_) => self.fail(journal, reason).await,
            Answer::Failed(error) => self.not_settled(&error),
        }
    }

    /// A server that does not name the task in the claim names it in the task's config, which
    /// holds what the project says; so the slot's user reads it. Where that names none either, the
    /// task cannot be given back, and the server hears at once that it is not run.
    async fn unclaim_as_user(&self, journal: &Journal, reason: &str) -> bool {
        let assignment = Assignment { mode: Mode::Unclaim, ..journal.assignment.clone() };
        match run_to_end(&self.info, &assignment).await {
            Ok((status, _)) if status.code() == Some(exit::REPORTED) => true,
            _ => self.fail(journal, reason).await,
        }
    }

    async fn fail(&self, journal: &Journal, message: &str) -> bool {
        let token = &journal.assignment.token;
        let now = self.info.shared.clock.wall_ms();
        match self.info.shared.api.fail(token, &journal.allocation, now, message).await {
            Answer::Done(()) | Answer::Gone(_) => true,
            Answer::Refused(error) => {
                let slot = self.info.number;
                tracing::warn!(slot, error, "the control plane does not want to hear of a task");
                true
            }
            Answer::Failed(error) => self.not_settled(&error),
        }
    }

    /// Sends what the task agent left in its spool, and the outcome, as the slot's user.
    async fn flush(&self, journal: &Journal, failure: &Failure) -> bool {
        let assignment = Assignment {
            mode: Mode::Flush,
            failure: Some(failure.clone()),
            ..journal.assignment.clone()
        };
        match run_to_end(&self.info, &assignment).await {
            Ok((status, _)) if matches!(status.code(), Some(exit::REPORTED | exit::STALE)) => true,
            Ok((status, said)) => {
                self.not_settled(&format!("the helper {}: {said}", describe_status(status)))
            }
            Err(error) => self.not_settled(&error.to_string()),
        }
    }

    fn not_settled(&self, reason: &str) -> bool {
        self.info.shared.metrics.failed(TroubleKind::NotSettled);
        tracing::warn!(
            slot = self.info.number,
            reason,
            "could not tell the control plane how a task ended; it is tried again"
        );
        false
    }
}

/// In a session at the screen, what is older than the task agent is the session's.
fn session_since(journal: &Journal) -> Option<u64> {
    let began = journal.process.as_ref().map_or(u64::MAX, |process| process.start);
    journal.assignment.gui.as_ref().map(|_| began)
}
