//! Compiling a configuration, for all commands that do: options, and what is printed of errors.

use std::collections::BTreeMap;
use std::path::PathBuf;

use russet_orbs::Registry;
use russet_pipeline::{Compiled, Options, Pipeline, Value};
use russet_protocol::admin::ParameterValue;
use russet_protocol::resource_class::ResourceClass;

use super::orbs::{self, Local, RegistryArgs};
use super::{OutputArgs, values};
use crate::client::{Client, Settings};
use crate::color::Paint;
use crate::error::{CliError, Result};
use crate::exit::Exit;
use crate::project::{self, Revision};
use crate::render::{self, Format, numbers};

/// Stand-in for `pipeline.trigger_source` where no control plane runs the pipeline.
pub(crate) const LOCAL_TRIGGER: &str = "webhook";

/// Options of commands that compile a configuration here.
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

    /// The same as the compiler takes them.
    pub(crate) fn compiler_pipeline_values(&self, revision: &Revision) -> BTreeMap<String, Value> {
        let values = self.pipeline_values(revision).into_iter();
        values.map(|(name, value)| (name, compiler_value(value))).collect()
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
fn compiler_value(value: ParameterValue) -> Value {
    match value {
        ParameterValue::Boolean(value) => Value::Boolean(value),
        ParameterValue::Integer(value) => Value::Integer(value),
        ParameterValue::Text(value) => Value::Text(value),
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
                values: args.compile.compiler_pipeline_values(&Revision::default()),
                ..pipeline_by_hand()
            },
            ..Options::default()
        };
        let registry = args.compile.registry()?;
        Ok(Self { path: args.path, text, options, local, registry })
    }

    /// The text, and what it is compiled with when orbs came from a control plane and from the
    /// registry.
    pub(crate) fn resolved(&self, client: Option<&Client>) -> Result<(String, Options)> {
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
    pub(crate) plain: Vec<String>,
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
