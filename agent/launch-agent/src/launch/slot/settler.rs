//! Telling the control plane how a task ended whose agent did not, or handing it back.
//!
//! None of this is tied to the cancel of a task or to a drain: a task that nobody speaks for
//! stays in the way of others until its lease ends.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use russet_protocol::runner::UnclaimCause;
use russet_protocol::supervise::{Assignment, Failure, Mode, exit};

use super::helper::run_within;
use super::info::SlotInfo;
use super::meter::TaskMeter;
use super::processes::end_processes;
use super::record::TaskRecord;
use crate::crash_points::CrashPoint;
use crate::launch::process::describe_status;
use crate::launch::server::Answer;
use crate::launch::slot_dir::Journal;
use crate::metrics::Failure as TroubleKind;
use crate::state::slot::{Input, Settlement, Unsettled};

/// Timeout of the helper that sends what a task left. It stops by itself where the control plane
/// is away for an hour.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(65 * 60);

/// Timeout of the helper that gives a task back.
const UNCLAIM_TIMEOUT: Duration = Duration::from_secs(60);

/// Result of an attempt that the control plane answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    /// As meant.
    Done,
    /// It does not want the task back.
    NotTakenBack,
}

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
        // Without a claim there is nothing to settle.
        let Some(journal) = self.record.journal() else { return self.info.send(Input::Settled) };
        match self.try_settle(&journal, &settlement).await {
            Ok(Settled::Done) => {
                CrashPoint::Settled.pass();
                self.meter.count_settled(&self.info, &settlement);
                self.info.send(Input::Settled);
            }
            Ok(Settled::NotTakenBack) => self.info.send(Input::NotTakenBack),
            Err(reason) => {
                self.note_failure(&reason);
                self.info.send(Input::NotSettled(reason));
            }
        }
    }

    /// Logs that the control plane is not told any more how the task ended.
    pub(super) fn give_up(&self, reason: &str) {
        self.meter.count_given_up(&self.info);
        self.info.shared.sink.error(format!(
            "slot {}: the control plane could not be told how a task ended, and is not asked any \
             more; it ends the task itself: {reason}",
            self.info.number
        ));
    }

    async fn try_settle(
        &self,
        journal: &Journal,
        settlement: &Settlement,
    ) -> Result<Settled, Unsettled> {
        let user = journal.assignment.user.as_ref().unwrap_or_else(|| self.info.user());
        match settlement {
            Settlement::GiveBack(cause, reason) => {
                end_processes(user, session_since(journal)).await;
                return self.give_back(journal, *cause, reason).await;
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
            Settlement::Fail(failure) => self.fail(journal, &failure.message).await,
        }
        .map(|()| Settled::Done)
    }

    /// Hands the task back. A server that does not take it knows of a step that began, or had it
    /// back too often.
    async fn give_back(
        &self,
        journal: &Journal,
        cause: UnclaimCause,
        reason: &str,
    ) -> Result<Settled, Unsettled> {
        let settled = match &journal.task_id {
            None => self.unclaim_as_user(journal).await,
            Some(task_id) => {
                let (api, token) = (&self.info.shared.api, &journal.assignment.token);
                match api.unclaim(task_id, token, cause).await {
                    Answer::Done(()) => Settled::Done,
                    Answer::Gone(StatusCode::CONFLICT) | Answer::Refused(_) => {
                        Settled::NotTakenBack
                    }
                    // It is not held by us any more.
                    Answer::Gone(_) => Settled::Done,
                    Answer::Failed(error) => return Err(Unsettled::Unanswered(error)),
                }
            }
        };
        let what = match settled {
            Settled::Done => "gave a task back",
            Settled::NotTakenBack => "the control plane does not take a task back",
        };
        self.info.shared.sink.warn(format!("slot {}: {what}: {reason}", self.info.number));
        Ok(settled)
    }

    /// A server that does not name the task in the claim names it in the task's config, which
    /// holds what the project says; so the slot's user reads it. Where that names none either, the
    /// task cannot be given back.
    async fn unclaim_as_user(&self, journal: &Journal) -> Settled {
        let assignment = Assignment { mode: Mode::Unclaim, ..journal.assignment.clone() };
        match run_within(&self.info, &assignment, UNCLAIM_TIMEOUT).await {
            Ok((status, _)) if status.code() == Some(exit::REPORTED) => Settled::Done,
            _ => Settled::NotTakenBack,
        }
    }

    async fn fail(&self, journal: &Journal, message: &str) -> Result<(), Unsettled> {
        let token = &journal.assignment.token;
        let now = self.info.shared.clock.wall_ms();
        match self.info.shared.api.fail(token, &journal.allocation, now, message).await {
            Answer::Done(()) | Answer::Gone(_) => Ok(()),
            Answer::Refused(error) => {
                let slot = self.info.number;
                tracing::warn!(slot, error, "the control plane does not want to hear of a task");
                Ok(())
            }
            Answer::Failed(error) => Err(Unsettled::Unanswered(error)),
        }
    }

    /// Sends what the task agent left in its spool, and the outcome, as the slot's user.
    async fn flush(&self, journal: &Journal, failure: &Failure) -> Result<(), Unsettled> {
        let assignment = Assignment {
            mode: Mode::Flush,
            failure: Some(failure.clone()),
            ..journal.assignment.clone()
        };
        let (status, said) = match run_within(&self.info, &assignment, FLUSH_TIMEOUT).await {
            Ok(ended) => ended,
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                return Err(Unsettled::HelperStuck(error.to_string()));
            }
            Err(error) => return Err(Unsettled::HelperFailed(error.to_string())),
        };
        let text = || format!("the helper {}: {said}", describe_status(status));
        match status.code() {
            Some(exit::REPORTED | exit::STALE) => Ok(()),
            Some(exit::NO_ANSWER) => Err(Unsettled::Unanswered(text())),
            _ => Err(Unsettled::HelperFailed(text())),
        }
    }

    fn note_failure(&self, reason: &Unsettled) {
        let (Unsettled::Unanswered(reason)
        | Unsettled::HelperFailed(reason)
        | Unsettled::HelperStuck(reason)) = reason;
        self.info.shared.metrics.failed(TroubleKind::NotSettled);
        tracing::warn!(
            slot = self.info.number,
            reason,
            "could not tell the control plane how a task ended"
        );
    }
}

/// In a session at the screen, what is older than the task agent is the session's.
fn session_since(journal: &Journal) -> Option<u64> {
    let began = journal.process.as_ref().map_or(u64::MAX, |process| process.start);
    journal.assignment.gui.as_ref().map(|_| began)
}
