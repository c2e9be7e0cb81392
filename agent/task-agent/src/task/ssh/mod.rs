//! A rerun with SSH: a person's way into a task.
//!
//! Nothing of this is made unless the control plane and the machine's owner both allow it: no key, no
//! socket, no connection, no thread. Then a server of SSH runs within this process, which is the
//! slot's user, and what it starts is the task's like every step. No port is opened: people come
//! through a WebSocket that this process dials, or through a port of the launch agent's.

mod control;
mod dial;
mod direct;
mod hold;
#[cfg(test)]
mod hold_tests;
mod host;
mod manager;
mod permission;
mod reports;
mod tunnel;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use russet_protocol::outcome::Outcome;
use russet_protocol::ssh::{
    ENABLE_STEP_NAME, HoldOrders, SshAccess, SshPolicy, SshReady, TASK_READY_PATH, WAIT_STEP_NAME,
};
use russet_protocol::supervise::{Assignment, FromTaskAgent};
use russet_protocol::task::{ENABLE_SSH_STEP, JobInfo, TaskConfig, WAIT_FOR_SSH_STEP};
use russet_ssh_server::{Forwarding, HostKey, KeyError, PersonKeys, Settings, SshServer};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use self::hold::HoldLimits;
use self::host::TaskHost;
use self::manager::{HoldEnd, Manager};
use self::permission::{Forbidden, permit};
use super::api::{Api, ApiError};
use super::directories::JobDirs;
use super::environment::StepVariables;
use super::journal::{Journal, StepOutput};
use super::reaper::Reaper;
use super::step_end::StepEnd;
use super::stop::StopSignal;
use super::supervisor::Supervisor;
use russet_platform::clock::Clock;

/// Time for reports of sessions to arrive once all have ended.
const LAST_REPORTS_TIMEOUT: Duration = Duration::from_secs(15);

/// Requests about the hold that wait.
const MAX_REQUESTS: usize = 4;

/// Reason why a task that was rerun with SSH is not held.
#[derive(Debug, thiserror::Error)]
enum EnableError {
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("the step's output could not be kept: {0}")]
    Output(#[from] std::io::Error),
}

/// Parts of a task that its SSH needs.
pub(crate) struct Parts<'a> {
    pub(crate) assignment: &'a Assignment,
    pub(crate) journal: &'a Journal,
    pub(crate) api: &'a Api,
    pub(crate) clock: &'a Clock,
    pub(crate) stop: &'a StopSignal,
    pub(crate) supervisor: &'a Arc<Supervisor>,
    pub(crate) reaper: &'a Reaper,
    pub(crate) dirs: &'a Arc<JobDirs>,
    pub(crate) variables: &'a Arc<StepVariables>,
}

/// Wish of the config for SSH; none: it is an ordinary task.
#[derive(Debug)]
pub(crate) struct Wanted {
    access: SshAccess,
    job: JobInfo,
}

impl Wanted {
    pub(crate) fn of_config(config: &TaskConfig) -> Option<Self> {
        let access = config.ssh.clone()?;
        Some(Self { access, job: config.job.clone() })
    }
}

/// SSH of a task, from before its first step until its end.
pub(crate) struct Ssh {
    manager: Manager,
    journal: Journal,
    /// Ends when nobody can report a session any more.
    session_reports: JoinHandle<()>,
    /// The tunnel, and other things that end with it.
    background: JoinSet<()>,
}

/// Runs the step "Enable SSH". `Err` is why the task fails: whoever asked for SSH did not ask for a
/// run that nobody can look into.
pub(crate) async fn enable_ssh(wanted: &Wanted, parts: &Parts<'_>) -> Result<Ssh, String> {
    let journal = parts.journal;
    announce_step(journal, parts.supervisor, ENABLE_SSH_STEP, ENABLE_STEP_NAME);
    let enabled = async {
        let output = journal.open_output(ENABLE_SSH_STEP)?;
        open(wanted, parts, &output).await
    };
    let enabled = tokio::select! {
        enabled = enabled => enabled.map_err(|error| StepEnd::failed(error.to_string())),
        () = parts.stop.requested() => Err(StepEnd::stopped(parts.stop)),
    };
    match enabled {
        Ok(ssh) => {
            journal.step_finished(ENABLE_SSH_STEP, &StepEnd::success());
            Ok(ssh)
        }
        Err(end) => {
            let message = end.message.clone().unwrap_or_default();
            if let Ok(output) = journal.open_output(ENABLE_SSH_STEP) {
                output.say(&format!("error: {message}"));
            }
            journal.step_finished(ENABLE_SSH_STEP, &end);
            Err(message)
        }
    }
}

async fn open(wanted: &Wanted, parts: &Parts<'_>, output: &StepOutput) -> Result<Ssh, EnableError> {
    let access = &wanted.access;
    let policy = permit(access, parts.assignment.ssh.as_ref())?;
    let keys = PersonKeys::parse(&access.keys)?;
    let host_key = HostKey::generate()?;
    let user = parts.variables.of_job().get("USER").cloned().unwrap_or_default();
    let direct = dial_port(policy).await;
    let host = policy.advertised.as_deref().unwrap_or_default();
    let address = direct.as_ref().map(|(_, waiting)| waiting.address(host));
    let ready = SshReady { host_key: host_key.public_line()?, user: user.clone(), address };
    let limits = HoldLimits {
        idle: Duration::from_millis(access.idle_ms),
        longest: Duration::from_millis(access.longest_ms),
    };
    let text = describe(wanted, &ready, &host_key.fingerprint(), limits);
    let (session_reports, sent) = mpsc::unbounded_channel();
    let server = SshServer::new(
        Settings { forwarding: forwarding_of(policy), ..Settings::new(&user, keys, host_key) },
        Arc::new(TaskHost {
            reaper: parts.reaper.clone(),
            dirs: Arc::clone(parts.dirs),
            variables: Arc::clone(parts.variables),
            shell: parts.variables.of_job().get("SHELL").map_or("/bin/sh", String::as_str).into(),
            greeting: greeting_of(wanted),
            allocation: parts.assignment.allocation.clone(),
            clock: parts.clock.clone(),
            reports: session_reports,
            began: Mutex::default(),
        }),
    );
    let request = || parts.api.request(Method::POST, TASK_READY_PATH).json(&ready);
    let answer = parts.api.small("say that the task can be reached by SSH", request).await?;
    if answer.status == reqwest::StatusCode::CONFLICT {
        return Err(ApiError::Stale(answer.message()).into());
    }
    output.say(&text);
    let mut ssh = start(parts, server.clone(), limits, sent, output);
    if let Some((socket, waiting)) = direct {
        let way = direct::Direct { socket, first: Some(waiting) };
        ssh.background.spawn(dial::keep_waiting(way, server));
    }
    Ok(ssh)
}

/// Asks for a port of the machine, where its owner opened any. People come through the control plane
/// if there is none.
async fn dial_port(policy: &SshPolicy) -> Option<(PathBuf, direct::Waiting)> {
    let socket = policy.socket.clone()?;
    match direct::Waiting::dial(&socket).await {
        Ok(waiting) => Some((socket, waiting)),
        Err(error) => {
            tracing::warn!("there is no port for SSH: {error}");
            None
        }
    }
}

/// Starts what accompanies the server.
fn start(
    parts: &Parts<'_>,
    server: SshServer,
    limits: HoldLimits,
    sessions: mpsc::UnboundedReceiver<russet_protocol::ssh::SessionReport>,
    output: &StepOutput,
) -> Ssh {
    let api = parts.api.clone();
    let mut background = JoinSet::new();
    background.spawn(dial::keep_waiting(tunnel::Tunnel(api.clone()), server.clone()));
    let (reports, newest) = watch::channel(None);
    let (given, orders) = watch::channel(HoldOrders::default());
    background.spawn(reports::report_hold(api.clone(), newest, given));
    let (asked, requests) = mpsc::channel(MAX_REQUESTS);
    match control::listen(&parts.assignment.dirs.tmp, asked) {
        Ok(listening) => {
            background.spawn(async move { drop(listening.await) });
        }
        Err(error) => output.say(&format!("note: `circleci-agent ssh` cannot be used: {error}")),
    }
    Ssh {
        manager: Manager {
            connected: server.connected(),
            terminals: server.terminals(),
            server,
            limits,
            clock: parts.clock.clone(),
            stop: parts.stop.clone(),
            supervisor: Arc::clone(parts.supervisor),
            asked: requests,
            orders,
            reports,
            asked_here: Duration::ZERO,
            asked_there: Duration::ZERO,
            is_ending: false,
        },
        journal: parts.journal.clone(),
        session_reports: tokio::spawn(reports::report_sessions(api, sessions)),
        background,
    }
}

impl Ssh {
    /// Answers people while `steps` run, and returns the answer of those.
    pub(crate) async fn accompany<T>(&mut self, steps: impl Future<Output = T>) -> T {
        self.manager.accompany(steps).await
    }

    /// Runs the step "Wait for SSH", and ends every session. The outcome stays that of the steps.
    pub(crate) async fn wait_and_end(mut self, outcome: Outcome) {
        let mut reason = "the task ends";
        if !self.manager.stop.is_set() {
            let journal = self.journal.clone();
            announce_step(&journal, &self.manager.supervisor, WAIT_FOR_SSH_STEP, WAIT_STEP_NAME);
            let end = match journal.open_output(WAIT_FOR_SSH_STEP) {
                Ok(output) => {
                    output.say(&waiting_words(outcome, self.manager.limits));
                    let end = self.manager.hold(&output).await;
                    reason = end_words(end);
                    output.say(&format!("the hold has ended: {reason}"));
                    if end == HoldEnd::Stopped {
                        StepEnd::stopped(&self.manager.stop)
                    } else {
                        StepEnd::success()
                    }
                }
                Err(error) => StepEnd::no_output(&error),
            };
            journal.step_finished(WAIT_FOR_SSH_STEP, &end);
        }
        self.end(reason).await;
    }

    async fn end(mut self, reason: &str) {
        // The tunnels live on until everybody has heard it.
        self.manager.server.end(reason).await;
        self.background.shutdown().await;
        self.manager.supervisor.say(FromTaskAgent::Ssh { sessions: 0, waiting: false });
        // With the last server goes the last who could report a session.
        drop(self.manager);
        drop(tokio::time::timeout(LAST_REPORTS_TIMEOUT, self.session_reports).await);
    }
}

/// Says that a step begins, to the control plane and on the machine.
fn announce_step(journal: &Journal, supervisor: &Supervisor, number: u32, name: &str) {
    journal.step_started(number, name, false, None);
    supervisor.say(FromTaskAgent::Step { number, name: name.to_owned() });
}

fn forwarding_of(policy: &SshPolicy) -> Forwarding {
    Forwarding { agent: policy.forwarding.agent, ports: policy.forwarding.ports }
}

/// Text of the step "Enable SSH".
fn describe(wanted: &Wanted, ready: &SshReady, fingerprint: &str, limits: HoldLimits) -> String {
    let access = &wanted.access;
    let id = wanted.job.job_id.as_ref().map_or("JOB", |id| id.as_str());
    let node = match (wanted.job.node_total, wanted.job.node_index) {
        (0 | 1, _) => String::new(),
        (_, index) => format!(" --node {index}"),
    };
    let count = match access.keys.len() {
        1 => "the key".to_owned(),
        count => format!("any of the {count} keys"),
    };
    let direct = ready.address.as_ref().map_or_else(String::new, |address| {
        format!("\nThe machine itself is reached at {address}.")
    });
    format!(
        "{person} can log in with {count} of this rerun:\n\n    russet job ssh {id}{node}\n\n\
         user {user}, host key {fingerprint}{direct}\n\
         Once the steps have ended the task is held for {idle} while nobody is connected, and for \
         {longest} in all; `circleci-agent ssh extend 30m` holds it for longer, `circleci-agent ssh \
         end` ends it.\n\
         Secrets are masked in the output of steps, not on the terminal of whoever logs in.",
        person = access.person,
        user = ready.user,
        idle = russet_text::format_duration(limits.idle),
        longest = russet_text::format_duration(limits.longest),
    )
}

/// Text that a shell begins with.
fn greeting_of(wanted: &Wanted) -> String {
    format!(
        "Job {} of {}. The variables of its steps are set; `source \"$BASH_ENV\"` adds those that \
         steps wrote there.\nThe task is held for a while: `circleci-agent ssh extend 30m` and \
         `circleci-agent ssh end`.\n",
        russet_text::one_line_within(&wanted.job.name, 100),
        russet_text::one_line_within(&wanted.job.project, 100),
    )
}

fn waiting_words(outcome: Outcome, limits: HoldLimits) -> String {
    let how = if outcome == Outcome::Success { "have succeeded" } else { "have ended" };
    format!(
        "the steps {how}; the task is held for {} while nobody is connected, and for {} in all",
        russet_text::format_duration(limits.idle),
        russet_text::format_duration(limits.longest),
    )
}

fn end_words(end: HoldEnd) -> &'static str {
    match end {
        HoldEnd::Idle => "nobody is connected",
        HoldEnd::Longest => "its time is up",
        HoldEnd::Asked => "somebody asked for it",
        HoldEnd::Stopped => "the task was stopped",
    }
}
