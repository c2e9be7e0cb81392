//! `russet workflow`.

use russet_protocol::admin::{Workflow, WorkflowItem};

use super::OutputArgs;
use super::lists::{ListArgs, print_list};
use super::pipeline::job_rows;
use super::rerun::{RerunArgs, WhichArgs, show_run};
use crate::client::ConnectionArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::render::{self, Format, plain, table::Table};

/// Look at workflows, and run them again
#[derive(clap::Subcommand, Debug)]
pub(crate) enum WorkflowCommand {
    /// List workflows, by the time at which their pipelines were submitted
    #[command(after_help = "Example:\n  russet workflow list --branch main --state failed")]
    List(ListArgs),
    /// Show a workflow and its jobs
    Show {
        /// Its id, or `PROJECT#NUMBER/WORKFLOW`
        id: String,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Run a workflow again: a further run of it in its pipeline
    #[command(
        after_help = "Examples:\n  russet workflow rerun acme/app#7/main --from-failed\n  russet workflow rerun latest --failed-tests --watch"
    )]
    Rerun {
        /// Its id, or `PROJECT#NUMBER/WORKFLOW`
        id: String,
        #[command(flatten)]
        which: WhichArgs,
        #[command(flatten)]
        args: RerunArgs,
    },
}

/// Runs the command.
pub(crate) async fn main(command: WorkflowCommand) -> Result<Exit> {
    match command {
        WorkflowCommand::List(args) => print_list::<WorkflowItem>(args).await,
        WorkflowCommand::Show { id, output, connection } => {
            let workflow = connection.connect()?.workflow(&id).await?;
            match output.output {
                Format::Json => render::print_json(&workflow)?,
                Format::Text => render::print_text(&workflow_text(&workflow))?,
            }
            Ok(Exit::Success)
        }
        WorkflowCommand::Rerun { id, which, args } => {
            let client = args.connection.connect()?;
            let run = client.rerun_workflow(&id, which.kind(), &args.person.name()).await?;
            show_run(&client, &run, &args).await
        }
    }
}

fn workflow_text(workflow: &Workflow) -> String {
    let state = workflow.phase.with_outcome(workflow.outcome);
    let mut text = format!("{}, run {}: {state}\n", plain(&workflow.name), workflow.run);
    text.push_str(&super::pipeline::rerun_line(workflow));
    let mut table = Table::new(&["WORKFLOW", "JOB", "STATE", "TIME", "ID"]);
    job_rows(&mut table, workflow);
    text.push('\n');
    text.push_str(&table.render("No jobs."));
    text
}
