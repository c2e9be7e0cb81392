//! The steps of a job, one after the other.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use russet_protocol::outcome::Outcome;
use russet_protocol::supervise::FromTaskAgent;
use russet_protocol::task::{Action, DEFAULT_NO_OUTPUT_TIMEOUT_MS, Run, Step, When};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::command::{self, Spec};
use super::context::{Context, StepEnd};
use super::spool::StepLog;
use super::supervisor::Supervisor;
use super::{
    artifacts, checkout, environment, given, login_path, shell, ssh_keys, storage, test_results,
};
use crate::helper::HALT_FILE;

/// Runs the steps and says how the job ended, leaving aside whether the task was stopped.
pub(crate) async fn run_steps(context: &Arc<Context>, supervisor: &Supervisor) -> Outcome {
    let (over, job_is_over) = watch::channel(false);
    let mut background = JoinSet::new();
    let mut has_failed = false;
    for step in &context.config.steps {
        if context.stop.is_set() || is_halted(context) || !is_due(step, has_failed) {
            context.step_finished(step.number, &StepEnd::not_run());
            continue;
        }
        announce_step(context, supervisor, step);
        if let Action::Run(run) = &step.action
            && run.background
        {
            let (context, step, run) = (Arc::clone(context), step.clone(), run.clone());
            let job_is_over = job_is_over.clone();
            background.spawn(async move {
                let end = run_script(&context, &step, &run, Some(job_is_over)).await;
                context.step_finished(step.number, &end);
            });
            // It starts before the next step does.
            tokio::task::yield_now().await;
            continue;
        }
        let end = perform_step(context, step).await;
        has_failed |= end.outcome != Outcome::Success;
        context.step_finished(step.number, &end);
        if has_failed {
            // What runs from here on runs to save what can be saved, on a full disk too.
            context.spool.tolerate_loss();
            context.disk.give_way();
        }
    }
    over.send_replace(true);
    while background.join_next().await.is_some() {}
    ssh_keys::end_agent(context).await;
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

fn is_halted(context: &Context) -> bool {
    context.shared.task_data.join(HALT_FILE).exists()
}

fn announce_step(context: &Context, supervisor: &Supervisor, step: &Step) {
    let (detail, background) = match &step.action {
        Action::Run(run) => (shell_of(context, run).to_owned(), run.background),
        Action::Checkout { .. } => ("checkout".to_owned(), false),
        Action::AddSshKeys { .. } => ("add_ssh_keys".to_owned(), false),
        Action::InstallSigningBundle { .. } => ("install_signing_bundle".to_owned(), false),
        Action::SetupRemoteDocker => ("setup_remote_docker".to_owned(), false),
        Action::StoreArtifacts { .. } => ("store_artifacts".to_owned(), false),
        Action::StoreTestResults { .. } => ("store_test_results".to_owned(), false),
        Action::SaveCache { .. } => ("save_cache".to_owned(), false),
        Action::RestoreCache { .. } => ("restore_cache".to_owned(), false),
        Action::PersistToWorkspace { .. } => ("persist_to_workspace".to_owned(), false),
        Action::AttachWorkspace { .. } => ("attach_workspace".to_owned(), false),
    };
    context.step_started(step.number, &step.name, background, Some(detail));
    // Whoever hears of the step finds its output. One that cannot be kept fails the step later.
    drop(context.spool.log(step.number));
    let name = context.masks.apply(&step.name);
    supervisor.say(FromTaskAgent::Step { number: step.number, name });
}

/// Does what a step does, unless the task is stopped meanwhile.
async fn perform_step(context: &Arc<Context>, step: &Step) -> StepEnd {
    let log = match context.spool.log(step.number) {
        Ok(log) => log,
        Err(error) => return no_log(&error),
    };
    match &step.action {
        // What is running is ended, not dropped, so these see to the stop.
        Action::Run(run) => run_script(context, step, run, None).await,
        Action::Checkout { path, method } => {
            checkout::check_out(context, &log, path.as_deref(), *method).await
        }
        Action::AddSshKeys { fingerprints } => ssh_keys::run(context, &log, fingerprints).await,
        Action::InstallSigningBundle { bundles } => given::signing(context, &log, bundles),
        Action::SetupRemoteDocker => given::docker(context, &log),
        Action::SaveCache { .. }
        | Action::RestoreCache { .. }
        | Action::PersistToWorkspace { .. }
        | Action::AttachWorkspace { .. } => {
            storage::run_storage_step(context, &step.action, &log).await
        }
        _ => tokio::select! {
            end = store_results(context, step, &log) => end,
            () = context.stop.requested() => command::stopped(context),
        },
    }
}

async fn store_results(context: &Arc<Context>, step: &Step, log: &Arc<StepLog>) -> StepEnd {
    match &step.action {
        Action::StoreArtifacts { path, destination } => {
            artifacts::store(context, log, path, destination.as_deref()).await
        }
        Action::StoreTestResults { path } => test_results::store_results(context, log, path).await,
        // Those that do not store anything.
        _ => StepEnd::not_run(),
    }
}

fn no_log(error: &std::io::Error) -> StepEnd {
    StepEnd::failed(format!("could not keep the step's output: {error}"))
}

fn shell_of<'a>(context: &'a Context, run: &'a Run) -> &'a str {
    let of_job = context.config.shell.as_deref();
    run.shell.as_deref().or(of_job).unwrap_or(&context.shell)
}

async fn run_script(
    context: &Context,
    step: &Step,
    run: &Run,
    job_is_over: Option<watch::Receiver<bool>>,
) -> StepEnd {
    let log = match context.spool.log(step.number) {
        Ok(log) => log,
        Err(error) => return no_log(&error),
    };
    let mut end;
    let mut reruns = 0;
    loop {
        end = match prepare_command(context, step.number, run, job_is_over.clone()) {
            Ok(spec) => command::run(context, spec, &log).await,
            Err(message) => StepEnd::failed(message),
        };
        if let Some(message) = &end.message {
            context.say(&log, message);
        }
        tell_not_kept(context, &log, &mut end);
        let is_over = job_is_over.as_ref().is_some_and(|over| *over.borrow());
        if end.outcome != Outcome::Failed || reruns == run.max_auto_reruns || is_over {
            return end;
        }
        reruns += 1;
        if !wait_for_rerun(context, run, &end, &log, reruns).await {
            return end;
        }
    }
}

/// Says how much of a step's output was not kept, and why. For what had no room there is none to
/// say it in the log either.
fn tell_not_kept(context: &Context, log: &StepLog, end: &mut StepEnd) {
    let not_kept = log.not_kept();
    if let Some(limit) = context.spool.limit().filter(|_| not_kept.beyond > 0) {
        context.say(
            log,
            &format!(
                "note: {} bytes of this step's output are not kept: the owner of this runner keeps \
                 {limit} bytes of a task (`runner.limits.output`)",
                not_kept.beyond
            ),
        );
    }
    if not_kept.lost > 0 {
        let told = format!("{} bytes of output had no room on disk", not_kept.lost);
        let before = end.message.take().map(|message| format!("{message}\n")).unwrap_or_default();
        end.message = Some(format!("{before}{told}"));
    }
}

/// Says that a step runs again, and waits until it may. `false`: the task was stopped meanwhile.
async fn wait_for_rerun(
    context: &Context,
    run: &Run,
    end: &StepEnd,
    log: &StepLog,
    reruns: u32,
) -> bool {
    let delay = Duration::from_millis(run.auto_rerun_delay_ms);
    let code = end.exit_code.map_or(String::new(), |code| format!(" with exit code {code}"));
    let when = match delay {
        Duration::ZERO => "now".to_owned(),
        delay => format!("in {}", russet_text::format_duration(delay)),
    };
    let most = run.max_auto_reruns;
    context.say(log, &format!("the step failed{code}; rerun {reruns} of {most} starts {when}"));
    tokio::select! {
        () = context.clock.sleep(delay) => !context.stop.is_set(),
        () = context.stop.requested() => false,
    }
}

fn prepare_command(
    context: &Context,
    number: u32,
    run: &Run,
    job_is_over: Option<watch::Receiver<bool>>,
) -> Result<Spec, String> {
    let dirs = &context.assignment.dirs;
    let file = dirs.tmp.join(format!(".script-{number}"));
    let arguments = shell::shell_arguments(shell_of(context, run), &run.command, &file)
        .map_err(|error| error.to_string())?;
    if arguments.needs_file {
        std::fs::write(&file, &run.command)
            .map_err(|error| format!("could not write the script to a file: {error}"))?;
    }
    let written = run.working_directory.as_deref().unwrap_or(".");
    let directory = environment::resolve(written, &dirs.home, &context.work);
    make_directory(&directory)?;
    let mut variables = context.variables_now();
    for (name, value) in &run.environment {
        if !name.contains(['=', '\0']) && !name.is_empty() && !value.contains('\0') {
            variables.insert(name.clone(), value.clone());
        }
    }
    login_path::tell(&mut variables);
    Ok(Spec {
        words: arguments.words,
        variables,
        directory,
        silence: silence_limit(run),
        longest: None,
        job_is_over,
    })
}

/// A background step is a server more often than not, and servers are silent; so it only has a
/// limit where it sets one.
fn silence_limit(run: &Run) -> Option<Duration> {
    let default = (!run.background).then_some(DEFAULT_NO_OUTPUT_TIMEOUT_MS);
    run.no_output_timeout_ms.or(default).map(Duration::from_millis)
}

/// Makes a directory that a configuration names, where it is not there yet.
pub(crate) fn make_directory(directory: &Path) -> Result<(), String> {
    std::fs::create_dir_all(directory).map_err(|error| {
        format!(
            "could not make the working directory {}: {error}\nhint: tasks run as a user of their \
             own; a directory below `~` always works",
            directory.display()
        )
    })
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
        let checkout = || Action::Checkout { path: None, method: Default::default() };
        let results = || Action::StoreTestResults { path: ".".to_owned() };
        assert!(is_due(&step(When::OnSuccess, checkout()), false));
        assert!(!is_due(&step(When::OnSuccess, checkout()), true));
        assert!(is_due(&step(When::Always, checkout()), true));
        assert!(is_due(&step(When::OnFail, checkout()), true));
        assert!(!is_due(&step(When::OnFail, checkout()), false));
        assert!(is_due(&step(When::OnSuccess, results()), true));
    }
}
