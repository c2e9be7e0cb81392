//! Compiles a project's `.circleci/config.yml` to jobs with steps.
//!
//! Pure: text in, jobs or errors out. No I/O, no clock, no async. The stages:
//!
//! 1. `yaml`: text to a tree of nodes that know their places, aliases and merge keys resolved,
//!    within limits, since the text is written by whoever can push to a project;
//! 2. `expand`: what version 2.1 has for saying much with little (commands, parameters, orbs,
//!    matrices, conditions) written out, as a tree again;
//! 3. `config`: tree to typed jobs and workflows, every key known, refused by name or wrong;
//! 4. `compile`: the jobs that the chosen workflows run, in the form that a task agent takes.
//!
//! Diagnostics are the product here: each has a place, and all independent ones come at once.

#![forbid(unsafe_code)]

mod compile;
mod compiled;
mod config;
mod context;
mod diagnostic;
mod emit;
mod expand;
mod left_out;
mod options;
mod orb;
mod orb_check;
mod pattern;
mod problem;
mod recover;
mod reference;

mod versions;
mod vocabulary;
mod yaml;

/// Texts and places in them.
mod source {
    pub use russet_yaml::Snippet;
    pub(crate) use russet_yaml::{Source, Span, article, quoted};
}

/// Did-you-mean.
mod suggest {
    pub(crate) use russet_yaml::{Suggestions, did_you_mean, nearest};
}

use std::collections::BTreeMap;

pub use compile::NOTHING_RUNS;
pub use compiled::{Compiled, Job, JobKind, Required, Status, Workflow};
pub use config::cron::{CronTimes, InvalidCron};
pub use diagnostic::{Diagnostic, Errors, Related, Severity, Snippet};
pub use options::{Options, OrbSource, OrbTrouble, Orbs, Pipeline, Value};
pub use orb::{OrbUse, is_orb_name, is_orb_version, orb_version_fits};
pub use orb_check::{check_orb, orbs};
pub use reference::reference;

/// Longest configuration that is read, in bytes. Callers that read a file may stop behind it.
pub const MAX_BYTES: usize = yaml::limits::MAX_BYTES;

/// Compiles a configuration.
///
/// # Errors
///
/// All that is wrong with the configuration, in the order of the text.
pub fn compile(text: &str, options: &Options) -> Result<Compiled, Errors> {
    let (mut context, config) = read(text, options)?;
    let is_setup = config.as_ref().is_some_and(|config| config.written.is_setup);
    let chosen = config.map(|config| compile::compile(&mut context, config)).unwrap_or_default();
    let (errors, warnings) = problem::diagnose(&context.source, context.problems);
    if !errors.is_empty() {
        return Err(Errors(errors));
    }
    let compile::Chosen { workflows, is_selected_later } = chosen;
    Ok(Compiled { workflows, is_setup, is_selected_later, warnings })
}

/// Writes a configuration out: what it means, without commands, parameters, orbs, matrices and
/// conditions. The same text for the same configuration and options, and processing it again
/// changes nothing.
///
/// Whatever is understood but cannot be run is let through, and so is a configuration of which
/// nothing would run; `workflow` and `job` of the options do not matter.
///
/// # Errors
///
/// All that is wrong with the configuration, in the order of the text.
pub fn process(text: &str, options: &Options) -> Result<String, Errors> {
    let options = Options { check: true, workflow: None, job: None, ..options.clone() };
    let (mut context, config) = read(text, &options)?;
    let out = config.as_ref().map(|config| emit::emit(&config.written));
    if let Some(config) = config {
        compile::compile(&mut context, config);
    }
    let (errors, _) = problem::diagnose(&context.source, context.problems);
    if errors.is_empty() { Ok(out.unwrap_or_default()) } else { Err(Errors(errors)) }
}

/// Reads a configuration, as far as it can be read.
fn read<'a>(
    text: &'a str,
    options: &'a Options,
) -> Result<(context::Context<'a>, Option<config::Config>), Errors> {
    if text.len() > MAX_BYTES {
        return Err(too_long(text, options));
    }
    let (root, mut problems) = yaml::parse(text, 0);
    if let (None, Some(first)) = (&root, problems.last().cloned()) {
        problems.extend(recover::further_mistakes(text, &first));
    }
    let mut context = context::Context {
        source: source::Source::new(&options.file, text),
        options,
        is_2_1: true,
        is_setup: false,
        missing: BTreeMap::new(),
        orbs: Vec::new(),
        orb_bytes: 0,
        code_signing: Vec::new(),
        commands: Vec::new(),
        problems,
        suggestions: suggest::Suggestions::default(),
        patterns: pattern::Patterns::default(),
    };
    let config = root.and_then(|root| config::read(&mut context, &root));
    Ok((context, config))
}

/// The error for a text that is not read at all. What it costs does not depend on its length.
fn too_long(text: &str, options: &Options) -> Errors {
    const SHOWN: usize = 200;
    let start = text.get(..text.floor_char_boundary(SHOWN)).unwrap_or("");
    let first_line = start.lines().next().unwrap_or("");
    let source = source::Source::new(&options.file, first_line);
    let (length, limit) = (text.len() / 1024 / 1024, MAX_BYTES / 1024 / 1024);
    let message = format!("the configuration is longer than {limit} MiB (it has {length} MiB)");
    let problem = problem::Problem::error(source::Span::new(0, first_line.len()), message);
    Errors(problem::diagnose(&source, vec![problem]).0)
}
