//! A slot's share of the outside world: carrying out what the state machine decides.
//!
//! Each action runs by itself and answers with an input; which of them may run at the same time is
//! the state machine's business. Each part here owns one thing ([`TaskRecord`] the journal,
//! [`SlotClaims`] the claim, [`TaskAgentHandle`] the process …); [`SlotDriver`] holds them
//! together.

mod aside;
mod assignment;
mod claims;
mod clean;
mod external;
mod helper;
mod info;
mod meter;
mod processes;
mod record;
mod run;
mod session;
mod settler;
mod simulators;
mod xcode;

use std::pin::Pin;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};

use russet_protocol::ids::TaskId;

use super::caches::CacheUse;
use super::server::LogOnce;
use super::slot_dir::Journal;
use super::sockets::TaskAgentChannel;
use crate::state::slot::{Action, Input};
use aside::AsideKeeper;
use claims::SlotClaims;
use clean::SlotCleaner;
use meter::TaskMeter;
use record::TaskRecord;
use run::{Heartbeats, TaskAdopter, TaskAgentHandle, TaskAgentLauncher, TaskStarter, TaskWatcher};
use settler::Settler;

pub(super) use info::SlotInfo;

/// An action that takes time.
pub(super) type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Carries out the actions of one slot.
#[derive(Debug)]
pub(super) struct SlotDriver {
    pub(super) info: Arc<SlotInfo>,
    record: Arc<TaskRecord>,
    claims: SlotClaims,
    starter: TaskStarter,
    watcher: Arc<TaskWatcher>,
    adopter: TaskAdopter,
    cleaner: SlotCleaner,
    settler: Settler,
    aside: Arc<AsideKeeper>,
}

impl SlotDriver {
    /// A slot without a task. `token` holds the logged troubles with the token of its class.
    pub(super) fn new(
        info: SlotInfo,
        channel: Arc<TaskAgentChannel>,
        token: Arc<LogOnce>,
    ) -> Arc<Self> {
        let info = Arc::new(info);
        let record = Arc::<TaskRecord>::default();
        let meter = Arc::<TaskMeter>::default();
        let caches = Arc::<CacheUse>::default();
        let heartbeats = Arc::<Heartbeats>::default();
        let launcher = Arc::new(TaskAgentLauncher::new(Arc::clone(&info)));
        let agent = Arc::new(TaskAgentHandle::new(Arc::clone(&info), channel));
        let aside = Arc::new(AsideKeeper::new(Arc::clone(&info)));
        let starter = TaskStarter {
            info: Arc::clone(&info),
            aside: Arc::clone(&aside),
            record: Arc::clone(&record),
            meter: Arc::clone(&meter),
            launcher: Arc::clone(&launcher),
            agent: Arc::clone(&agent),
            heartbeats: Arc::clone(&heartbeats),
            caches: Arc::clone(&caches),
        };
        let watcher = Arc::new(TaskWatcher {
            info: Arc::clone(&info),
            record: Arc::clone(&record),
            meter: Arc::clone(&meter),
            launcher: Arc::clone(&launcher),
            agent,
            heartbeats,
        });
        let cleaner = SlotCleaner {
            info: Arc::clone(&info),
            record: Arc::clone(&record),
            launcher,
            caches: Arc::clone(&caches),
            aside: Arc::clone(&aside),
            refusals: AtomicU32::new(0),
            stuck: Mutex::default(),
        };
        let settler = Settler {
            info: Arc::clone(&info),
            record: Arc::clone(&record),
            meter: Arc::clone(&meter),
        };
        let claims = SlotClaims::new(Arc::clone(&info), Arc::clone(&record), meter, token);
        let adopter = TaskAdopter::new(Arc::clone(&watcher), caches);
        Arc::new(Self { info, record, claims, starter, watcher, adopter, cleaner, settler, aside })
    }

    /// Carries out an action, or returns the job that does.
    pub(super) fn act(self: &Arc<Self>, action: Action) -> Option<Job> {
        let slot = Arc::clone(self);
        match action {
            Action::DropClaim => slot.claims.drop_outstanding(),
            Action::Kill => slot.watcher.agent.kill(),
            Action::GiveUp(reason) => slot.settler.give_up(&reason),
            Action::Clean => return Some(Box::pin(async move { slot.cleaner.clean().await })),
            Action::Claim => {
                let dropped = slot.claims.begin();
                return Some(Box::pin(async move { slot.claims.claim(dropped).await }));
            }
            Action::Start => {
                return Some(Box::pin(async move {
                    if let Some(child) = slot.starter.start().await {
                        slot.watcher.watch_child(child).await;
                    }
                }));
            }
            Action::Cancel(failure) => {
                return Some(Box::pin(async move { slot.watcher.agent.cancel(failure).await }));
            }
            Action::Settle(settlement) => {
                return Some(Box::pin(async move { slot.settler.settle(settlement).await }));
            }
        }
        None
    }

    /// Takes over the task that an earlier launch agent left.
    pub(super) fn adopt(&self, journal: Journal) -> Input {
        self.adopter.adopt(journal)
    }

    /// The id of its task, as the status shows it.
    pub(super) fn task_id(&self) -> Option<TaskId> {
        self.record.task_id()
    }

    /// Holds the class back while its session at the screen is not there.
    pub(super) fn watch_session(&self) -> impl Future<Output = ()> + Send + use<> {
        session::watch_session(Arc::clone(&self.info))
    }

    /// Empties what is kept aside whenever that is due and the slot has no task.
    pub(super) fn keep_emptying(&self) -> impl Future<Output = ()> + Send + use<> {
        Arc::clone(&self.aside).keep_trying()
    }

    /// Ends what this launch agent does for the task; the task agent goes on.
    pub(super) fn close(&self) {
        self.watcher.heartbeats.stop();
        self.adopter.stop();
    }
}
