//! `russet config`: what the compiler says of a configuration, without a control plane.

use russet_pipeline::Compiled;
use serde_json::json;

use super::compile::{CompileFailure, ConfigArgs, Prepared, compile_config, show_warnings};
use super::lacking::{Lacking, Wish};
use super::orb::OrbCommand;
use crate::client::ConnectionArgs;
use crate::color::Paint;
use crate::error::Result;
use crate::exit::Exit;
use crate::render::{self, Format, numbers};

/// Check a project's configuration
#[derive(clap::Subcommand, Debug)]
pub(crate) enum ConfigCommand {
    /// Say whether a configuration compiles, and what is wrong where it does not
    #[command(
        after_help = "Examples:\n  russet config validate\n  russet config validate other/config.yml --orb-path ~/orbs\n  russet config validate --server\n\nWhat is understood but cannot be run yet is a warning here; --strict makes it an error, as it is\nfor `russet run`. What is missing, such as orbs, is listed with what provides it; exits with 3 then."
    )]
    Validate {
        /// Refuse what `russet run` would refuse
        #[arg(long)]
        strict: bool,
        /// Compile with the orbs of the control plane too, and ask whether it has the contexts,
        /// resource classes and runners that the configuration needs
        ///
        /// Variables and SSH keys of the project are not looked at: which of them steps use, only
        /// they know.
        #[arg(long)]
        server: bool,
        #[command(flatten)]
        connection: ConnectionArgs,
        #[command(flatten)]
        args: ConfigArgs,
    },
    /// Print the configuration written out: without commands, orbs, matrices and parameters
    ///
    /// As YAML, which processes to itself. With --output json the compiled jobs with their steps.
    #[command(
        after_help = "Examples:\n  russet config process --parameter deploy=true --branch main"
    )]
    Process {
        #[command(flatten)]
        args: ConfigArgs,
    },
    #[command(subcommand)]
    Orb(OrbCommand),
}

/// Runs the command.
pub(crate) fn main(command: ConfigCommand) -> Result<Exit> {
    match command {
        ConfigCommand::Validate { args, strict, server, connection } => {
            validate_config(args, strict, server.then_some(&connection))
        }
        ConfigCommand::Process { args } => write_out(args),
        ConfigCommand::Orb(command) => super::orb::main(command),
    }
}

/// Prints the configuration written out.
fn write_out(args: ConfigArgs) -> Result<Exit> {
    let format = args.format();
    let prepared = Prepared::of(args, true)?;
    let (text, options) = prepared.resolved(None)?;
    let compiled = match (compile_config(&text, &options), format) {
        (Err(error), Format::Json) => {
            render::print_json(&json!({ "valid": false, "errors": error.plain }))?;
            return Ok(Exit::BadConfig);
        }
        (Err(error), Format::Text) => return Err(error.into_cli()),
        (Ok(compiled), _) => compiled,
    };
    show_warnings(&compiled);
    match format {
        Format::Json => render::print_json(&processed_json(&compiled))?,
        Format::Text => {
            let text = russet_pipeline::process(&text, &options)
                .map_err(|errors| CompileFailure::new(&errors).into_cli())?;
            render::print_text(&text)?;
        }
    }
    Ok(Exit::Success)
}

/// Says whether a configuration compiles, and what is still missing: here, and on the control plane
/// if one is to be asked.
fn validate_config(
    args: ConfigArgs,
    is_strict: bool,
    server: Option<&ConnectionArgs>,
) -> Result<Exit> {
    let format = args.format();
    let client = server.map(ConnectionArgs::connect).transpose()?;
    let mut prepared = Prepared::of(args, !is_strict)?;
    if let Some(client) = &client {
        let known = super::block_on(client.class_aliases())?;
        prepared.options.class_aliases.extend(known);
    }
    let (text, options) = prepared.resolved(client.as_ref())?;
    // Before the other, so that what one has read is gone when the other reads it.
    let wish = Wish {
        path: &prepared.path,
        project: prepared.local.project(),
        is_on_server: client.is_some(),
        has_registry: prepared.registry.is_some(),
    };
    let mut lacking = Lacking::of(&text, &options, wish);
    let compiled = compile_config(&text, &options);
    if let (Some(client), Ok(compiled)) = (&client, &compiled) {
        super::block_on(lacking.ask(client, compiled))?;
    }
    let exit = if lacking.is_nothing() { Exit::Success } else { Exit::BadConfig };
    match (compiled, format) {
        (Err(error), Format::Json) => {
            let missing = lacking.json();
            render::print_json(
                &json!({ "valid": false, "errors": error.plain, "missing": missing }),
            )?;
            Ok(Exit::BadConfig)
        }
        (Err(error), Format::Text) => {
            lacking.show();
            Err(error.into_cli())
        }
        (Ok(compiled), Format::Json) => {
            show_warnings(&compiled);
            let missing = lacking.json();
            render::print_json(&json!({ "valid": true, "errors": [], "missing": missing }))?;
            Ok(exit)
        }
        (Ok(compiled), Format::Text) => {
            show_warnings(&compiled);
            let jobs: usize = compiled.workflows.iter().map(|workflow| workflow.jobs.len()).sum();
            let jobs = numbers::counted(u64::try_from(jobs).unwrap_or_default(), "job");
            let good = Paint::stdout().good("valid");
            render::print_line(format_args!("{}: {good}, {jobs}", options.file))?;
            lacking.show();
            Ok(exit)
        }
    }
}

fn processed_json(compiled: &Compiled) -> serde_json::Value {
    let job = |job: &russet_pipeline::Job| {
        let environment: serde_json::Map<String, serde_json::Value> =
            job.environment.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        json!({
            "name": job.name,
            "requires": job.requires,
            "resource_class": job.resource_class,
            "shell": job.shell,
            "working_directory": job.working_directory,
            "environment": environment,
            "steps": job.steps,
        })
    };
    let workflow = |workflow: &russet_pipeline::Workflow| json!({ "name": workflow.name, "jobs": workflow.jobs.iter().map(job).collect::<Vec<_>>() });
    json!({ "workflows": compiled.workflows.iter().map(workflow).collect::<Vec<_>>() })
}
