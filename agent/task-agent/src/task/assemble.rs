//! Gives each kind of step what it needs, and no more.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use russet_protocol::supervise::Assignment;
use russet_protocol::task::TaskConfig;

use super::api::Api;
use super::artifacts::ArtifactStore;
use super::checkout::Checkout;
use super::clean::SlotProcesses;
use super::command::Commands;
use super::directories::JobDirs;
use super::disk::DiskLimit;
use super::history::History;
use super::job::Job;
use super::kill;
use super::machine_step::SigningGrants;
use super::owner_step::OwnerSteps;
use super::reaper::Reaper;
use super::script::Scripts;
use super::setup::Prepared;
use super::spool::Spool;
use super::ssh_keys::{SshAgent, SshKeys};
use super::stop::StopSignal;
use super::storage::{Local, Storage};
use super::test_results::{ResultStore, XcresultTool};
use crate::helper::HALT_FILE;
use russet_platform::clock::Clock;

/// Tools of a task, which exist before its config is looked at.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) api: Api,
    pub(crate) clock: Clock,
    pub(crate) stop: StopSignal,
    pub(crate) spool: Arc<Spool>,
    pub(crate) reaper: Reaper,
    pub(crate) local: Arc<Local>,
    pub(crate) history: Arc<History>,
}

/// Makes what runs the steps of a job and those of the runner's owner.
pub(crate) fn assemble_job(
    assignment: &Assignment,
    config: TaskConfig,
    tools: Tools,
    prepared: Prepared,
) -> (Job, OwnerSteps) {
    let Tools { api, clock, stop, spool, reaper, local, history } = tools;
    let Prepared { begun, journal, dirs, variables, shell, task_data } = prepared;
    let disk = DiskLimit::watch(assignment.limits.disk_bytes, watched_directories(&dirs));
    let kill_grace = kill::grace_of(&assignment.limits);
    let commands = Arc::new(Commands {
        clock: clock.clone(),
        reaper: reaper.clone(),
        stop: stop.clone(),
        disk: disk.clone(),
        spool: Arc::clone(&spool),
        processes: SlotProcesses::of_assignment(assignment),
        kill_grace,
    });
    let artifacts = ArtifactStore { api: api.clone(), dirs: dirs.clone(), stop: stop.clone() };
    let checkout = Checkout {
        source: config.source,
        begun,
        api: api.clone(),
        history,
        commands: commands.clone(),
        dirs: dirs.clone(),
        variables: variables.clone(),
        stop: stop.clone(),
    };
    let scripts = Scripts {
        commands: commands.clone(),
        dirs: dirs.clone(),
        variables: variables.clone(),
        shell,
        spool: spool.clone(),
        clock: clock.clone(),
        stop: stop.clone(),
        has_screen: assignment.gui.is_some(),
    };
    let ssh_keys = SshKeys {
        keys: config.ssh_keys,
        agent: SshAgent::new(reaper.clone(), clock.clone(), stop.clone(), kill_grace),
        commands: commands.clone(),
        dirs: dirs.clone(),
        variables: variables.clone(),
    };
    let storage = Storage {
        api: api.clone(),
        clock: clock.clone(),
        stop: stop.clone(),
        dirs: dirs.clone(),
        variables: variables.clone(),
        job: config.job,
        local,
        disk: disk.clone(),
    };
    let (tool_dirs, tool_variables) = (dirs.clone(), variables.clone());
    let xcresult = XcresultTool { reaper, clock, dirs: tool_dirs, variables: tool_variables };
    let test_results = ResultStore {
        api,
        dirs: dirs.clone(),
        stop: stop.clone(),
        xcresult,
        next_batch: AtomicU32::new(0),
    };
    let owner_steps =
        OwnerSteps { journal: journal.clone(), commands, dirs, variables: variables.clone() };
    let job = Job {
        steps: config.steps,
        halt_file: task_data.join(HALT_FILE),
        journal,
        stop,
        disk,
        spool,
        variables,
        signing: SigningGrants::of_assignment(assignment),
        artifacts,
        checkout,
        scripts,
        ssh_keys,
        storage,
        test_results,
    };
    (job, owner_steps)
}

/// Returns the directories whose size is limited. What a step prints is on disk as well.
fn watched_directories(dirs: &JobDirs) -> Vec<std::path::PathBuf> {
    let slot = &dirs.slot;
    vec![slot.home.clone(), slot.work.clone(), slot.tmp.clone(), slot.spool.clone()]
}
