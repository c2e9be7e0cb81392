//! The jobs that run, out of a configuration that was read.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use crate::Options;
use crate::compiled::{Job, JobKind, Workflow};
use crate::config::{Config, Invocation, JobDefinition, WorkflowDefinition};
use crate::context::Context;
use crate::left_out::left_out;
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::suggest;
use crate::yaml::limits::MAX_SIZE;

/// Name of the workflow where the configuration has none, as CircleCI calls it.
const IMPLICIT_WORKFLOW: &str = "workflow";

/// Beginning of the error of a configuration that leaves everything out for a branch or tag: callers that
/// were not asked to run it by a person take that for an answer.
pub const NOTHING_RUNS: &str = "no workflow runs";

/// Name of the job that runs where the configuration has no workflows.
const IMPLICIT_JOB: &str = "build";

/// The workflows that are to run.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    pub(crate) workflows: Vec<Workflow>,
    /// Set if the options name something of the configuration that a setup goes on with.
    pub(crate) is_selected_later: bool,
}

/// The one workflow or job that is asked for.
#[derive(Clone, Copy, Debug, Default)]
struct Selection<'o> {
    workflow: Option<&'o str>,
    job: Option<&'o str>,
}

impl<'o> Selection<'o> {
    /// Returns what the options name, and whether that is for later: a name that a setup does not
    /// know is meant for the configuration that it goes on with.
    fn of(options: &'o Options, config: &Config) -> (Self, bool) {
        let all = Self { workflow: options.workflow.as_deref(), job: options.job.as_deref() };
        let knows_workflow = |name: &str| {
            let mut workflows = config.workflows.iter();
            workflows.any(|workflow| workflow.name == name) || config.skipped.contains_key(name)
        };
        let knows_job = |name: &str| {
            let invocations = || config.workflows.iter().flat_map(|workflow| &workflow.jobs);
            invocations().any(|job| job.name == name)
                || config.jobs.iter().any(|job| job.name == name)
        };
        let is_known = all.workflow.is_none_or(knows_workflow) && all.job.is_none_or(knows_job);
        if is_known || !config.written.is_setup { (all, false) } else { (Self::default(), true) }
    }
}

/// Chooses what runs, and puts jobs into workflows. The context has the problems.
pub(crate) fn compile(context: &mut Context<'_>, config: Config) -> Chosen {
    let (selection, is_selected_later) = Selection::of(context.options, &config);
    Chosen { workflows: compile_workflows(context, config, selection), is_selected_later }
}

fn compile_workflows(
    context: &mut Context<'_>,
    config: Config,
    selection: Selection<'_>,
) -> Vec<Workflow> {
    let Config { jobs, workflows, has_workflows, skipped, jobs_at, workflows_at, .. } = config;
    let places = Places { jobs: jobs_at, workflows: workflows_at, skipped, has_workflows };
    let chosen = choose_workflows(context, &jobs, workflows, &places, selection);
    let running: BTreeSet<&str> =
        chosen.iter().flat_map(|workflow| &workflow.jobs).map(|job| &*job.job).collect();
    for job in &jobs {
        let runs = running.contains(&*job.name);
        report_problems(context, &job.problems, runs);
    }
    let definitions: HashMap<&str, &JobDefinition> =
        jobs.iter().map(|job| (&*job.name, job)).collect();
    let mut size = 0_usize;
    let mut compiled = Vec::new();
    for workflow in chosen {
        let mut jobs = Vec::new();
        for invocation in workflow.jobs {
            let stand_in;
            let definition = match definitions.get(&*invocation.job) {
                Some(definition) => *definition,
                // An approval, or another job that is not built from steps.
                None if invocation.kind != JobKind::Build => {
                    stand_in = JobDefinition::without_steps(&invocation.job, invocation.span);
                    &stand_in
                }
                None => continue,
            };
            size = size.saturating_add(definition.size());
            // A large job that a workflow runs ten thousand times would be an alias bomb by
            // other means.
            if size > MAX_SIZE {
                let limit = MAX_SIZE / 1024 / 1024;
                let message = format!("the workflows grow beyond {limit} MiB with this job");
                context.report(Problem::error(invocation.span, message));
                return Vec::new();
            }
            jobs.push(compile_job(definition, invocation));
        }
        compiled.push(Workflow { name: workflow.name, jobs });
    }
    compiled
}

/// Passes on the problems of a job or workflow; of one that does not run, only true mistakes.
fn report_problems(context: &mut Context<'_>, problems: &[Problem], runs: bool) {
    let runs = runs || context.options.check;
    for problem in problems.iter().filter(|problem| runs || problem.feature.is_none()) {
        context.report(problem.clone());
    }
}

/// The job of a workflow.
fn compile_job(definition: &JobDefinition, invocation: Invocation) -> Job {
    let mut requires: Vec<String> = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, _) in invocation.requires {
        if seen.insert(name.clone()) {
            requires.push(name);
        }
    }
    let kind = match invocation.kind {
        // One whose steps are all left out has nothing to do on a machine.
        JobKind::Build if definition.kind == JobKind::Build && definition.steps.is_empty() => {
            JobKind::NoOp
        }
        JobKind::Build => definition.kind,
        other => other,
    };
    Job {
        name: invocation.name,
        kind,
        requires,
        requires_status: invocation.statuses,
        contexts: invocation.contexts,
        serial_group: invocation.serial_group,
        parallelism: definition.parallelism,
        max_auto_reruns: definition.max_auto_reruns.max(invocation.max_auto_reruns),
        resource_class: definition.resource_class.clone(),
        shell: definition.shell.clone(),
        working_directory: definition.working_directory.clone(),
        xcode: definition.xcode.clone(),
        environment: definition.environment.clone(),
        steps: definition.steps.clone(),
    }
}

/// Places of the parts of a configuration.
struct Places {
    jobs: Span,
    workflows: Option<Span>,
    /// Workflows whose conditions do not hold, and where those are.
    skipped: BTreeMap<Rc<str>, Span>,
    has_workflows: bool,
}

/// The workflows, and of those the jobs, that the options ask for.
fn choose_workflows(
    context: &mut Context<'_>,
    jobs: &[JobDefinition],
    workflows: Vec<WorkflowDefinition>,
    places: &Places,
    selection: Selection<'_>,
) -> Vec<WorkflowDefinition> {
    let options = context.options;
    if let Some(name) = selection.workflow
        && !workflows.iter().any(|workflow| workflow.name == name)
    {
        let known = workflows.iter().map(|workflow| &*workflow.name);
        context.report(no_workflow(name, known, places));
        return Vec::new();
    }
    let mut chosen = Vec::new();
    let mut is_left_out = false;
    for mut workflow in workflows {
        let is_named = selection.workflow == Some(&workflow.name);
        let mut runs = is_named || selection.workflow.is_none();
        match selection.job {
            Some(name) => runs = runs && with_requirements(&mut workflow.jobs, name),
            None => {
                if workflow.is_scheduled && runs && !is_named && !options.check {
                    runs = false;
                    context.report(scheduled_warning(&workflow));
                }
                if runs {
                    keep_admitted(&mut workflow.jobs, context);
                    is_left_out |= workflow.jobs.is_empty();
                    runs = !workflow.jobs.is_empty();
                } else {
                    is_left_out |= workflow.is_scheduled;
                }
            }
        }
        report_problems(context, &workflow.problems, runs);
        if runs {
            chosen.push(workflow);
        }
    }
    let may_be_empty = options.check || options.is_continuation;
    let is_left_out = is_left_out || !places.skipped.is_empty() || may_be_empty;
    if chosen.is_empty() && places.has_workflows && selection.job.is_none() && is_left_out {
        nothing_runs(context, places);
        return chosen;
    }
    if chosen.is_empty() {
        chosen.extend(implicit_workflow(context, jobs, places, selection.job));
    }
    chosen
}

/// The problem with a workflow that was asked for and is not there, or does not run.
#[expect(single_use_lifetimes, reason = "eliding it in `impl Trait` is not stable")]
fn no_workflow<'a>(
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
    places: &Places,
) -> Problem {
    if let Some(place) = places.skipped.get(name) {
        let message = format!("the workflow `{}` does not run: its condition fails", quoted(name));
        return Problem::error(*place, message)
            .hint("conditions depend on the parameters, branch and tag of the pipeline");
    }
    let hint = suggest::did_you_mean(name, known.clone()).or_else(|| list_hint(known));
    let message = format!("there is no workflow `{}`", quoted(name));
    Problem::error(places.workflows.unwrap_or(places.jobs), message).maybe_hint(hint)
}

/// Returns what is said of a workflow that waits for a schedule.
fn scheduled_warning(workflow: &WorkflowDefinition) -> Problem {
    let name = quoted(&workflow.name);
    let message = format!("the workflow `{name}` runs on a schedule, and not now");
    Problem::warning(workflow.span, message).hint(format!("`--workflow {name}` runs it"))
}

/// Returns what is said where no workflow is left.
fn nothing_runs(context: &mut Context<'_>, places: &Places) {
    let at = places.workflows.unwrap_or(places.jobs);
    let of = match (&context.options.tag, &context.options.branch) {
        (Some(tag), _) => format!(" for the tag `{}`", quoted(tag)),
        (None, Some(branch)) => format!(" for the branch `{}`", quoted(branch)),
        (None, None) => String::new(),
    };
    let message = format!("{NOTHING_RUNS}{of}: conditions, filters or schedules leave them out");
    context.report(if context.options.check || context.options.is_continuation {
        Problem::warning(at, message)
    } else {
        Problem::error(at, message).hint("name a job with `--job` to run it all the same")
    });
}

/// Keeps the jobs that run for the branch or tag of the pipeline. What they require and does not
/// run is ignored, unless nothing is left of it.
fn keep_admitted(jobs: &mut Vec<Invocation>, context: &Context<'_>) {
    let (branch, tag) = (context.options.branch.as_deref(), context.options.tag.as_deref());
    if branch.is_none() && tag.is_none() {
        return;
    }
    let names = |job: &'_ Invocation| job.requires.iter().map(|(name, _)| name.clone()).collect();
    let all: Vec<(String, Vec<String>)> =
        jobs.iter().map(|job| (job.name.clone(), names(job))).collect();
    let all: Vec<(&str, Vec<&str>)> = all
        .iter()
        .map(|(name, names)| (name.as_str(), names.iter().map(String::as_str).collect()))
        .collect();
    let own: Vec<String> =
        jobs.iter().filter(|job| !job.filters.admit(branch, tag)).map(|j| j.name.clone()).collect();
    let out = left_out(&all, own.iter().map(String::as_str));
    jobs.retain(|job| !out.contains(job.name.as_str()));
    for job in jobs {
        job.requires.retain(|(name, _)| !out.contains(name.as_str()));
        job.statuses.retain(|required| !out.contains(required.name.as_str()));
    }
}

/// Keeps the job of a name and what it requires, directly or not. Whether there is such a job.
fn with_requirements(jobs: &mut Vec<Invocation>, name: &str) -> bool {
    let required: HashMap<&str, &[(String, Span)]> =
        jobs.iter().map(|job| (&*job.name, &*job.requires)).collect();
    let mut kept: BTreeSet<String> = BTreeSet::new();
    let mut next = vec![name];
    while let Some(name) = next.pop() {
        let Some(requires) = required.get(name) else { continue };
        if kept.insert(name.to_owned()) {
            next.extend(requires.iter().map(|(name, _)| &**name));
        }
    }
    jobs.retain(|job| kept.contains(&job.name));
    !jobs.is_empty()
}

/// Returns what runs where no workflow does: the job that was asked for, or `build`.
fn implicit_workflow(
    context: &mut Context<'_>,
    jobs: &[JobDefinition],
    places: &Places,
    wanted: Option<&str>,
) -> Option<WorkflowDefinition> {
    let (jobs_at, workflows_at) = (places.jobs, places.workflows);
    let name = wanted.unwrap_or(IMPLICIT_JOB);
    if let Some(job) = jobs.iter().find(|job| job.name == name) {
        let branch = context.options.branch.as_deref().filter(|_| wanted.is_none());
        if let (Some(filter), Some(branch)) = (&job.branches, branch)
            && !filter.admits(branch)
        {
            nothing_runs(context, places);
            return None;
        }
        return Some(WorkflowDefinition {
            name: IMPLICIT_WORKFLOW.to_owned(),
            span: job.span,
            is_scheduled: false,
            jobs: vec![Invocation::new(name, job.span)],
            problems: Vec::new(),
        });
    }
    let known = jobs.iter().map(|job| &*job.name);
    let hint = suggest::did_you_mean(name, known.clone());
    let problem = match wanted {
        Some(name) => Problem::error(jobs_at, format!("there is no job `{}`", quoted(name)))
            .maybe_hint(hint.or_else(|| list_hint(known))),
        None => {
            let message = "there is no workflow, and no job `build`, which would run without one";
            Problem::error(workflows_at.unwrap_or(jobs_at), message)
                .hint("write a workflow that names the jobs to run")
        }
    };
    context.report(problem);
    None
}

/// A hint that lists what there is.
#[expect(single_use_lifetimes, reason = "eliding it in `impl Trait` is not stable")]
fn list_hint<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    const MOST: usize = 10;
    let names: Vec<String> = names.take(MOST).map(|name| format!("`{}`", quoted(name))).collect();
    (!names.is_empty()).then(|| format!("there is {}", names.join(", ")))
}
