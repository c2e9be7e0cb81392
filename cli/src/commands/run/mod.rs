//! `russet run`: a project's configuration, here and now.
//!
//! It starts a control plane and a launch agent of its own as child processes, submits the
//! project to them, shows what happens, and takes everything down again.

mod caches;
mod children;
mod interrupts;
mod session;
mod workspace;

use std::collections::BTreeSet;
use std::path::PathBuf;

use russet_control_plane::KeptCaches;
use russet_pipeline::{Compiled, JobKind, Options, Pipeline};
use russet_protocol::resource_class::ResourceClass;

use self::caches::{clear_caches, open_caches};
use super::OutputArgs;
use super::compile::{CompileArgs, compile_config, pipeline_by_hand, show_warnings};
use super::context::env_file;
use super::orbs::{Local, sent};
use super::secret_input::{read_secret_file, secret_text};
use super::values;
use crate::color::Paint;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::project::{self, Project};
use crate::render::{self, numbers, plain};
use russet_protocol::secret::Secret;

/// The class that all jobs are put into: there is one machine, this one.
const CLASS: &str = "local/run";

/// Run a project's configuration, here and now
///
/// Reads .circleci/config.yml of the project, starts a control plane and a launch agent for the
/// time of the run, and runs the jobs on this machine. Nothing needs to be installed or running.
///
/// As root, each job runs as an unprivileged user of its own. As anybody else, jobs run as the
/// caller and are not isolated.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  russet run                         Every job of the project in this directory
  russet run ../app --job test       One job, and what it requires
  russet run --on-host               Also the steps of docker: jobs, on this machine
  russet run --output json           Events as JSON lines; docs/run.md describes them

Ctrl-C cancels the jobs and waits for them; Ctrl-C again kills them.")]
pub(crate) struct RunArgs {
    /// Directory of the project
    #[arg(default_value = ".")]
    path: PathBuf,

    /// Only this job and what it requires
    #[arg(short, long, value_name = "NAME")]
    job: Option<String>,

    /// Only this workflow
    #[arg(short, long, value_name = "NAME")]
    workflow: Option<String>,

    /// Approve this job of the type `approval`; others are denied, and what requires them is not
    /// run. May be given several times
    #[arg(long, value_name = "JOB")]
    approve: Vec<String>,

    /// Run the steps of `docker:` jobs on this machine
    #[arg(long)]
    on_host: bool,

    #[command(flatten)]
    compile: CompileArgs,

    /// A file of variables for every job, NAME=VALUE in each line; their values are masked
    #[arg(long, value_name = "FILE")]
    env_file: Option<PathBuf>,
    /// A private SSH key for `add_ssh_keys`, in OpenSSH's format; may be given several times
    #[arg(long = "ssh-key", value_name = "FILE")]
    ssh_keys: Vec<PathBuf>,

    /// Number of jobs at once [default: the number of cores]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=256))]
    slots: Option<u32>,

    /// Directory for artifacts [default: $XDG_STATE_HOME/russet/runs/ID]
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,

    /// Neither use the caches of earlier runs of this project nor keep those of this one
    #[arg(long, conflicts_with = "fresh")]
    no_cache: bool,

    /// Delete the caches of earlier runs of this project first
    #[arg(long)]
    fresh: bool,

    /// Delete the caches of earlier runs of this project, and run nothing
    #[arg(long, conflicts_with_all = ["fresh", "no_cache"])]
    clear_cache: bool,

    /// Bytes of caches that runs of all projects may keep; the oldest go first
    #[arg(long, value_name = "SIZE", default_value = "10GB", value_parser = values::parse_size)]
    cache_limit: u64,

    /// Keep the temporary directory, with the logs of server and agent
    #[arg(long)]
    keep: bool,

    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the command.
pub(crate) fn main(args: RunArgs) -> Result<Exit> {
    let project = project::find_project(&args.path)?;
    if args.clear_cache {
        let removed = clear_caches(&open_caches(&project, args.cache_limit)?)?;
        let caches = numbers::counted(removed.caches, "cache");
        let size = russet_text::format_size(removed.bytes);
        render::print_line(format_args!("Deleted {caches} of {}, {size}.", plain(&project.name)))?;
        return Ok(Exit::Success);
    }
    let class: ResourceClass = CLASS
        .parse()
        .map_err(|error| CliError::local("could not name the resource class", error))?;
    let local = Local::of_project(&args.compile.orb_path, Some(project.dir.clone()))?;
    let mut options = Options {
        file: project.config_file.display().to_string(),
        on_host: args.on_host,
        resource_class: Some(class.clone()),
        branch: project.revision.branch.clone(),
        tag: None,
        workflow: args.workflow.clone(),
        job: args.job.clone(),
        parameters: args.compile.values(),
        class_aliases: args.compile.class_aliases()?,
        pipeline: Pipeline {
            project: Some(project.name.clone()),
            repository_url: project.revision.remote.clone(),
            revision: project.revision.commit.clone(),
            values: args.compile.compiler_pipeline_values(&project.revision),
            ..pipeline_by_hand()
        },
        ..Options::default()
    };
    let registry = args.compile.registry()?;
    let shelf = local.resolve(None, registry.as_ref(), &project.config, &options)?;
    options.orbs = shelf.orbs();
    // Before anything is started: a mistake in the configuration is the most likely failure.
    let compiled = compile_config(&project.config, &options)
        .map_err(super::compile::CompileFailure::into_cli)?;
    show_warnings(&compiled);
    let named = || compiled.workflows.iter().flat_map(|workflow| &workflow.jobs);
    let tasks = named().map(|job| usize::try_from(job.parallelism).unwrap_or(usize::MAX));
    let jobs = tasks.fold(0_usize, usize::saturating_add);
    let contexts: BTreeSet<String> = named().flat_map(|job| job.contexts.clone()).collect();
    let is_setup = compiled.is_setup;
    check_approvals(&args.approve, &compiled)?;
    drop(compiled);
    let sent = sent(&local, &shelf, &project.config, &options, is_setup)?;
    let class_aliases = options.class_aliases;
    let caches = if args.no_cache { None } else { kept_caches(&project, &args) };
    let variables = args.env_file.as_deref().map(env_file).transpose()?.unwrap_or_default();
    let read = |path: &PathBuf| {
        let text = secret_text(read_secret_file(path)?, path)?;
        Ok(Secret::new(text.trim_end()))
    };
    let ssh_keys = args.ssh_keys.iter().map(read).collect::<Result<Vec<Secret>>>()?;
    // What a setup goes on with may have more jobs than it has itself.
    let slots =
        args.slots.unwrap_or_else(|| default_slots(if is_setup { usize::MAX } else { jobs }));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::local("could not start the runtime", error))?;
    let result = runtime.block_on(session::run_plan(session::Plan {
        project,
        class,
        slots,
        contexts,
        variables,
        ssh_keys,
        sent,
        class_aliases,
        registry: args.compile.registry.with_settings()?,
        caches,
        args,
    }));
    // Packing may still be busy with a file after Ctrl-C; nobody waits for that.
    runtime.shutdown_background();
    result
}

/// Returns the place of the caches of earlier runs. `None`, with a note, where they cannot be kept: the
/// jobs run all the same.
fn kept_caches(project: &Project, args: &RunArgs) -> Option<KeptCaches> {
    let opened = open_caches(project, args.cache_limit).and_then(|kept| {
        if args.fresh {
            clear_caches(&kept)?;
        }
        Ok(kept)
    });
    opened
        .inspect_err(|error| {
            render::print_note("Caches of this run are not kept:");
            render::print_note(error.render(Paint::stderr()).trim_end());
        })
        .ok()
}

/// Refuses names of approvals that the workflows do not have. A setup may go on with others, which
/// are not known yet.
fn check_approvals(named: &[String], compiled: &Compiled) -> Result<()> {
    let jobs = compiled.workflows.iter().flat_map(|workflow| &workflow.jobs);
    let approvals: BTreeSet<&str> =
        jobs.filter(|job| job.kind == JobKind::Approval).map(|job| &*job.name).collect();
    let unknown = named.iter().find(|name| !approvals.contains(name.as_str()));
    let Some(unknown) = unknown.filter(|_| !compiled.is_setup) else { return Ok(()) };
    let message = format!("there is no approval `{unknown}` in what would run");
    let hint = if approvals.is_empty() {
        "none of the jobs waits for an approval".to_owned()
    } else {
        let names: Vec<&str> = approvals.into_iter().collect();
        format!("the approvals are: {}", names.join(", "))
    };
    Err(CliError::new(Exit::Usage, plain(&message)).hint(plain(&hint)))
}

/// As many as there are cores, but not more than there are jobs: a slot has to be set up.
fn default_slots(jobs: usize) -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u32::try_from(cores.min(jobs).max(1)).unwrap_or(1)
}
