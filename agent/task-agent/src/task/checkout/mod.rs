//! Putting the project's source into a directory.

mod extract;
mod git;
mod history;
mod locks;
mod snapshot;

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use russet_protocol::task::{CheckoutMethod, Source};

use super::api::Api;
use super::command::Commands;
use super::directories::{JobDirs, MakeDirectoryError, make_directory};
use super::environment::StepVariables;
use super::history::History;
use super::journal::StepOutput;
use super::step_end::StepEnd;
use super::stop::StopSignal;

/// Reason why the source was not checked out.
#[derive(Debug, thiserror::Error)]
enum CheckoutError {
    #[error(
        "this task has no source to check out\nhint: the pipeline was submitted without a snapshot \
         or a repository"
    )]
    NoSource,
    #[error("the task was stopped")]
    Stopped,
    #[error(transparent)]
    Directory(#[from] MakeDirectoryError),
    #[error(transparent)]
    Snapshot(#[from] snapshot::SnapshotError),
    #[error(transparent)]
    Git(#[from] git::GitError),
}

/// Puts the project's source into directories of a job.
#[derive(Debug)]
pub(crate) struct Checkout {
    pub(crate) source: Option<Source>,
    /// Time at which the task began: what is older in its directories is of earlier tasks.
    pub(crate) begun: SystemTime,
    pub(crate) api: Api,
    pub(crate) history: Arc<History>,
    pub(crate) commands: Arc<Commands>,
    pub(crate) dirs: Arc<JobDirs>,
    pub(crate) variables: Arc<StepVariables>,
    pub(crate) stop: StopSignal,
}

impl Checkout {
    /// Runs a `checkout` step into `path`, as the configuration writes it.
    pub(crate) async fn check_out(
        &self,
        output: &StepOutput,
        path: Option<&str>,
        method: Option<CheckoutMethod>,
    ) -> StepEnd {
        let target = self.dirs.resolve(path.unwrap_or("."));
        match self.place_source(output, method, &target).await {
            Ok(()) => StepEnd::success(),
            Err(_) if self.stop.is_set() => StepEnd::stopped(&self.stop),
            Err(error) => output.fail(error),
        }
    }

    async fn place_source(
        &self,
        output: &StepOutput,
        method: Option<CheckoutMethod>,
        target: &Path,
    ) -> Result<(), CheckoutError> {
        make_directory(target)?;
        match &self.source {
            Some(Source::Snapshot { id, origin }) => {
                tokio::select! {
                    done = snapshot::checkout_snapshot(&self.api, output, id, target) => done?,
                    () = self.stop.requested() => return Err(CheckoutError::Stopped),
                }
                match origin {
                    Some(url) => {
                        self.history.open(url).map_err(git::GitError::from)?;
                        Ok(self.git(output, target).add_history(url, method).await?)
                    }
                    None => Ok(()),
                }
            }
            Some(Source::Git { url, revision, branch, tag }) => {
                let method = method.unwrap_or_default();
                let names = git::Names { branch: branch.as_deref(), tag: tag.as_deref() };
                let wanted = git::Wanted { url, revision, names, method };
                Ok(self.git(output, target).check_out(wanted, self.begun).await?)
            }
            None => Err(CheckoutError::NoSource),
        }
    }

    fn git<'a>(&'a self, output: &'a StepOutput, target: &'a Path) -> git::Git<'a> {
        let Self { commands, variables, stop, .. } = self;
        git::Git { commands, variables, stop, output, target }
    }
}
