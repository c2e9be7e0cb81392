//! Compiles a project's `.circleci/config.yml` to jobs with steps.
//!
//! Pure: text in, jobs or errors out. No I/O, no clock, no async. The stages:
//!
//! 1. `yaml`: text to a tree of nodes that know their places, aliases and merge keys resolved,
//!    within limits, since the text is written by whoever can push to a project;
//! 2. `config`: tree to typed jobs and workflows, every key known, refused by name or wrong;
//! 3. `compile`: the jobs that the chosen workflows run, in the form that a task agent takes.
//!
//! Diagnostics are the product here: each has a place, and all independent ones come at once.

mod compile;
mod compiled;
mod config;
mod diagnostic;
mod problem;
mod reference;
mod render;
mod source;
mod suggest;
mod yaml;

use std::collections::BTreeSet;

pub use compiled::{Compiled, Job, Workflow};
pub use diagnostic::{Diagnostic, Errors, Related, Severity, Snippet};
pub use reference::reference;
use russet_protocol::resource_class::ResourceClass;

/// Longest configuration that is read, in bytes. Callers that read a file may stop behind it.
pub const MAX_BYTES: usize = yaml::limits::MAX_BYTES;

/// What is to be compiled, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Name of the file, for messages only. It is not opened.
    pub file: String,
    /// Run the steps of `docker:` jobs on the machine itself, where they are otherwise refused.
    pub on_host: bool,
    /// Put every job into this class, whatever the configuration says.
    pub resource_class: Option<ResourceClass>,
    /// Branch that the pipeline is of, if any. Nothing of the language that is supported so far
    /// depends on it or on the tag; filters do.
    pub branch: Option<String>,
    /// Tag that the pipeline is of, if any.
    pub tag: Option<String>,
    /// Only the workflow of this name.
    pub workflow: Option<String>,
    /// Only the job of this name and what it requires, directly or not.
    pub job: Option<String>,
}

/// Compiles a configuration.
///
/// # Errors
///
/// All that is wrong with the configuration, in the order of the text.
pub fn compile(text: &str, options: &Options) -> Result<Compiled, Errors> {
    if text.len() > MAX_BYTES {
        return Err(too_long(text, options));
    }
    let source = source::Source::new(&options.file, text);
    let (root, problems) = yaml::parse(&source);
    let mut context = config::Context {
        source: &source,
        options,
        is_2_1: true,
        commands: BTreeSet::new(),
        problems,
        suggestions: suggest::Suggestions::default(),
    };
    let config = root.and_then(|root| config::read(&mut context, &root));
    let workflows = config.map_or_else(Vec::new, |config| compile::compile(&mut context, config));
    let (errors, warnings) = problem::diagnose(&source, context.problems);
    if errors.is_empty() { Ok(Compiled { workflows, warnings }) } else { Err(Errors(errors)) }
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
