//! The language of version 2.1 to a plain configuration: commands, executors, parameters,
//! conditions, matrices and orbs are written out.
//!
//! Tree in, tree out: what comes out has `jobs` and `workflows` only, keeps the places of what it
//! was made from, and is what `config process` prints. What follows reads it as if it had been
//! written like that. Version 2 knows none of this, and `<<` is plain text in it; what comes out
//! is of version 2, so that it means itself when it is read again.
//!
//! Whoever can push to a project writes the text, and a few lines of it may stand for very much:
//! every node that is made counts against one limit, and so does every level of nesting.

mod arguments;
mod condition;
mod executors;
mod expression;
mod jobs;
mod matrix;
mod orbs;
mod package;
mod parameters;
mod pipeline;
mod steps;
mod tag;
mod template;
mod value_text;
mod workflows;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use crate::context::Context;
use crate::problem::Problem;
use crate::source::Span;
use crate::yaml::limits::{MAX_DEPTH, MAX_SIZE};
use crate::yaml::{Entry, Mapping, Node};

use package::Package;
use parameters::Argument;

/// A configuration with everything written out.
#[derive(Debug)]
pub(crate) struct Expanded {
    /// `setup`, where it is there.
    pub(crate) setup: Option<Entry>,
    /// The jobs by the names under which the workflows run them; and those that none runs, as far
    /// as their names are free.
    pub(crate) jobs: Vec<Entry>,
    /// Names of the jobs that a workflow runs.
    pub(crate) used: BTreeSet<Rc<str>>,
    /// The workflows whose conditions hold. `None` where the configuration has no `workflows`.
    pub(crate) workflows: Option<Vec<Entry>>,
    /// Names of the other workflows, and where their conditions are.
    pub(crate) skipped: BTreeMap<Rc<str>, Span>,
    /// All workflows with their jobs as they are while nothing is known of the pipeline, to be
    /// looked through for mistakes in what its conditions leave out.
    pub(crate) otherwise: Option<Otherwise>,
    /// Lists of steps and executors that nothing uses, to be looked through for mistakes.
    pub(crate) unused_steps: Vec<Entry>,
    pub(crate) unused_executors: Vec<Entry>,
}

/// Jobs and workflows under other conditions than those of this pipeline.
#[derive(Debug)]
pub(crate) struct Otherwise {
    pub(crate) jobs: Vec<Entry>,
    pub(crate) workflows: Vec<Entry>,
}

/// Names that a place in the text may use.
#[derive(Clone, Copy, Debug)]
struct Scope<'s> {
    /// `parameters.…`, where there are any.
    parameters: Option<&'s HashMap<Rc<str>, Argument>>,
    /// `matrix.…`, where there is one.
    matrix: Option<&'s [(Rc<str>, Node)]>,
    /// The package in which names of commands, executors and jobs are looked up.
    package: usize,
    /// Set if the text is already written out, so that a `<<` in it is plain text.
    is_filled: bool,
    /// Set within `environment`, where booleans are `1` and `0`.
    is_environment: bool,
}

impl Scope<'_> {
    /// Returns the scope of the value of a key.
    fn within(self, key: &str) -> Self {
        Self { is_environment: self.is_environment || key == "environment", ..self }
    }
}

impl Scope<'static> {
    /// A place that may refer to the pipeline only.
    fn outside(package: usize) -> Self {
        Self { parameters: None, matrix: None, package, is_filled: false, is_environment: false }
    }

    /// Returns the scope within a definition with its arguments.
    fn inside<'s>(package: usize, parameters: &'s HashMap<Rc<str>, Argument>) -> Scope<'s> {
        Scope { parameters: Some(parameters), ..Scope::outside(package) }
    }

    /// A text that is written out already.
    fn filled(package: usize) -> Self {
        Self { is_filled: true, ..Self::outside(package) }
    }
}

/// Writes a configuration out.
#[derive(Debug)]
struct Expander<'e, 'a> {
    context: &'e mut Context<'a>,
    packages: Vec<Package>,
    /// Parameters of the pipeline.
    pipeline: BTreeMap<Rc<str>, Node>,
    /// Definitions that something uses.
    used: HashSet<usize>,
    /// Commands that are being written out, from the outermost.
    calls: Vec<usize>,
    /// Definitions so far, for their numbers.
    definitions: usize,
    /// The lists of jobs of `job-groups`, by their names.
    job_groups: BTreeMap<Rc<str>, Rc<[Node]>>,
    /// Orbs of a registry that were read, by what was asked for.
    registry: HashMap<String, package::Import>,
    /// Cost so far, in the unit of sizes.
    work: usize,
    depth: usize,
    /// Set once a limit was hit, which was reported; nothing more is made.
    is_over: bool,
    /// Steps that conditions left out, which are looked through for mistakes.
    probes: Probes,
    /// Set once a condition left something out.
    is_left_out: bool,
    /// Set while validating without pipeline values: conditions exclude nothing.
    ignores_conditions: bool,
}

/// Steps that conditions left out.
#[derive(Debug, Default)]
struct Probes {
    /// Lists of steps that were looked through, by their places.
    seen: HashSet<Span>,
    steps: Vec<Entry>,
    /// Cost so far, in the unit of sizes.
    work: usize,
}

/// Writes out the configuration with this top level. `None` where it grows too large, which was
/// reported: what there is of it then is cut anywhere.
pub(crate) fn expand(context: &mut Context<'_>, root: &Mapping, span: Span) -> Option<Expanded> {
    let mut expander = Expander {
        context,
        packages: Vec::new(),
        pipeline: BTreeMap::new(),
        used: HashSet::new(),
        calls: Vec::new(),
        definitions: 0,
        job_groups: BTreeMap::new(),
        registry: HashMap::new(),
        work: 0,
        depth: 0,
        is_over: false,
        probes: Probes::default(),
        is_left_out: false,
        ignores_conditions: false,
    };
    expander.pipeline_parameters(root, span);
    let main = expander.read_package(root, String::new(), true, 0);
    expander.read_job_groups(root);
    let mut expanded = expander.write_workflows(root, main);
    if expander.is_over {
        return None;
    }
    expanded.unused_steps.append(&mut expander.probes.steps);
    if expander.is_left_out && expander.context.options.check {
        expanded.otherwise = expander.write_otherwise(root);
    }
    Some(expanded)
}

impl Expander<'_, '_> {
    /// Counts what is made at a place. False where it is too much; that is reported once.
    fn count_work(&mut self, size: usize, span: Span) -> bool {
        self.work = self.work.saturating_add(size);
        if self.work > MAX_SIZE && !self.is_over {
            self.is_over = true;
            if self.ignores_conditions {
                return false;
            }
            let limit = MAX_SIZE / 1024 / 1024;
            let message = format!(
                "the configuration grows beyond {limit} MiB here, with its commands, orbs and \
                 matrices written out"
            );
            let hint = "a command that is used by a command that is used often multiplies";
            self.context.report(Problem::error(span, message).hint(hint));
        }
        !self.is_over
    }

    /// Does something a level deeper, unless that is too deep.
    fn nest_deeper<T>(&mut self, span: Span, work: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if self.depth >= MAX_DEPTH {
            let message = format!(
                "this is nested more than {MAX_DEPTH} levels deep, with what it uses written out"
            );
            self.context.report(Problem::error(span, message));
            return None;
        }
        if self.is_over {
            return None;
        }
        self.depth += 1;
        let result = work(self);
        self.depth -= 1;
        Some(result)
    }

    fn report(&mut self, problem: Problem) {
        self.context.report(problem);
    }

    /// Returns what a text may stand for if its name is that of one of the things of a kind.
    #[expect(single_use_lifetimes, reason = "eliding it in `impl Trait` is not stable")]
    fn suggest_near<'n>(
        &mut self,
        name: &str,
        known: impl IntoIterator<Item = &'n str>,
    ) -> Option<String> {
        self.context.suggestions.did_you_mean(name, known)
    }
}
