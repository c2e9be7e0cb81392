//! Caches, workspaces and timings of tests.

mod cache;
mod growing;
mod key;
mod local;
mod paths;
mod step;
mod timings;
mod transfer;
mod workspace;

use std::path::Path;
use std::sync::Arc;

use russet_protocol::task::{Action, JobInfo, Step};

use self::step::StorageStep;
use super::api::Api;
use super::directories::JobDirs;
use super::disk::DiskLimit;
use super::environment::StepVariables;
use super::journal::StepOutput;
use super::step_end::StepEnd;
use super::stop::StopSignal;
use russet_platform::clock::Clock;

pub(crate) use local::{Local, open as open_local};

/// Stores and fetches what jobs hand on: caches, workspaces and timings of tests.
#[derive(Debug)]
pub(crate) struct Storage {
    pub(crate) api: Api,
    pub(crate) clock: Clock,
    pub(crate) stop: StopSignal,
    pub(crate) dirs: Arc<JobDirs>,
    pub(crate) variables: Arc<StepVariables>,
    pub(crate) job: JobInfo,
    /// Copies of archives on this machine.
    pub(crate) local: Arc<Local>,
    pub(crate) disk: DiskLimit,
}

impl Storage {
    /// Runs a step of these. It sees to it itself that the task may be stopped.
    pub(crate) async fn run_step(&self, action: &Action, output: &StepOutput) -> StepEnd {
        let Self { api, stop, dirs, local, disk, .. } = self;
        let step = StorageStep { api, stop, dirs, local, output, disk };
        match action {
            Action::SaveCache { key, paths, retention_ms } => {
                cache::save(step, self.facts(), key, paths, *retention_ms).await
            }
            Action::RestoreCache { keys } => cache::restore(step, self.facts(), keys).await,
            Action::PersistToWorkspace { root, paths } => {
                workspace::persist_files(step, root, paths).await
            }
            Action::AttachWorkspace { at } => workspace::attach_layers(step, at).await,
            _ => StepEnd::not_run(),
        }
    }

    /// Leaves the timings that all tasks of the job share in a directory, if one of the steps may
    /// ask for them.
    pub(crate) async fn provide_timings(&self, steps: &[Step], task_data: &Path) {
        if timings::is_wanted(&self.job, steps) {
            timings::provide_timings(&self.api, &self.stop, task_data).await;
        }
    }

    fn facts(&self) -> key::Facts<'_> {
        key::Facts {
            branch: self.job.branch.as_deref().unwrap_or_default(),
            revision: self.job.revision.as_deref().unwrap_or_default(),
            number: self.job.number,
            epoch: self.clock.wall_ms() / 1000,
            environment: self.variables.of_job(),
        }
    }
}
