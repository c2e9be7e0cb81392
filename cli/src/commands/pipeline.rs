//! `russet pipeline`.

use std::path::PathBuf;

use russet_pipeline::Options;
use russet_protocol::admin::{Job, Pipeline, RerunKind, SubmitRequest, Workflow};
use russet_protocol::outcome::Phase;
use russet_protocol::project_settings::{SUPERSEDED_BY, canceled_by_text};
use russet_protocol::resource_class::ResourceClass;

use super::OutputArgs;
use super::compile::{CompileArgs, pipeline_by_hand};
use super::confirm::YesArgs;
use super::lists::{ListArgs, pipeline_state, print_list};
use super::orbs::{Local, Sent, sent};
use super::people::PersonArgs;
use super::rerun::{RerunArgs, WhichArgs, run_line};
use super::watch::watch_pipeline;
use crate::client::{Client, ConnectionArgs};
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::project::{self, Project};
use crate::render::{self, Format, numbers, table::Table};

/// Submit pipelines and look at them
#[derive(clap::Subcommand, Debug)]
pub(crate) enum PipelineCommand {
    /// Submit a project's files and configuration
    #[command(
        after_help = "Examples:\n  russet pipeline submit\n  russet pipeline submit ../app --watch"
    )]
    Submit(Box<SubmitArgs>),
    /// List pipelines
    #[command(
        after_help = "Examples:\n  russet pipeline list --project acme/app --branch main\n  russet pipeline list --state failed --since 1d\n  russet pipeline list --since 7d --sort duration --limit 10"
    )]
    List(ListArgs),
    /// Show a pipeline and its jobs
    Show {
        /// Its id, `PROJECT#NUMBER` or `latest`
        id: String,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Follow a pipeline until it ends; exits as `russet run` does
    Watch {
        /// Its id, `PROJECT#NUMBER` or `latest`
        id: String,
        #[command(flatten)]
        output: OutputArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Pin a pipeline: it stays whatever the retention says
    Pin {
        /// Its id, `PROJECT#NUMBER` or `latest`
        id: String,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Unpin a pipeline
    Unpin {
        /// Its id, `PROJECT#NUMBER` or `latest`
        id: String,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Delete a pipeline that has ended, with its output, artifacts and test results
    Delete {
        /// Its id, `PROJECT#NUMBER` or `latest`
        id: String,
        #[command(flatten)]
        yes: YesArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
    /// Run a pipeline's workflows again: further runs of them, with the same source and parameters
    ///
    /// Of a pipeline with a setup workflow, that one runs again and the pipeline goes on anew.
    #[command(
        after_help = "Examples:\n  russet pipeline rerun acme/app#7\n  russet pipeline rerun latest --from-failed --watch"
    )]
    Rerun {
        /// Its id, `PROJECT#NUMBER` or `latest`
        id: String,
        #[command(flatten)]
        which: WhichArgs,
        #[command(flatten)]
        args: RerunArgs,
    },
    /// Cancel a pipeline
    Cancel {
        /// Its id, `PROJECT#NUMBER` or `latest`
        id: String,
        #[command(flatten)]
        person: PersonArgs,
        #[command(flatten)]
        connection: ConnectionArgs,
    },
}

/// Options of a submission.
#[derive(clap::Args, Debug)]
pub(crate) struct SubmitArgs {
    /// Directory of the project
    #[arg(default_value = ".")]
    path: PathBuf,
    /// Name of the project [default: `owner/name` of its remote, else its directory]
    #[arg(long)]
    project: Option<String>,
    /// Put every job into this resource class, whatever the configuration says
    #[arg(long, value_name = "NAMESPACE/NAME")]
    resource_class: Option<ResourceClass>,
    /// Only this workflow
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
    /// Only this job and what it requires
    #[arg(long, value_name = "NAME")]
    job: Option<String>,
    /// Run the steps of `docker:` jobs on the runner itself
    #[arg(long)]
    on_host: bool,
    #[command(flatten)]
    compile: CompileArgs,
    /// It comes from a fork: it gets no secrets, and only runners whose class takes forks
    #[arg(long)]
    from_fork: bool,
    /// Follow it until it ends
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    person: PersonArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Runs the command.
pub(crate) async fn main(command: PipelineCommand) -> Result<Exit> {
    match command {
        PipelineCommand::Submit(args) => return submit_project(*args).await,
        PipelineCommand::List(args) => return print_list::<Pipeline>(args).await,
        PipelineCommand::Show { id, output, connection } => {
            let pipeline = connection.connect()?.pipeline(&id).await?;
            match output.output {
                Format::Json => render::print_json(&pipeline)?,
                Format::Text => render::print_text(&pipeline_text(&pipeline))?,
            }
        }
        PipelineCommand::Watch { id, output, connection } => {
            return watch_pipeline(&connection.connect()?, &id, output.output).await;
        }
        PipelineCommand::Pin { id, connection } => {
            connection.connect()?.pin_pipeline(&id, true).await?;
            render::print_line(format_args!("Pinned {}.", render::plain(&id)))?;
        }
        PipelineCommand::Unpin { id, connection } => {
            connection.connect()?.pin_pipeline(&id, false).await?;
            render::print_line(format_args!("Unpinned {}.", render::plain(&id)))?;
        }
        PipelineCommand::Delete { id, yes, connection } => {
            let client = connection.connect()?;
            yes.confirm(&format!("Delete the pipeline {}", render::plain(&id)))?;
            client.delete_pipeline(&id).await?;
            render::print_line(format_args!("Deleted {}.", render::plain(&id)))?;
        }
        PipelineCommand::Rerun { id, which, args } => return rerun(&id, which, &args).await,
        PipelineCommand::Cancel { id, person, connection } => {
            connection.connect()?.cancel_pipeline(&id, &person.name()).await?;
            render::print_line(format_args!("Canceled {}.", render::plain(&id)))?;
        }
    }
    Ok(Exit::Success)
}

async fn rerun(id: &str, which: WhichArgs, args: &RerunArgs) -> Result<Exit> {
    let client = args.connection.connect()?;
    let pipeline = client.rerun_pipeline(id, which.kind(), &args.person.name()).await?;
    if args.watch {
        return watch_pipeline(&client, pipeline.id.as_str(), args.output.output).await;
    }
    match args.output.output {
        Format::Json => render::print_json(&pipeline)?,
        Format::Text => {
            let is_open = |workflow: &&Workflow| workflow.phase != Phase::Ended;
            for workflow in pipeline.current_workflows().filter(is_open) {
                render::print_line(run_line(workflow))?;
            }
        }
    }
    Ok(Exit::Success)
}

async fn submit_project(args: SubmitArgs) -> Result<Exit> {
    let project = project::find_project(&args.path)?;
    let client = args.connection.connect()?;
    let failed = |error| CliError::local("could not make a temporary directory", error);
    let temporary = tempfile::tempdir().map_err(failed)?;
    let snapshot = project::pack_project(&project.dir, &temporary.path().join("source.tar.zst"))?;
    for note in &snapshot.notes {
        render::print_note(note);
    }
    let sent = orbs_of(&args, &project, &client).await?;
    client.send_snapshot(&snapshot).await?;
    let pipeline_values = args.compile.pipeline_values(&project.revision);
    let class_aliases = args.compile.class_aliases()?;
    let request = SubmitRequest {
        project: args.project.unwrap_or(project.name),
        config: project.config,
        config_path: project.config_file.display().to_string(),
        branch: project.revision.branch,
        tag: None,
        revision: project.revision.commit,
        repository_url: project.revision.remote,
        from_fork: args.from_fork,
        author: Some(args.person.name()),
        source: Some(snapshot.id),
        on_host: args.on_host,
        resource_class: args.resource_class,
        workflow: args.workflow,
        job: args.job,
        parameters: args.compile.parameters(),
        pipeline_values,
        orbs: sent.orbs,
        orb_pins: sent.pins,
        class_aliases,
        make_contexts: false,
    };
    let pipeline = client.submit(&request).await?;
    for warning in &pipeline.warnings {
        render::print_note(warning);
    }
    if args.watch {
        return watch_pipeline(&client, pipeline.id.as_str(), args.output.output).await;
    }
    match args.output.output {
        Format::Json => render::print_json(&pipeline)?,
        Format::Text => render::print_line(format_args!(
            "Submitted pipeline {} of {}. Follow it: russet pipeline watch {}",
            pipeline.number, pipeline.project, pipeline.id
        ))?,
    }
    Ok(Exit::Success)
}

/// The orbs that go along with a project. The control plane is asked for those that are not here
/// only to tell which others they use.
async fn orbs_of(args: &SubmitArgs, project: &Project, client: &Client) -> Result<Sent> {
    let local = Local::of_project(&args.compile.orb_path, Some(project.dir.clone()))?;
    let options = Options {
        file: project.config_file.display().to_string(),
        on_host: args.on_host,
        check: true,
        branch: project.revision.branch.clone(),
        parameters: args.compile.values(),
        pipeline: russet_pipeline::Pipeline {
            values: args.compile.compiler_pipeline_values(&project.revision),
            ..pipeline_by_hand()
        },
        ..Options::default()
    };
    let text = &project.config;
    let here = Options { orbs: local.shelf().orbs(), ..options.clone() };
    let is_missing = russet_pipeline::orbs(text, &here).iter().any(|orb| orb.version.is_none());
    let registry = args.compile.registry()?;
    let shelf = if is_missing {
        local.resolve_from(Some(client), registry.as_ref(), text, &options).await?
    } else {
        local.shelf()
    };
    let options = Options { orbs: shelf.orbs(), ..options };
    // What is wrong with it, the control plane says.
    let is_setup = russet_pipeline::compile(text, &options).is_ok_and(|found| found.is_setup);
    sent(&local, &shelf, text, &options, is_setup)
}

fn pipeline_text(pipeline: &Pipeline) -> String {
    let project = render::plain(&pipeline.project);
    let mut text =
        format!("Pipeline {} of {project}: {}\n", pipeline.number, pipeline_state(pipeline));
    if let Some(author) = &pipeline.author {
        text.push_str(&format!("submitted by {}\n", render::plain(author)));
    }
    if let Some(by) = &pipeline.canceled_by {
        text.push_str(&format!("{}\n", canceled_by_text(&render::plain(by))));
    }
    pipeline.workflows.iter().for_each(|workflow| text.push_str(&rerun_line(workflow)));
    let mut table = Table::new(&["WORKFLOW", "JOB", "STATE", "TIME", "ID"]);
    for workflow in &pipeline.workflows {
        job_rows(&mut table, workflow);
    }
    text.push('\n');
    text.push_str(&table.render("No jobs."));
    let jobs = pipeline.workflows.iter().flat_map(|workflow| &workflow.jobs);
    for (job, waiting) in jobs.filter_map(|job| Some((job, job.waiting.as_ref()?))) {
        let (name, why) = (render::plain(&job.name), render::plain(&waiting.text));
        text.push_str(&format!("\n{name} waits: {why}"));
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// Says what a further run of a workflow repeats, and for whom.
pub(super) fn rerun_line(workflow: &Workflow) -> String {
    let Some(rerun) = &workflow.rerun else { return String::new() };
    let which = match rerun.kind {
        RerunKind::FromStart => "from the start",
        RerunKind::FromFailed => "from failed",
        RerunKind::FailedTests => "failed tests alone",
        RerunKind::Job => "one job and what requires it",
    };
    let by = rerun.by.as_deref().map(|by| format!(", by {}", render::plain(by)));
    let (name, by) = (render::plain(&workflow.name), by.unwrap_or_default());
    format!("{name}, run {}: repeats {} ({which}){by}\n", workflow.run, rerun.of)
}

/// Adds the jobs of a workflow to a table: name of the workflow, job, state, time and id.
pub(super) fn job_rows(table: &mut Table, workflow: &Workflow) {
    for job in &workflow.jobs {
        table.row([
            match workflow.run {
                1 => workflow.name.clone(),
                run => format!("{} (run {run})", workflow.name),
            },
            job.name.clone(),
            job_state(job),
            job_time(job, numbers::now_ms()),
            job.id.to_string(),
        ]);
    }
}

/// The state of a job: also if it is kept from an earlier run, and who decided.
fn job_state(job: &Job) -> String {
    let mut state = job.phase.with_outcome(job.outcome).to_owned();
    if let Some(by) = &job.decided_by {
        let link = if by.starts_with(SUPERSEDED_BY) { "," } else { " by" };
        state.push_str(&format!("{link} {}", render::plain(by)));
    }
    if job.kept_from.is_some() {
        state.push_str(" (kept)");
    }
    state
}

/// The time that a job took; of one that runs, so far.
fn job_time(job: &Job, now_ms: u64) -> String {
    match (job.started_ms, job.ended_ms) {
        (Some(start), Some(end)) => numbers::duration_between(start, end),
        (Some(start), None) => format!("{} so far", numbers::duration_between(start, now_ms)),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use russet_protocol::admin::{Job, Pipeline};
    use serde_json::json;

    use super::{job_state, job_time};
    use crate::commands::lists::pipeline_state;

    fn job(more: serde_json::Value) -> Job {
        let mut all = json!({ "id": "j", "number": 1, "name": "test", "phase": "running" });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn a_job_that_runs_has_a_time_so_far_and_one_that_waits_has_none() {
        assert_eq!(job_time(&job(json!({ "started_ms": 1000 })), 6000), "5 s so far");
        assert_eq!(job_time(&job(json!({ "started_ms": 1000, "ended_ms": 3000 })), 9000), "2 s");
        assert_eq!(job_time(&job(json!({})), 9000), "");
    }

    #[test]
    fn a_job_says_who_decided_and_that_it_was_kept() {
        let ended = json!({ "phase": "ended", "outcome": "success", "decided_by": "Ana",
            "kept_from": "k" });
        assert_eq!(job_state(&job(ended)), "success by Ana (kept)");
    }

    #[test]
    fn a_pipeline_stands_as_the_last_runs_of_its_workflows_do() {
        let workflow = |id: &str, outcome: &str, run: u32| {
            json!({ "id": id, "name": "main", "phase": "ended", "outcome": outcome, "run": run,
                "rerun": (run > 1).then(|| json!({ "of": "w1", "first": "w1",
                    "kind": "from_failed", "created_ms": 1 })), "jobs": [] })
        };
        let pipeline: Pipeline = serde_json::from_value(json!({ "id": "p", "number": 1,
            "project": "app", "created_ms": 0,
            "workflows": [workflow("w1", "failed", 1), workflow("w2", "success", 2)] }))
        .unwrap();
        assert_eq!(pipeline_state(&pipeline), "success");
    }
}
