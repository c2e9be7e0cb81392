//! A slot's share of the outside world: what the state machine's actions do.
//!
//! Each action runs by itself and answers with an input; which of them may run at the same time
//! is the state machine's business.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russet_protocol::ids::{AllocationId, TaskId};
use russet_protocol::runner::ClaimResponse;
use russet_protocol::secret::Secret;
use russet_protocol::supervise::{
    Assignment, Failure, FromLaunchAgent, ResultRecord, SlotUser, VERSION, exit as codes,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::claim::{Claimer, Presence};
use super::dirs::{self, SlotDir};
use super::journal::{self, Identity, Journal};
use super::state::slot::{Exit, Input};
use super::supervise::{LastWords, Link};
use super::token::Keeper;
use super::{Event, Shared, exit, grants, heartbeat, meter, policy, spawn, state};
use crate::clock::BootTime;
use crate::config::Class;
use crate::metrics::Failure as Trouble;
use crate::platform::darwin::user_domain;
use crate::platform::{Process, users};

/// How long a task agent that was just started has to dial before a cancel comes as a signal.
const DIAL_TIME: Duration = Duration::from_secs(2);

/// The first milliseconds of a task are its own: the next task agent is started after them.
const SPARE_DELAY: Duration = Duration::from_millis(5);

/// A slot.
#[derive(Debug)]
pub(super) struct SlotIo {
    pub(super) shared: Arc<Shared>,
    pub(super) index: usize,
    pub(super) number: u32,
    /// `None`: the slot is not configured any more.
    pub(super) class: Option<Arc<Class>>,
    /// What is known about the class's token.
    pub(super) token: Arc<Presence>,
    pub(super) dir: SlotDir,
    pub(super) lease: users::Lease,
    pub(super) link: Arc<Link>,
    pub(super) inputs: mpsc::UnboundedSender<state::Input>,
    task: Mutex<Task>,
}

/// What there is of a task.
#[derive(Debug, Default)]
pub(super) struct Task {
    pub(super) journal: Option<Journal>,
    process: Option<Arc<Process>>,
    heartbeat: Option<tokio::task::AbortHandle>,
    /// Waits for the end of an adopted task agent.
    watch: Option<tokio::task::AbortHandle>,
    /// A task agent that waits for the next assignment.
    spare: Option<spawn::Spawned>,
    /// The task agent said that it emptied its directories.
    emptied: bool,
    claim: Option<CancellationToken>,
    /// The task, until metrics have it.
    pub(super) meter: Option<meter::Meter>,
    /// What the claimed task may have, until its agent is told.
    granted: grants::Granted,
    /// Keeps caches from being trimmed under a running task.
    pub(super) running: Option<tokio::sync::OwnedRwLockReadGuard<()>>,
}

/// What calls for a running task need.
#[derive(Clone, Debug)]
pub(super) struct TaskClaim {
    pub(super) token: Secret,
    pub(super) allocation: AllocationId,
    pub(super) heartbeat: Option<Duration>,
}

/// What makes a slot.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) shared: Arc<Shared>,
    pub(super) index: usize,
    pub(super) number: u32,
    pub(super) class: Option<Arc<Class>>,
    pub(super) token: Arc<Presence>,
    pub(super) dir: SlotDir,
    pub(super) lease: users::Lease,
    pub(super) link: Arc<Link>,
    pub(super) inputs: mpsc::UnboundedSender<state::Input>,
}

impl SlotIo {
    /// A slot without a task.
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { shared, index, number, class, token, dir, lease, link, inputs } = parts;
        let task = Mutex::default();
        Self { shared, index, number, class, token, dir, lease, link, inputs, task }
    }

    /// Tells the state machine.
    pub(super) fn input(&self, input: Input) {
        // Nobody listens any more when the launch agent ends.
        drop(self.inputs.send(state::Input::Slot(self.index, input)));
    }

    pub(super) fn with<T>(&self, change: impl FnOnce(&mut Task) -> T) -> T {
        // A panic while it was held can not have left half a change: each is one assignment.
        change(&mut self.task.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub(super) fn journal(&self) -> Option<Journal> {
        self.with(|task| task.journal.clone())
    }

    /// The task in it, as the status calls it.
    pub(super) fn task_id(&self) -> Option<TaskId> {
        self.with(|task| task.journal.as_ref()?.shown.id.clone())
    }

    /// What calls for the running task need.
    pub(super) fn claim_of_task(&self) -> Option<TaskClaim> {
        self.with(|task| {
            task.journal.as_ref().map(|journal| TaskClaim {
                token: journal.assignment.token.clone(),
                allocation: journal.allocation.clone(),
                heartbeat: journal.heartbeat_ms.map(Duration::from_millis),
            })
        })
    }

    /// Makes what ends the claim that is about to begin. It is there before the claim itself runs,
    /// so that one that is dropped at once is dropped.
    pub(super) fn begin_claim(&self) -> CancellationToken {
        let dropped = CancellationToken::new();
        self.with(|task| task.claim = Some(dropped.clone()));
        dropped
    }

    /// Claims until there is a task.
    pub(super) async fn claim(self: Arc<Self>, dropped: CancellationToken) {
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
    pub(super) fn drop_claim(&self) {
        if let Some(claim) = self.with(|task| task.claim.take()) {
            claim.cancel();
        }
    }

    fn claimed(&self, class: &Class, claimed: ClaimResponse) {
        self.meter_claimed();
        if let Some(warning) = &claimed.warning {
            tracing::warn!(warning, "the control plane could not register this runner");
        }
        let refused = policy::refusal(class, &claimed);
        match &refused {
            None => {
                tracing::info!(
                    slot = self.number,
                    allocation = %claimed.allocation,
                    job = claimed.job,
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

    /// Shows people the task of a journal.
    fn show(&self, journal: &Journal) {
        let Shared { sink, clock, .. } = &*self.shared;
        sink.outputs.begin(self.number);
        sink.board.begin(self.number, journal.shown.clone(), clock.wall_ms());
        sink.say(Event::Claimed { slot: self.number, job: journal.shown.job.clone() });
    }

    fn show_deadline(&self, deadline: BootTime) {
        let Shared { sink, clock, .. } = &*self.shared;
        let now_ms = clock.wall_ms();
        let left_ms = crate::clock::millis(deadline.since(clock.now()));
        sink.board.deadline(self.number, now_ms.saturating_add(left_ms), now_ms);
    }

    /// Starts the task agent for the claimed task.
    pub(super) async fn start(self: Arc<Self>) {
        let deadline = self.shared.clock.now().after(self.shared.config.max_run_time);
        match self.try_start(deadline).await {
            Ok(child) => {
                self.input(Input::Started { deadline });
                self.watch_child(child).await;
            }
            Err(error) => {
                tracing::error!(slot = self.number, %error, "could not start a task agent");
                self.shared.metrics.failed(Trouble::NotStarted);
                self.input(Input::NotStarted(format!("could not start the task agent: {error}")));
            }
        }
    }

    async fn try_start(self: &Arc<Self>, deadline: BootTime) -> io::Result<tokio::process::Child> {
        let mut journal =
            self.journal().ok_or_else(|| io::Error::other("there is no claimed task"))?;
        if let Some(why) = self.absence().await {
            return Err(io::Error::other(why));
        }
        if journal.assignment.dirs.work != self.dir.paths.work {
            dirs::make_work(&journal.assignment.dirs.work, &self.lease.user)?;
        }
        let running = Arc::clone(&self.shared.tasks).read_owned().await;
        self.with(|task| task.running = Some(running));
        let spawn::Spawned { mut child, pid } = self.take_agent()?;
        // Before it has a task, so before it has started anything.
        self.join_group(pid);
        // What is in it is about the task before.
        spawn::empty_log(&self.dir.fd)?;
        let process = Process::open(pid).map(Arc::new);
        journal.process = Some(Identity::of(pid));
        journal.assignment.deadline = Some(self.shared.clock.deadline(deadline));
        self.show_deadline(deadline);
        // Before the task agent has its assignment: a task that runs is always in the journal.
        journal.write(&self.dir.fd)?;
        self.link.begin(&journal.allocation);
        spawn::assign(&mut child, &self.told(&journal)).await?;
        self.with(|task| {
            task.process = process.ok();
            task.journal = Some(journal);
        });
        self.meter_started();
        self.begin_heartbeat();
        Ok(child)
    }

    /// What the task agent is told: what is in the journal, and the credentials, which are not.
    fn told(&self, journal: &Journal) -> Assignment {
        let granted = self.with(|task| std::mem::take(&mut task.granted));
        Assignment {
            credentials: granted.credentials,
            withheld: granted.withheld,
            ..journal.assignment.clone()
        }
    }

    fn join_group(&self, pid: u32) {
        let Some(groups) = &self.shared.groups else { return };
        if let Err(error) = groups.put(self.number, pid) {
            // The slot's user is what ends its processes; the group is there besides.
            tracing::warn!(slot = self.number, %error, "the task has no control group of its own");
        }
    }

    fn take_agent(&self) -> io::Result<spawn::Spawned> {
        if let Some(mut spare) = self.with(|task| task.spare.take())
            && matches!(spare.child.try_wait(), Ok(None))
        {
            return Ok(spare);
        }
        let prefix = if self.is_gui() {
            user_domain::in_session(self.lease.user.uid)
        } else {
            self.shared.config.command_prefix.clone()
        };
        spawn::task_agent(&self.shared.staged.exe, &prefix, &self.dir.fd)
    }

    /// Starts the next task agent, which waits for its assignment: the time that a process takes
    /// to start is not the next task's. A command prefix may do something of its own at the start
    /// of a task, so behind one there is no spare.
    pub(super) fn start_spare(&self) {
        let has_prefix = self.is_gui() || !self.shared.config.command_prefix.is_empty();
        if has_prefix || self.class.is_none() {
            return;
        }
        let waits = |task: &mut Task| match &mut task.spare {
            Some(spare) => matches!(spare.child.try_wait(), Ok(None)),
            None => false,
        };
        if !self.with(waits) {
            let spare = spawn::task_agent(&self.shared.staged.exe, &[], &self.dir.fd).ok();
            self.with(|task| task.spare = spare);
        }
    }

    fn begin_heartbeat(self: &Arc<Self>) {
        let beating = tokio::spawn(heartbeat::beat(Arc::clone(self))).abort_handle();
        self.with(|task| task.heartbeat = Some(beating));
    }

    /// The next task agent is started meanwhile, once this task is under way.
    async fn watch_child(&self, mut child: tokio::process::Child) {
        let early = tokio::select! {
            status = child.wait() => Some(status.ok()),
            () = self.shared.clock.sleep(SPARE_DELAY) => None,
        };
        self.start_spare();
        let status = match early {
            Some(status) => status,
            None => child.wait().await.ok(),
        };
        if status.is_some_and(|status| status.success()) {
            self.link.hear_out().await;
        }
        self.ended(status, "the task agent ended");
    }

    /// Goes on with a task agent that an earlier launch agent started.
    pub(super) async fn watch_adopted(self: Arc<Self>, process: Arc<Process>) {
        if let Err(error) = process.ended().await {
            tracing::warn!(slot = self.number, %error, "can not watch the task agent");
        }
        self.link.hear_out().await;
        self.ended(None, "the task agent ended without a word after a restart of the launch agent");
    }

    /// Takes over what an earlier launch agent left, before anything else happens in the slot.
    pub(super) fn adopt(self: &Arc<Self>, journal: Journal) -> Input {
        let found = journal.find(&self.shared.boot_id);
        let allocation = journal.allocation.clone();
        let deadline = journal.assignment.deadline.as_ref().map_or(0, |at| at.boot_ms);
        let user = journal.assignment.user.clone();
        self.show(&journal);
        let running = Arc::clone(&self.shared.tasks).try_read_owned().ok();
        self.meter_found();
        self.with(|task| {
            task.journal = Some(journal);
            task.running = running;
        });
        let gone = match found {
            journal::Found::Alive(process) => {
                let process = Arc::new(process);
                self.with(|task| task.process = Some(Arc::clone(&process)));
                self.link.begin(&allocation);
                self.begin_heartbeat();
                let watch = tokio::spawn(Arc::clone(self).watch_adopted(process)).abort_handle();
                self.with(|task| task.watch = Some(watch));
                self.shared.sink.outputs.adopt(self.number);
                tracing::info!(slot = self.number, %allocation, "adopted a running task");
                self.shared.metrics.adopted();
                self.show_deadline(BootTime(deadline));
                return Input::Adopted { deadline: BootTime(deadline) };
            }
            journal::Found::NeverStarted => {
                let reason = "the launch agent ended before the task was started".to_owned();
                return Input::Orphaned(Exit::NothingRan(reason));
            }
            journal::Found::Ended => "the task agent ended while no launch agent watched it",
            journal::Found::Rebooted => {
                self.shared.metrics.failed(Trouble::Rebooted);
                "the machine restarted"
            }
        };
        let record = self.record(user.as_ref());
        let said = spawn::agent_said(&self.dir.fd);
        let exit = exit::judge(None, record.as_ref(), &allocation, &said, gone);
        tracing::info!(slot = self.number, %allocation, "found a task of an earlier agent: {gone}");
        let outcome = exit::outcome(&exit, record.as_ref());
        self.meter_exit(&exit, outcome);
        self.shared.sink.say(Event::Ended { slot: self.number, outcome });
        Input::Orphaned(exit)
    }

    fn record(&self, user: Option<&SlotUser>) -> Option<ResultRecord> {
        self.dir.result(user.unwrap_or(&self.lease.user))
    }

    fn ended(&self, status: Option<std::process::ExitStatus>, gone: &str) {
        // What one says is the task agent's own word only together with its exit status. The exit
        // of an adopted one was told to nobody here; its words are believed as its record would
        // be, which a job can write as well.
        let words = self.link.end().filter(|words| {
            words.emptied && status.is_none_or(|status| status.code() == Some(codes::REPORTED))
        });
        let journal = self.with(|task| {
            task.emptied = words.is_some();
            if let Some(heartbeat) = task.heartbeat.take() {
                heartbeat.abort();
            }
            task.process = None;
            task.journal.clone()
        });
        let Some(journal) = journal else { return };
        let record = match words {
            Some(LastWords { outcome, left, .. }) => Some(ResultRecord {
                version: VERSION,
                allocation: journal.allocation.clone(),
                outcome,
                message: None,
                reported: true,
                left,
            }),
            None => self.record(journal.assignment.user.as_ref()),
        };
        if let Some(record) = record.as_ref().filter(|own| own.allocation == journal.allocation) {
            self.shared.left.add(&record.left);
        }
        // A task agent that reported says nothing that matters.
        let reported = status.is_some_and(|status| status.success());
        let said = if reported { String::new() } else { spawn::agent_said(&self.dir.fd) };
        let exit = exit::judge(status, record.as_ref(), &journal.allocation, &said, gone);
        let outcome = exit::outcome(&exit, record.as_ref());
        tracing::info!(
            slot = self.number,
            allocation = %journal.allocation,
            outcome = outcome.map(russet_protocol::outcome::Outcome::as_str),
            "the task agent has ended"
        );
        self.meter_exit(&exit, outcome);
        self.shared.sink.outputs.ended(self.number, journal.shown.id.as_ref());
        if let Exit::Died(reason) | Exit::NothingRan(reason) = &exit {
            self.shared.sink.warn(format!("slot {}: {reason}", self.number));
        }
        self.shared.sink.say(Event::Ended { slot: self.number, outcome });
        self.input(Input::Exited(exit));
    }

    /// Whether the task agent that ended last said that it emptied its directories; said once.
    pub(super) fn take_emptied(&self) -> bool {
        self.with(|task| std::mem::take(&mut task.emptied))
    }

    /// Tells the task agent to end the task.
    pub(super) async fn cancel(self: Arc<Self>, failure: Failure) {
        tracing::info!(slot = self.number, reason = failure.message, "canceling the task");
        let Failure { outcome, message: reason } = failure;
        if self.link.cancel(FromLaunchAgent::Cancel { outcome, reason }) {
            return;
        }
        // It is told when it dials. One that does not (or is none of ours) gets a signal.
        self.shared.clock.sleep(DIAL_TIME).await;
        if self.link.peer_pid().is_none() {
            self.signal(nix::sys::signal::Signal::SIGTERM);
        }
    }

    /// Kills the task agent, not asking it.
    pub(super) fn kill(&self) {
        self.signal(nix::sys::signal::Signal::SIGKILL);
        // Behind a prefix (sudo), what was started here is not the task agent itself.
        if let Some(pid) = self.link.peer_pid()
            && let Ok(process) = Process::open(pid)
            && crate::platform::user_of(pid) == Some(self.lease.user.uid)
        {
            // It may be gone by now, which is what is wanted.
            drop(process.signal(nix::sys::signal::Signal::SIGKILL));
        }
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let Some(process) = self.with(|task| task.process.clone()) else { return };
        if let Err(error) = process.signal(signal) {
            tracing::debug!(slot = self.number, %error, "could not signal the task agent");
        }
    }

    pub(super) async fn helper(
        &self,
        assignment: &Assignment,
    ) -> io::Result<(std::process::ExitStatus, String)> {
        let never = std::future::pending();
        spawn::helper(&self.shared.staged.exe, &self.dir.fd, assignment, never).await
    }

    /// As [`Self::helper`], for no longer than this.
    pub(super) async fn helper_within(
        &self,
        assignment: &Assignment,
        longest: Duration,
    ) -> io::Result<(std::process::ExitStatus, String)> {
        let too_long = self.shared.clock.sleep(longest);
        spawn::helper(&self.shared.staged.exe, &self.dir.fd, assignment, too_long).await
    }

    /// The launch agent ends; the task agent does not.
    pub(super) fn close(&self) {
        self.with(|task| {
            for background in [task.heartbeat.take(), task.watch.take()].into_iter().flatten() {
                background.abort();
            }
        });
    }

    /// The way that the slot's user has to go to reach the slot.
    pub(super) fn obstacle(path: &Path, user: &SlotUser) -> Option<PathBuf> {
        dirs::obstacle(path, user)
    }
}
