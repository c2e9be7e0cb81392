//! The jobs that run, out of a configuration that was read.

use std::collections::{BTreeSet, HashMap};

use crate::compiled::{Job, Workflow};
use crate::config::{Config, Context, Invocation, JobDefinition, WorkflowDefinition};
use crate::problem::Problem;
use crate::source::{Span, quoted};
use crate::suggest;
use crate::yaml::limits::MAX_SIZE;

/// Name of the workflow where the configuration has none, as CircleCI calls it.
const IMPLICIT_WORKFLOW: &str = "workflow";

/// Name of the job that runs where the configuration has no workflows.
const IMPLICIT_JOB: &str = "build";

/// Chooses what runs, and puts jobs into workflows. The context has the problems.
pub(crate) fn compile(context: &mut Context<'_>, config: Config) -> Vec<Workflow> {
    let Config { jobs, workflows, jobs_at, workflows_at } = config;
    let chosen = choose(context, &jobs, workflows, jobs_at, workflows_at);
    let running: BTreeSet<&str> =
        chosen.iter().flat_map(|workflow| &workflow.jobs).map(|job| &*job.job).collect();
    for job in &jobs {
        let runs = running.contains(&*job.name);
        report(context, &job.problems, runs);
    }
    let definitions: HashMap<&str, &JobDefinition> =
        jobs.iter().map(|job| (&*job.name, job)).collect();
    let mut size = 0_usize;
    let mut compiled = Vec::new();
    for workflow in chosen {
        let mut jobs = Vec::new();
        for invocation in workflow.jobs {
            let Some(definition) = definitions.get(&*invocation.job) else { continue };
            size = size.saturating_add(definition.size());
            // A large job that a workflow runs ten thousand times would be an alias bomb by
            // other means.
            if size > MAX_SIZE {
                let limit = MAX_SIZE / 1024 / 1024;
                let message = format!("the workflows grow beyond {limit} MiB with this job");
                context.report(Problem::error(invocation.span, message));
                return Vec::new();
            }
            jobs.push(job(definition, invocation));
        }
        compiled.push(Workflow { name: workflow.name, jobs });
    }
    compiled
}

/// Passes on the problems of a job or workflow; of one that does not run, only true mistakes.
fn report(context: &mut Context<'_>, problems: &[Problem], runs: bool) {
    for problem in problems.iter().filter(|problem| runs || problem.feature.is_none()) {
        context.report(problem.clone());
    }
}

/// The job of a workflow.
fn job(definition: &JobDefinition, invocation: Invocation) -> Job {
    let mut requires: Vec<String> = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, _) in invocation.requires {
        if seen.insert(name.clone()) {
            requires.push(name);
        }
    }
    Job {
        name: invocation.name,
        requires,
        resource_class: definition.resource_class.clone(),
        shell: definition.shell.clone(),
        working_directory: definition.working_directory.clone(),
        environment: definition.environment.clone(),
        steps: definition.steps.clone(),
    }
}

/// The workflows, and of those the jobs, that the options ask for.
fn choose(
    context: &mut Context<'_>,
    jobs: &[JobDefinition],
    workflows: Vec<WorkflowDefinition>,
    jobs_at: Span,
    workflows_at: Option<Span>,
) -> Vec<WorkflowDefinition> {
    let options = context.options;
    if let Some(name) = &options.workflow
        && !workflows.iter().any(|workflow| workflow.name == *name)
    {
        let known = workflows.iter().map(|workflow| &*workflow.name);
        let hint = suggest::did_you_mean(name, known.clone()).or_else(|| listed(known));
        let message = format!("there is no workflow `{}`", quoted(name));
        let problem = Problem::error(workflows_at.unwrap_or(jobs_at), message);
        context.report(problem.maybe_hint(hint));
        return Vec::new();
    }
    let is_wanted = |workflow: &WorkflowDefinition| {
        options.workflow.as_ref().is_none_or(|name| *name == workflow.name)
    };
    let mut chosen = Vec::new();
    for mut workflow in workflows {
        let mut runs = is_wanted(&workflow);
        if let (true, Some(name)) = (runs, &options.job) {
            runs = with_requirements(&mut workflow.jobs, name);
        }
        report(context, &workflow.problems, runs);
        if runs {
            chosen.push(workflow);
        }
    }
    if chosen.is_empty() {
        chosen.extend(implicit(context, jobs, jobs_at, workflows_at));
    }
    chosen
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

/// What runs where no workflow does: the job that was asked for, or `build`.
fn implicit(
    context: &mut Context<'_>,
    jobs: &[JobDefinition],
    jobs_at: Span,
    workflows_at: Option<Span>,
) -> Option<WorkflowDefinition> {
    let wanted = context.options.job.as_deref();
    let name = wanted.unwrap_or(IMPLICIT_JOB);
    if let Some(job) = jobs.iter().find(|job| job.name == name) {
        return Some(WorkflowDefinition {
            name: IMPLICIT_WORKFLOW.to_owned(),
            jobs: vec![Invocation::new(name, job.span)],
            problems: Vec::new(),
        });
    }
    let known = jobs.iter().map(|job| &*job.name);
    let hint = suggest::did_you_mean(name, known.clone());
    let problem = match wanted {
        Some(name) => Problem::error(jobs_at, format!("there is no job `{}`", quoted(name)))
            .maybe_hint(hint.or_else(|| listed(known))),
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
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    const MOST: usize = 10;
    let names: Vec<String> = names.take(MOST).map(|name| format!("`{}`", quoted(name))).collect();
    (!names.is_empty()).then(|| format!("there is {}", names.join(", ")))
}
