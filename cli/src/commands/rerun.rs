//! Options and answers of the three commands that run something again.

use russet_protocol::admin::{RerunKind, Workflow};

use super::OutputArgs;
use super::people::PersonArgs;
use super::watch::watch_pipeline;
use crate::client::{Client, ConnectionArgs};
use crate::error::Result;
use crate::exit::Exit;
use crate::render::{self, Format, numbers, plain};

/// Options that all of them have.
#[derive(clap::Args, Debug)]
pub(crate) struct RerunArgs {
    /// Follow it until it ends
    #[arg(long)]
    pub(crate) watch: bool,
    #[command(flatten)]
    pub(crate) person: PersonArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
}

/// Options of the two that run several jobs.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct WhichArgs {
    /// Keep jobs that succeeded and what they persisted to the workspace; run those that failed or
    /// were canceled, and what requires them
    #[arg(long, conflicts_with = "failed_tests")]
    from_failed: bool,
    /// As --from-failed; `circleci tests run` runs only the tests that failed
    #[arg(long)]
    failed_tests: bool,
}

impl WhichArgs {
    /// Returns which jobs are to run again.
    pub(crate) fn kind(self) -> RerunKind {
        match (self.failed_tests, self.from_failed) {
            (true, _) => RerunKind::FailedTests,
            (false, true) => RerunKind::FromFailed,
            (false, false) => RerunKind::FromStart,
        }
    }
}

/// Prints a further run of a workflow, or follows it.
pub(crate) async fn show_run(client: &Client, run: &Workflow, args: &RerunArgs) -> Result<Exit> {
    if let (true, Some(pipeline)) = (args.watch, &run.pipeline) {
        return watch_pipeline(client, pipeline.as_str(), args.output.output).await;
    }
    match args.output.output {
        Format::Json => render::print_json(run)?,
        Format::Text => render::print_line(run_line(run))?,
    }
    Ok(Exit::Success)
}

/// Describes a further run: its number, and how many jobs run again.
pub(crate) fn run_line(run: &Workflow) -> String {
    let kept = run.jobs.iter().filter(|job| job.kept_from.is_some()).count();
    let count = |jobs: usize| numbers::counted(u64::try_from(jobs).unwrap_or_default(), "job");
    let jobs = match kept {
        0 => count(run.jobs.len()),
        _ => format!("{}, {kept} kept", count(run.jobs.len() - kept)),
    };
    let of = run.rerun.as_ref().map_or_else(String::new, |rerun| format!(", repeats {}", rerun.of));
    format!("Run {} of {}: {} ({jobs}{of})", run.run, plain(&run.name), run.id)
}
