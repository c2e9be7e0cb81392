//! The steps of a job, one after the other.

use std::path::PathBuf;
use std::sync::Arc;

use russet_protocol::outcome::Outcome;
use russet_protocol::supervise::FromTaskAgent;
use russet_protocol::task::{Action, Step, When};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::artifacts::ArtifactStore;
use super::checkout::Checkout;
use super::disk::DiskLimit;
use super::environment::StepVariables;
use super::journal::{Journal, StepOutput};
use super::machine_step::{SigningGrants, show_docker};
use super::script::Scripts;
use super::spool::Spool;
use super::ssh_keys::SshKeys;
use super::step_end::StepEnd;
use super::stop::StopSignal;
use super::storage::Storage;
use super::supervisor::Supervisor;
use super::test_results::ResultStore;

/// Steps of a job, and what runs each kind of them.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) steps: Vec<Step>,
    /// File by which a step ends the job early.
    pub(crate) halt_file: PathBuf,
    pub(crate) journal: Journal,
    pub(crate) stop: StopSignal,
    pub(crate) disk: DiskLimit,
    pub(crate) spool: Arc<Spool>,
    pub(crate) variables: Arc<StepVariables>,
    pub(crate) signing: SigningGrants,
    pub(crate) artifacts: ArtifactStore,
    pub(crate) checkout: Checkout,
    pub(crate) scripts: Scripts,
    pub(crate) ssh_keys: SshKeys,
    pub(crate) storage: Storage,
    pub(crate) test_results: ResultStore,
}

/// Runs the steps and says how the job ended, leaving aside whether the task was stopped.
pub(crate) async fn run_steps(job: &Arc<Job>, supervisor: &Supervisor) -> Outcome {
    let (over, job_is_over) = watch::channel(false);
    let mut background = JoinSet::new();
    let mut has_failed = false;
    for step in &job.steps {
        if job.stop.is_set() || job.halt_file.exists() || !is_due(step, has_failed) {
            job.journal.step_finished(step.number, &StepEnd::not_run());
            continue;
        }
        job.announce_step(supervisor, step);
        if let Action::Run(run) = &step.action
            && run.background
        {
            let (job, step, run) = (Arc::clone(job), step.number, run.clone());
            let job_is_over = job_is_over.clone();
            background.spawn(async move {
                let end = match job.journal.open_output(step) {
                    Ok(output) => {
                        job.scripts.run_script(step, &run, &output, Some(job_is_over)).await
                    }
                    Err(error) => StepEnd::no_output(&error),
                };
                job.journal.step_finished(step, &end);
            });
            // It starts before the next step does.
            tokio::task::yield_now().await;
            continue;
        }
        let end = job.perform_step(step).await;
        has_failed |= end.outcome != Outcome::Success;
        job.journal.step_finished(step.number, &end);
        if has_failed {
            // What runs from here on runs to save what can be saved, on a full disk too.
            job.spool.tolerate_loss();
            job.disk.give_way();
        }
    }
    over.send_replace(true);
    while background.join_next().await.is_some() {}
    job.ssh_keys.agent.end().await;
    if has_failed { Outcome::Failed } else { Outcome::Success }
}

/// Returns true if a step runs. Artifacts and test results are stored after a failure too: that is
/// when people need them.
fn is_due(step: &Step, has_failed: bool) -> bool {
    let always =
        matches!(step.action, Action::StoreArtifacts { .. } | Action::StoreTestResults { .. });
    match step.when {
        When::Always => true,
        When::OnSuccess => !has_failed || always,
        When::OnFail => has_failed,
    }
}

impl Job {
    fn announce_step(&self, supervisor: &Supervisor, step: &Step) {
        let (detail, background) = match &step.action {
            Action::Run(run) => (self.scripts.shell_of(run), run.background),
            Action::Checkout { .. } => ("checkout", false),
            Action::AddSshKeys { .. } => ("add_ssh_keys", false),
            Action::InstallSigningBundle { .. } => ("install_signing_bundle", false),
            Action::SetupRemoteDocker => ("setup_remote_docker", false),
            Action::StoreArtifacts { .. } => ("store_artifacts", false),
            Action::StoreTestResults { .. } => ("store_test_results", false),
            Action::SaveCache { .. } => ("save_cache", false),
            Action::RestoreCache { .. } => ("restore_cache", false),
            Action::PersistToWorkspace { .. } => ("persist_to_workspace", false),
            Action::AttachWorkspace { .. } => ("attach_workspace", false),
        };
        self.journal.step_started(step.number, &step.name, background, Some(detail.to_owned()));
        // Whoever hears of the step finds its output. One that cannot be kept fails the step later.
        drop(self.spool.log(step.number));
        let name = self.journal.masks().apply(&step.name);
        supervisor.say(FromTaskAgent::Step { number: step.number, name });
    }

    /// Does what a step does, unless the task is stopped meanwhile.
    async fn perform_step(&self, step: &Step) -> StepEnd {
        let output = match self.journal.open_output(step.number) {
            Ok(output) => output,
            Err(error) => return StepEnd::no_output(&error),
        };
        match &step.action {
            // What is running is ended, not dropped, so these see to the stop.
            Action::Run(run) => self.scripts.run_script(step.number, run, &output, None).await,
            Action::Checkout { path, method } => {
                self.checkout.check_out(&output, path.as_deref(), *method).await
            }
            Action::AddSshKeys { fingerprints } => {
                self.ssh_keys.add_keys(&output, fingerprints).await
            }
            Action::InstallSigningBundle { bundles } => {
                self.signing.show_installed(&output, bundles)
            }
            Action::SetupRemoteDocker => show_docker(self.variables.path(), &output),
            Action::SaveCache { .. }
            | Action::RestoreCache { .. }
            | Action::PersistToWorkspace { .. }
            | Action::AttachWorkspace { .. } => self.storage.run_step(&step.action, &output).await,
            _ => tokio::select! {
                end = self.store_results(step, &output) => end,
                () = self.stop.requested() => StepEnd::stopped(&self.stop),
            },
        }
    }

    async fn store_results(&self, step: &Step, output: &StepOutput) -> StepEnd {
        match &step.action {
            Action::StoreArtifacts { path, destination } => {
                self.artifacts.store(output, path, destination.as_deref()).await
            }
            Action::StoreTestResults { path } => {
                self.test_results.store_results(output, path).await
            }
            // Those that do not store anything.
            _ => StepEnd::not_run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_due;
    use russet_protocol::task::{Action, Step, When};

    fn step(when: When, action: Action) -> Step {
        Step { number: 1, name: String::new(), when, action }
    }

    #[test]
    fn what_runs_after_a_failure_is_what_asked_for_it_and_what_people_look_at() {
        let checkout = || Action::Checkout { path: None, method: None };
        let results = || Action::StoreTestResults { path: ".".to_owned() };
        assert!(is_due(&step(When::OnSuccess, checkout()), false));
        assert!(!is_due(&step(When::OnSuccess, checkout()), true));
        assert!(is_due(&step(When::Always, checkout()), true));
        assert!(is_due(&step(When::OnFail, checkout()), true));
        assert!(!is_due(&step(When::OnFail, checkout()), false));
        assert!(is_due(&step(When::OnSuccess, results()), true));
    }
}
