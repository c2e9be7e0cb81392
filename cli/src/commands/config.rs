//! `russet config`: what the compiler says of a configuration, without a control plane.

use std::collections::BTreeMap;
use std::path::PathBuf;

use russet_orbs::Registry;
use russet_pipeline::{Compiled, Options, Pipeline, Value};
use russet_protocol::admin::ParameterValue;
use russet_protocol::resource_class::ResourceClass;
use serde_json::json;

use super::lacking::{Lacking, Wish};
use super::orb::OrbCommand;
use super::orbs::{self, Local, RegistryArgs};
use super::{OutputArgs, values};
use crate::client::{Client, ConnectionArgs, Settings};
use crate::color::Paint;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::project::{self, Revision};
use crate::render::{self, Format, numbers};

/// Stand-in for `pipeline.trigger_source` where no control plane runs the pipeline.
pub(crate) const LOCAL_TRIGGER: &str = "webhook";

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

/// Options of both.
#[derive(clap::Args, Debug)]
pub(crate) struct ConfigArgs {
    /// The configuration, or the directory of the project
    #[arg(default_value = ".")]
    path: PathBuf,

    /// Run the steps of `docker:` jobs on the machine itself
    #[arg(long)]
    on_host: bool,

    #[command(flatten)]
    compile: CompileArgs,

    /// Branch of the pipeline; without it and --tag, filters let everything through
    #[arg(long, value_name = "NAME")]
    branch: Option<String>,

    /// Tag of the pipeline
    #[arg(long, value_name = "NAME")]
    tag: Option<String>,

    #[command(flatten)]
    output: OutputArgs,
}

impl ConfigArgs {
    /// Returns the format of the result.
    pub(crate) fn format(&self) -> Format {
        self.output.output
    }
}

/// Options of compiling a configuration, wherever that is.
#[derive(clap::Args, Debug)]
pub(crate) struct CompileArgs {
    /// Directory of orbs, as namespace/name@1.2.3.yml, besides .circleci/orbs of the project; may
    /// be given more than once
    #[arg(long, value_name = "DIR")]
    pub(crate) orb_path: Vec<PathBuf>,

    /// Value of a pipeline parameter; may be given more than once
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = values::parse_parameter)]
    parameters: Vec<(String, String)>,

    /// Value of `pipeline.NAME`, such as project.type=bitbucket; may be given more than once
    #[arg(long = "pipeline-value", value_name = "NAME=VALUE", value_parser = values::parse_parameter)]
    pipeline_values: Vec<(String, String)>,

    /// Class that another name of a machine stands for, such as one of CircleCI's own; may be given
    /// more than once
    #[arg(long = "class-alias", value_name = "NAME=NAMESPACE/NAME", value_parser = values::parse_class_alias)]
    class_aliases: Vec<(String, ResourceClass)>,

    #[command(flatten)]
    pub(crate) registry: RegistryArgs,
}

impl CompileArgs {
    /// Values of `pipeline.…` that were given, or that the work tree tells.
    pub(crate) fn pipeline_values(&self, revision: &Revision) -> BTreeMap<String, ParameterValue> {
        let known = revision.is_default_branch.map(|is_default| {
            ("pipeline.git.branch.is_default".to_owned(), ParameterValue::Boolean(is_default))
        });
        let given = self.pipeline_values.iter().map(|(name, value)| {
            let name = name.strip_prefix("pipeline.").unwrap_or(name);
            (format!("pipeline.{name}"), typed(value))
        });
        known.into_iter().chain(given).collect()
    }

    /// The parameters as a control plane takes them.
    pub(crate) fn parameters(&self) -> BTreeMap<String, ParameterValue> {
        let given = self.parameters.iter().cloned();
        given.map(|(name, value)| (name, ParameterValue::Text(value))).collect()
    }

    /// The classes that other names stand for: those of the settings, and over them those of the
    /// command line.
    pub(crate) fn class_aliases(&self) -> Result<BTreeMap<String, ResourceClass>> {
        let mut aliases = Settings::read()?.class_aliases;
        aliases.extend(self.class_aliases.iter().cloned());
        Ok(aliases)
    }

    /// The registry that missing orbs are fetched from, if any.
    pub(crate) fn registry(&self) -> Result<Option<Registry>> {
        self.registry.with_settings()?.open()
    }

    /// The parameters as the compiler takes them.
    pub(crate) fn values(&self) -> BTreeMap<String, Value> {
        let given = self.parameters.iter().cloned();
        given.map(|(name, value)| (name, Value::Text(value))).collect()
    }
}

/// Returns a value as what it reads as: a boolean, a whole number or a text.
fn typed(text: &str) -> ParameterValue {
    match (text, text.parse()) {
        ("true", _) => ParameterValue::Boolean(true),
        ("false", _) => ParameterValue::Boolean(false),
        (_, Ok(number)) => ParameterValue::Integer(number),
        (_, Err(_)) => ParameterValue::Text(text.to_owned()),
    }
}

/// Returns a value as the compiler takes it.
pub(crate) fn compiler_value(value: ParameterValue) -> Value {
    match value {
        ParameterValue::Boolean(value) => Value::Boolean(value),
        ParameterValue::Integer(value) => Value::Integer(value),
        ParameterValue::Text(value) => Value::Text(value),
    }
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

/// A configuration, and what it is compiled with.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// As it was named: the file, or the directory of the project.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// With the orbs that are here.
    pub(crate) options: Options,
    pub(crate) local: Local,
    /// Registry that missing orbs are fetched from, if any.
    pub(crate) registry: Option<Registry>,
}

impl Prepared {
    /// Reads a configuration. With `check` it is only looked at.
    pub(crate) fn of(args: ConfigArgs, check: bool) -> Result<Self> {
        let file =
            if args.path.is_dir() { project::config_file(&args.path) } else { args.path.clone() };
        let text = project::read_config(&file)?;
        let local = Local::of_project(&args.compile.orb_path, orbs::project_of(&file))?;
        let options = Options {
            file: file.display().to_string(),
            on_host: args.on_host,
            branch: args.branch,
            tag: args.tag,
            check,
            parameters: args.compile.values(),
            class_aliases: args.compile.class_aliases()?,
            orbs: local.shelf().orbs(),
            pipeline: Pipeline {
                values: args
                    .compile
                    .pipeline_values(&Revision::default())
                    .into_iter()
                    .map(|(name, value)| (name, compiler_value(value)))
                    .collect(),
                ..pipeline_by_hand()
            },
            ..Options::default()
        };
        let registry = args.compile.registry()?;
        Ok(Self { path: args.path, text, options, local, registry })
    }

    /// The text, and what it is compiled with when orbs came from a control plane and from the
    /// registry.
    fn resolved(&self, client: Option<&Client>) -> Result<(String, Options)> {
        let shelf =
            self.local.resolve(client, self.registry.as_ref(), &self.text, &self.options)?;
        Ok((self.text.clone(), Options { orbs: shelf.orbs(), ..self.options.clone() }))
    }
}

/// Returns stand-ins for what a pipeline would have, those of CircleCI's own command line: the
/// number 1, triggered by a webhook.
pub(crate) fn pipeline_by_hand() -> Pipeline {
    let trigger_source = Some(LOCAL_TRIGGER.to_owned());
    Pipeline { number: Some(1), trigger_source, ..Pipeline::default() }
}

/// Reason why a configuration does not compile, plainly and for the terminal.
pub(crate) struct CompileFailure {
    plain: Vec<String>,
    painted: Vec<String>,
}

impl CompileFailure {
    pub(crate) fn new(errors: &russet_pipeline::Errors) -> Self {
        let color = Paint::stderr().is_on();
        Self {
            plain: errors.0.iter().map(ToString::to_string).collect(),
            painted: errors.0.iter().map(|diagnostic| diagnostic.render(color)).collect(),
        }
    }

    /// As the one error that people see.
    pub(crate) fn into_cli(self) -> CliError {
        let count = u64::try_from(self.plain.len()).unwrap_or_default();
        let message = format!("the configuration has {}", numbers::counted(count, "error"));
        CliError::new(Exit::BadConfig, message).details(self.painted)
    }
}

/// Compiles `text`.
pub(crate) fn compile_config(
    text: &str,
    options: &Options,
) -> std::result::Result<Compiled, CompileFailure> {
    russet_pipeline::compile(text, options).map_err(|errors| CompileFailure::new(&errors))
}

/// Prints what the compiler wants people to know.
pub(crate) fn show_warnings(compiled: &Compiled) {
    let color = Paint::stderr().is_on();
    for warning in &compiled.warnings {
        render::print_note(format_args!("{}\n", warning.render(color).trim_end()));
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
