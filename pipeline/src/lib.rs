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

mod compiled;
mod diagnostic;
mod render;
mod source;

pub use compiled::{Compiled, Job, Workflow};
pub use diagnostic::{Diagnostic, Errors, Related, Severity, Snippet};
use russet_protocol::resource_class::ResourceClass;

/// What is to be compiled, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Name of the file, for messages only. It is not opened.
    pub file: String,
    /// Run the steps of `docker:` jobs on the machine itself, where they are otherwise refused.
    pub on_host: bool,
    /// Put every job into this class, whatever the configuration says.
    pub resource_class: Option<ResourceClass>,
    /// Branch that the pipeline is of, if any.
    pub branch: Option<String>,
    /// Tag that the pipeline is of, if any.
    pub tag: Option<String>,
    /// Only the workflow of this name.
    pub workflow: Option<String>,
    /// Only the job of this name, without what it requires.
    pub job: Option<String>,
}

/// Compiles a configuration.
///
/// # Errors
///
/// All that is wrong with the configuration, in the order of the text.
pub fn compile(text: &str, options: &Options) -> Result<Compiled, Errors> {
    let source = source::Source::new(&options.file, text);
    let place = source.place(source::Span::new(0, 0));
    Err(Errors(vec![Diagnostic {
        severity: Severity::Error,
        message: format!("cannot compile `{}` yet", source::quoted(source.file)),
        file: options.file.clone(),
        line: place.line,
        column: place.column,
        snippet: place.snippet,
        related: None,
        note: None,
        hint: None,
    }]))
}
