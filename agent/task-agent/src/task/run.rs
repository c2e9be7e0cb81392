//! One task, from its config to its report.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use russet_protocol::ids::AllocationId;
use russet_protocol::outcome::Outcome;
use russet_protocol::runner::{FinishMissing, FinishRequest};
use russet_protocol::supervise::{
    Assignment, FromTaskAgent, ResultRecord, SlotDirs, Tidy, VERSION, exit,
};
use russet_protocol::task::TaskConfig;
use tokio::signal::unix::{SignalKind, signal};

use super::api::{Api, ApiError};
use super::assemble::{Tools, assemble_job};
use super::clean::{Cleaned, Reach};
use super::events::Events;
use super::heartbeat;
use super::history::History;
use super::kept::KeptDirectories;
use super::owner_step::OwnerSteps;
use super::reaper::Reaper;
use super::spool::Spool;
use super::stop::{Stop, StopSignal};
use super::storage::Local;
use super::supervisor::Supervisor;
use super::upload::Uploader;
use super::{clean, home, hooks, job, record, setup, ssh, warm_up};
use crate::stderr::{log_to_stderr, print_error};
use russet_platform::clock::{BootTime, Clock};

/// Time after its deadline in which a task may still be reported. The launch agent takes over a
/// minute after the deadline.
const REPORT_GRACE: Duration = Duration::from_secs(45);

/// A report that takes longer is worth a synced record: it may be all that is left of the outcome.
/// Before that the record only has to outlive this process, not the power, whose loss is an
/// infrastructure failure in any case.
const PROMPT_REPORT: Duration = Duration::from_secs(1);

/// A server that refuses `finish` more often than this does not know what it wants.
const MOST_FINISHES: usize = 20;

/// Directories that were opened while this process was root.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) local: Local,
    pub(crate) reach: Reach,
    pub(crate) kept: KeptDirectories,
}

/// Runs the assigned task and returns the exit code.
pub(crate) fn run_process(assignment: Assignment, opened: Opened) -> i32 {
    log_to_stderr();
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(run_task(assignment, opened));
            // A reader of a terminal that is never closed must not keep us.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            print_error(&error);
            exit::NOT_REPORTED
        }
    }
}

async fn run_task(assignment: Assignment, opened: Opened) -> i32 {
    let clock = Clock::system();
    let stop = StopSignal::new();
    let deadline = deadline_of(&assignment, &clock);
    let supervisor = Arc::new(Supervisor::start(
        assignment.supervisor.clone(),
        assignment.allocation.clone(),
        clock.clone(),
        stop.clone(),
    ));
    if let Err(error) = listen_for_signals(&stop) {
        print_error(&error);
    }
    let api = match Api::new(&assignment, clock.clone(), deadline.after(REPORT_GRACE)) {
        Ok(api) => api,
        Err(error) => return leave_unreported(&assignment, &error),
    };
    let config = tokio::select! {
        config = fetch_config(&api) => config,
        () = stop.requested() => Err(ApiError::GaveUp {
            call: "get the task's config",
            last: "the task was stopped".to_owned(),
        }),
    };
    match config {
        Ok(config) => {
            let Opened { local, reach, kept } = opened;
            let local = Arc::new(local);
            let running = Running { clock, stop, deadline, supervisor, api, local, reach, kept };
            running.run(assignment, config).await
        }
        Err(ApiError::Stale(why)) => {
            print_error(&why);
            exit::STALE
        }
        Err(error) => leave_unreported(&assignment, &error),
    }
}

async fn fetch_config(api: &Api) -> Result<TaskConfig, ApiError> {
    api.json("get the task's config", || api.request(Method::GET, "/api/v2/task/config")).await
}

/// The launch agent is told through the exit code, and reports in our place.
fn leave_unreported(assignment: &Assignment, error: &dyn std::fmt::Display) -> i32 {
    print_error(error);
    let (outcome, text) = (Outcome::InfrastructureFail, error.to_string());
    let (spool, allocation) = (&assignment.dirs.spool, &assignment.allocation);
    if let Err(error) = record::write(spool, allocation, outcome, Some(&text), false) {
        print_error(&error);
    }
    exit::NOT_REPORTED
}

/// The launch agent's deadline, or what the runner allows from now on. A deadline of another
/// boot means nothing.
pub(super) fn deadline_of(assignment: &Assignment, clock: &Clock) -> BootTime {
    match &assignment.deadline {
        Some(deadline) if deadline.boot_id == clock.boot_id() => BootTime(deadline.boot_ms),
        _ => clock.now().after(Duration::from_millis(assignment.max_run_time_ms)),
    }
}

/// TERM asks the task to stop, TERM once more to hurry. Nothing else of the keyboard's signals
/// is for us: the session is our own.
pub(super) fn listen_for_signals(stop: &StopSignal) -> std::io::Result<()> {
    let mut terms = signal(SignalKind::terminate())?;
    let stop = stop.clone();
    tokio::spawn(async move {
        while terms.recv().await.is_some() {
            if stop.is_set() {
                stop.hurry();
            }
            let reason = "the runner was told to end".to_owned();
            stop.stop(Stop::Asked { outcome: Outcome::Canceled, reason });
        }
    });
    Ok(())
}

struct Running {
    clock: Clock,
    stop: StopSignal,
    deadline: BootTime,
    supervisor: Arc<Supervisor>,
    api: Api,
    local: Arc<Local>,
    reach: Reach,
    kept: KeptDirectories,
}

/// Outcome of the task.
#[derive(Debug)]
struct Verdict {
    outcome: Outcome,
    message: Option<String>,
    cleaned: Cleaned,
}

impl Running {
    async fn run(self, assignment: Assignment, config: TaskConfig) -> i32 {
        let own = config.max_run_time_ms.map_or(Duration::MAX, Duration::from_millis);
        let deadline = self.deadline.min(self.clock.now().after(own));
        self.api.set_give_up(deadline.after(REPORT_GRACE));
        self.supervisor.say(FromTaskAgent::Started {
            job: config.job.name.clone(),
            project: config.job.project.clone(),
        });
        let timer = tokio::spawn({
            let (clock, stop) = (self.clock.clone(), self.stop.clone());
            async move {
                clock.sleep_until(deadline).await;
                stop.stop(Stop::Deadline);
            }
        });
        let heart = tokio::spawn(heartbeat::beat(
            self.api.clone(),
            self.clock.clone(),
            Arc::clone(&self.supervisor),
            self.stop.clone(),
            Duration::from_millis(config.heartbeat_ms),
        ));
        let code = self.work(assignment, config).await;
        timer.abort();
        heart.abort();
        code
    }

    async fn work(&self, assignment: Assignment, config: TaskConfig) -> i32 {
        let dir = assignment.dirs.spool.clone();
        let opened = Spool::create(&dir, self.clock.clone(), assignment.limits.output_bytes)
            .and_then(|spool| Ok((spool, Events::open(&dir, self.clock.clone())?)))
            .and_then(|(spool, events)| Ok((spool, events, Reaper::start()?)));
        let (spool, events, reaper) = match opened {
            Ok((spool, events, reaper)) => (Arc::new(spool), Arc::new(events), reaper),
            Err(error) => return leave_unreported(&assignment, &error),
        };
        let mut uploader = Uploader::start(&spool, &events, &self.api, &self.stop);
        // It outlives the steps: a person may look at the task after them.
        let history = Arc::new(History::new(&assignment.dirs.tmp, self.api.clone()));
        let tools = Tools {
            api: self.api.clone(),
            clock: self.clock.clone(),
            stop: self.stop.clone(),
            spool: Arc::clone(&spool),
            reaper,
            local: Arc::clone(&self.local),
            history: Arc::clone(&history),
        };
        let verdict = self.perform(&assignment, config, tools, &events).await;
        let report = Report {
            spool: &spool,
            events: &events,
            running: self,
            dirs: &assignment.dirs,
            tidy: assignment.tidy,
            allocation: &assignment.allocation,
        };
        report.send(&mut uploader, verdict).await
    }

    /// Everything that the task does on this machine.
    async fn perform(
        &self,
        assignment: &Assignment,
        config: TaskConfig,
        tools: Tools,
        events: &Arc<Events>,
    ) -> Verdict {
        if let Err(error) = home::fill(assignment).await {
            let (outcome, message) = (Outcome::InfrastructureFail, Some(error.to_string()));
            return Verdict { outcome, message, cleaned: Cleaned::nothing() };
        }
        let prepared = match setup::prepare_task(assignment, &config, &tools.spool, events) {
            Ok(prepared) => prepared,
            Err(failure) => {
                let (outcome, message) = (failure.outcome, Some(failure.message));
                return Verdict { outcome, message, cleaned: Cleaned::nothing() };
            }
        };
        let (reaper, journal) = (tools.reaper.clone(), prepared.journal.clone());
        let task_data = prepared.task_data.clone();
        self.kept.restore(&journal, &self.stop).await;
        let opened = self.open_ssh(assignment, &config, &reaper, &prepared).await;
        let (job, owner_steps) = assemble_job(assignment, config, tools, prepared);
        let (mut outcome, mut message) = match opened {
            Ok(ssh) => {
                let steps = self.run_steps(assignment, job, &owner_steps, &task_data);
                accompany_steps(ssh, steps).await
            }
            Err(why) => (Outcome::Failed, Some(why)),
        };
        hooks::post_task(&assignment.hooks, &owner_steps, &self.stop).await;
        match self.stop.reason() {
            Some(Stop::Asked { outcome: asked, reason }) => {
                (outcome, message) = (asked, Some(reason));
            }
            Some(Stop::Deadline) => {
                let why = "the task reached its run-time limit".to_owned();
                (outcome, message) = (Outcome::TimedOut, Some(why));
            }
            Some(Stop::Stale(_)) | None => {}
        }
        let cleaned = clean::end_of_task(assignment, &self.reach, &reaper, &journal).await;
        // Nothing of the job runs any more, so nothing changes under it.
        if outcome == Outcome::Success && cleaned.is_done {
            self.kept.save(&journal, &self.stop).await;
        }
        let message = message.map(|text| journal.masks().apply(&text));
        Verdict { outcome, message, cleaned }
    }

    /// Lets a person in, where the task was rerun with SSH. `Err` is why it fails.
    async fn open_ssh(
        &self,
        assignment: &Assignment,
        config: &TaskConfig,
        reaper: &Reaper,
        prepared: &setup::Prepared,
    ) -> Result<Option<Box<ssh::Ssh>>, String> {
        let Some(wanted) = ssh::Wanted::of_config(config) else { return Ok(None) };
        let parts = ssh::Parts {
            assignment,
            journal: &prepared.journal,
            api: &self.api,
            clock: &self.clock,
            stop: &self.stop,
            supervisor: &self.supervisor,
            reaper,
            dirs: &prepared.dirs,
            variables: &prepared.variables,
        };
        ssh::enable_ssh(&wanted, &parts).await.map(|ssh| Some(Box::new(ssh)))
    }

    /// Runs the steps of the job after the owner's, and says how they ended.
    async fn run_steps(
        &self,
        assignment: &Assignment,
        job: job::Job,
        owner_steps: &OwnerSteps,
        task_data: &Path,
    ) -> (Outcome, Option<String>) {
        if let Err(error) = hooks::pre_task(&assignment.hooks, owner_steps, &self.stop).await {
            return (Outcome::Failed, Some(error.to_string()));
        }
        if let Some(wanted) = &assignment.warm_up {
            warm_up::warm_up(wanted, owner_steps).await;
        }
        job.storage.provide_timings(&job.steps, task_data).await;
        (job::run_steps(&Arc::new(job), &self.supervisor).await, None)
    }
}

/// Runs the steps, and holds the task for the person who is let in, if there is one. The outcome is
/// that of the steps.
async fn accompany_steps(
    ssh: Option<Box<ssh::Ssh>>,
    steps: impl Future<Output = (Outcome, Option<String>)>,
) -> (Outcome, Option<String>) {
    let Some(mut ssh) = ssh else { return steps.await };
    let (outcome, message) = ssh.accompany(steps).await;
    ssh.wait_and_end(outcome).await;
    (outcome, message)
}

struct Report<'a> {
    spool: &'a Spool,
    events: &'a Events,
    running: &'a Running,
    dirs: &'a SlotDirs,
    tidy: Tidy,
    allocation: &'a AllocationId,
}

impl Report<'_> {
    async fn send(&self, uploader: &mut Uploader, verdict: Verdict) -> i32 {
        let is_done = verdict.cleaned.is_done;
        let mut record = ResultRecord {
            version: VERSION,
            allocation: self.allocation.clone(),
            outcome: verdict.outcome,
            message: verdict.message,
            reported: false,
            left: verdict.cleaned.left,
        };
        self.spool.release_reserve();
        self.keep(&record);
        // Steps were left out because of that, so there is no outcome to report.
        if let Some(Stop::Stale(why)) = self.running.stop.reason() {
            print_error(&format!("the control plane gave the task up: {why}"));
            return exit::STALE;
        }
        match self.report(uploader, &record).await {
            Ok(()) => {
                record.reported = true;
                // Where something is left, the slot is a helper's to clean.
                let emptied = is_done && clean::tidy_up(self.dirs, self.tidy);
                if !emptied {
                    self.keep(&record);
                }
                let supervisor = &self.running.supervisor;
                let is_ours = record.outcome == Outcome::InfrastructureFail;
                let message = record.message.clone().filter(|_| is_ours);
                let left = record.left.clone();
                let heard = supervisor.done(record.outcome, emptied, message, left).await;
                // A launch agent that comes back later has nothing else to go by.
                if emptied && !heard {
                    self.keep(&record);
                }
                exit::REPORTED
            }
            Err(ApiError::Stale(why)) => {
                print_error(&format!("the control plane gave the task up: {why}"));
                exit::STALE
            }
            Err(error) => {
                print_error(&error);
                exit::NOT_REPORTED
            }
        }
    }

    fn keep(&self, record: &ResultRecord) {
        if let Err(error) = record::write_all(&self.dirs.spool, record) {
            print_error(&format!("could not keep the result: {error}"));
        }
    }

    /// Sends what is left, and the outcome.
    async fn report(&self, uploader: &mut Uploader, record: &ResultRecord) -> Result<(), ApiError> {
        let sending = async {
            uploader.close().await?;
            let message = record.message.clone();
            let (api, spool, events) = (&self.running.api, self.spool, self.events);
            finish_task(api, spool, events, uploader, record.outcome, message).await
        };
        tokio::pin!(sending);
        let sent = tokio::time::timeout(PROMPT_REPORT, &mut sending).await;
        if !matches!(sent, Ok(Ok(())))
            && let Err(error) = record::sync_record(&self.dirs.spool)
        {
            print_error(&format!("could not keep the result: {error}"));
        }
        match sent {
            Ok(sent) => sent,
            Err(_) => sending.await,
        }
    }
}

/// Reports the outcome, and sends again what the server turns out not to have.
pub(crate) async fn finish_task(
    api: &Api,
    spool: &Spool,
    events: &Events,
    uploader: &Uploader,
    outcome: Outcome,
    message: Option<String>,
) -> Result<(), ApiError> {
    let call = "report the outcome";
    let mut last = String::new();
    for _ in 0..MOST_FINISHES {
        let body = FinishRequest {
            allocation: api.allocation().clone(),
            outcome,
            message: message.clone(),
            last_seq: events.last_seq(),
            output: spool.totals(),
            events: events.unsent(),
        };
        let answer = api
            .small(call, || api.request(Method::POST, "/api/v3/task/finish").json(&body))
            .await?;
        if answer.status != StatusCode::CONFLICT {
            return Ok(());
        }
        match answer.json::<FinishMissing>() {
            Some(missing) if missing.last_seq.is_some() || !missing.output.is_empty() => {
                last = missing.message.clone();
                accept_missing(spool, events, &missing);
                uploader.send_rest().await?;
            }
            _ => return Err(ApiError::Stale(answer.message())),
        }
    }
    Err(ApiError::GaveUp { call, last })
}

fn accept_missing(spool: &Spool, events: &Events, missing: &FinishMissing) {
    if let Some(seq) = missing.last_seq {
        events.acknowledge(seq);
    }
    for log in spool.logs() {
        if let Some(committed) = missing.output.get(&log.number()) {
            log.set_committed(*committed);
        }
    }
}
