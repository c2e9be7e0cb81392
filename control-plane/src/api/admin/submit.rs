//! `POST /api/v3/pipelines`: submits a configuration.

use std::time::Instant;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json as JsonAnswer};
use russet_pipeline::{Compiled, JobKind, Options, Required, Status, Value, Workflow};
use russet_protocol::IDEMPOTENCY_HEADER;
use russet_protocol::admin::{ContextItem, ParameterValue, Pipeline, SubmitRequest};
use russet_protocol::ids::{JobId, PipelineId, WorkflowId};
use russet_protocol::outcome::Outcome;
use russet_protocol::people::Permission;
use russet_protocol::problem::Problem;
use russet_protocol::resource_class::ResourceClass;
use tokio::runtime::Handle;

use super::claims::claim_on_first_use;
use super::people::{UNNAMED, check_person};
use super::pipelines::{no_such_pipeline, note_trace};
use crate::admission::find_context;
use crate::api::Caller;
use crate::api::body::Json;
use crate::api::error::ApiError;
use crate::api::reach::Access;
use crate::audit;
use crate::cancel::{begin_superseding, end_superseded};
use crate::clock::millis;
use crate::contention;
use crate::lifecycle::move_on;
use crate::orbs;
use crate::people::{Reach, decide_in, namespace_of};
use crate::scheduler::workflow::{Kind, Statuses};
use crate::schedules::TRIGGER_SOURCE;
use crate::state::App;
use crate::store::jobs::{JobSpec, NewJob};
use crate::store::pipelines::NewPipeline;
use crate::store::workflows::NewWorkflow;
use crate::store::{
    WriteTx, branch_submissions, classes, pipelines, reports, setups, sources, trigger_events,
    variables,
};
use crate::text::{NAME_LIMIT, cut_text};
use crate::traces::TraceParent;

/// The longest name of a project, in bytes.
const PROJECT_LIMIT: usize = 255;

/// Compiles the configuration and queues what may start.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/pipelines", tag = "admin", operation_id = "submit_submit",
    params(("Idempotency-Key" = Option<String>, Header, description = "A UUID of the caller's making, which becomes the pipeline's id: a call that is sent again with it submits nothing more")),
    request_body = russet_protocol::admin::SubmitRequest,
    responses((status = 201, description = "The pipeline", body = russet_protocol::admin::Pipeline), (status = 200, description = "The pipeline, which an earlier call with the same key submitted", body = russet_protocol::admin::Pipeline), (status = 422, description = "It cannot be run", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn submit(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    access: Access,
    headers: HeaderMap,
    Json(mut request): Json<SubmitRequest>,
) -> Result<(StatusCode, JsonAnswer<Pipeline>), ApiError> {
    let began = Instant::now();
    access.check_name(&request.project, ApiError::Denied)?;
    let chosen = chosen_id(&headers)?;
    if let Some(pipeline) = submitted_before(&app, chosen.as_ref(), &request.project).await? {
        return Ok((StatusCode::OK, JsonAnswer(pipeline)));
    }
    if request.project.trim().is_empty()
        || request.project.len() > PROJECT_LIMIT
        || request.project.chars().any(char::is_control)
    {
        return Err(ApiError::Bad(format!("project: 1 to {PROJECT_LIMIT} characters are needed")));
    }
    if request.make_contexts {
        let namespace = namespace_of(&request.project);
        decide_in(access.rights(), Permission::Operate, namespace.as_deref())
            .map_err(ApiError::Denied)?;
    }
    let reach = access.reach();
    if let Some(name) = caller.proved_name() {
        request.author = Some(name.to_owned());
    }
    if app.space.is_short() {
        return Err(ApiError::NoSpace);
    }
    let id = chosen.clone().unwrap_or_else(PipelineId::generate);
    let trace_parent = trace_parent(&headers);
    let call = SubmitCall { id: &id, began, trace_parent, trigger: None };
    audit::note_after(
        &serde_json::json!({"pipeline": id, "project": request.project, "branch": request.branch, "tag": request.tag}),
    );
    match submit_with_number(&app, &request, &call, &reach).await {
        Ok(pipeline) => Ok((StatusCode::CREATED, JsonAnswer(pipeline))),
        // The same call may have come twice at the same time.
        Err(error @ ApiError::Conflict(_)) => {
            let earlier = submitted_before(&app, chosen.as_ref(), &request.project).await?;
            earlier.map(|it| (StatusCode::OK, JsonAnswer(it))).ok_or(error)
        }
        Err(error) => Err(error),
    }
}

/// Submits a pipeline for nobody who waits: that of a schedule, or of a trigger, which has it from the same
/// transaction on.
///
/// # Errors
///
/// As for a call; a conflict where there is a pipeline of this id, or the trigger has one.
pub(in crate::api) async fn submit_caused(
    app: &App,
    request: &SubmitRequest,
    (id, trigger): (&PipelineId, Option<&str>),
    reach: &Reach,
) -> Result<Pipeline, ApiError> {
    if app.space.is_short() {
        return Err(ApiError::NoSpace);
    }
    let call = SubmitCall { id, began: Instant::now(), trace_parent: None, trigger };
    submit_with_number(app, request, &call, reach).await
}

/// Submits a pipeline under the next number of its project.
async fn submit_with_number(
    app: &App,
    request: &SubmitRequest,
    call: &SubmitCall<'_>,
    reach: &Reach,
) -> Result<Pipeline, ApiError> {
    loop {
        let number = pipelines::next_number(&mut app.store.read().await?, &request.project).await?;
        if let Some(mut pipeline) = try_as(app, request, call, number, reach).await? {
            note_trace(app, &mut pipeline);
            tracing::info!(pipeline.id = %call.id, project = pipeline.project, "submitted");
            return Ok(pipeline);
        }
    }
}

/// A call that submits a pipeline.
#[derive(Debug)]
struct SubmitCall<'a> {
    id: &'a PipelineId,
    began: Instant,
    /// Trace that the caller makes it a part of.
    trace_parent: Option<String>,
    /// Trigger that causes it, if any.
    trigger: Option<&'a str>,
}

/// Returns the header `traceparent`, where it is one.
fn trace_parent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?.trim();
    TraceParent::parse(text).map(|_| text.to_owned())
}

/// Returns the id that the caller chose for its pipeline, so that it may send the call again.
fn chosen_id(headers: &HeaderMap) -> Result<Option<PipelineId>, ApiError> {
    let Some(value) = headers.get(IDEMPOTENCY_HEADER) else { return Ok(None) };
    // The draft of the header has it in quotes, which many leave out.
    let text = value.to_str().unwrap_or_default().trim().trim_matches('"');
    if !is_uuid(text) {
        let message = "Idempotency-Key: a UUID in lower case is needed";
        return Err(ApiError::Bad(message.to_owned()));
    }
    Ok(Some(PipelineId::from(text)))
}

/// Returns true for a UUID as ids are written: lower case, with hyphens.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        })
}

/// Returns the pipeline that an earlier call with the same key submitted.
///
/// Threat: the key is the id of a pipeline, maybe of one that the caller may not see. Only one of the
/// project that the caller submits to is answered.
async fn submitted_before(
    app: &App,
    chosen: Option<&PipelineId>,
    project: &str,
) -> Result<Option<Pipeline>, ApiError> {
    let Some(id) = chosen else { return Ok(None) };
    let found = pipelines::get(&mut app.store.read().await?, id).await?;
    match found {
        Some(pipeline) if pipeline.project != project => {
            let message = "Idempotency-Key: it was used before, for something else";
            Err(ApiError::Conflict(message.to_owned()))
        }
        found => Ok(found),
    }
}

/// Submits a pipeline under a number, which a configuration may name. `None` where another one has
/// got it meanwhile.
async fn try_as(
    app: &App,
    request: &SubmitRequest,
    call: &SubmitCall<'_>,
    number: u64,
    reach: &Reach,
) -> Result<Option<Pipeline>, ApiError> {
    let id = call.id;
    let of = Of { id, number, is_continuation: false };
    let Built { mut compiled, warnings } = compile_request(app, request, of).await?;
    let workflows = prepare_workflows(request, std::mem::take(&mut compiled.workflows), 0)?;
    let SubmitRequest { project, branch, tag, revision, repository_url, source, author, .. } =
        request.clone();
    let new = NewPipeline {
        id: id.clone(),
        number,
        project,
        branch,
        tag,
        revision,
        repository_url,
        from_fork: request.from_fork,
        source,
        author: author.map(|name| check_person(&name)).transpose()?,
        trigger_source: trigger_source(request),
        warnings,
        trace_parent: call.trace_parent.clone(),
        compile_ms: millis(call.began.elapsed()),
        workflows,
    };
    let later = compiled.is_setup.then(|| for_later(request, compiled.is_selected_later));
    let trigger = call.trigger;
    contention::retry(|| insert_pipeline(app, request, (&new, trigger), later.as_ref(), reach))
        .await
}

/// Returns the value of `pipeline.trigger_source` that a submission brings along.
fn trigger_source(request: &SubmitRequest) -> Option<String> {
    match request.pipeline_values.get("pipeline.trigger_source")? {
        ParameterValue::Text(text) => Some(cut_text(text, NAME_LIMIT).to_owned()),
        ParameterValue::Boolean(_) | ParameterValue::Integer(_) => None,
    }
}

/// Adds a pipeline, and starts what can start. `None` where another one has its number.
async fn insert_pipeline(
    app: &App,
    request: &SubmitRequest,
    (new, trigger): (&NewPipeline, Option<&str>),
    later: Option<&SubmitRequest>,
    reach: &Reach,
) -> Result<Option<Pipeline>, ApiError> {
    let id = &new.id;
    let mut tx = app.store.write().await?;
    if let Some(source) = &new.source
        && !sources::exists(&mut tx, source).await?
    {
        return Err(refuse_config(
            format!("source: there is no snapshot `{source}`"),
            "upload it with PUT /api/v3/sources/{hash} first",
        ));
    }
    let now_ms = app.clock.wall_ms();
    admit_submission(&mut tx, request, &new.workflows, reach, now_ms).await?;
    if new.number == 1 {
        let by = new.author.as_deref().unwrap_or(UNNAMED);
        claim_on_first_use(app, &mut tx, &new.project, by).await?;
    }
    if !pipelines::insert(&mut tx, new, now_ms).await? {
        return Ok(None);
    }
    if let Some(trigger) = trigger
        && !trigger_events::mark_built(&mut tx, trigger, id, now_ms).await?
    {
        return Err(ApiError::Conflict("the trigger has a pipeline already".to_owned()));
    }
    if trigger.is_some() {
        reports::begin_reports(&mut tx, id).await?;
    }
    let superseded = begin_superseding(&mut tx, new).await?;
    if let Some(branch) = branch_to_keep(request) {
        branch_submissions::put(&mut tx, (branch, new.number), request, reach).await?;
    }
    if let Some(later) = later {
        setups::insert(&mut tx, id, later, reach).await?;
    }
    for workflow in &new.workflows {
        move_on(&mut tx, &workflow.id, id, now_ms).await?;
    }
    let pipeline = pipelines::get(&mut tx, id).await?.ok_or_else(|| no_such_pipeline(id))?;
    tx.tally().submitted();
    tx.commit().await?;
    if !superseded.is_empty() {
        end_superseded(app, superseded);
    }
    Ok(Some(pipeline))
}

/// Returns the branch of which a submission is kept for schedules: of a whole configuration, that is the
/// repository's own, submitted by somebody.
fn branch_to_keep(request: &SubmitRequest) -> Option<&str> {
    let is_scheduled = trigger_source(request).as_deref() == Some(TRIGGER_SOURCE);
    let is_part = request.workflow.is_some() || request.job.is_some() || request.tag.is_some();
    request.branch.as_deref().filter(|_| !is_scheduled && !is_part && !request.from_fork)
}

/// Returns the submission that a continuation is compiled with: all but the configuration that it
/// replaces. Jobs that were asked for and have run in the setup are not asked for again.
fn for_later(request: &SubmitRequest, is_selected_later: bool) -> SubmitRequest {
    let mut submission = SubmitRequest { config: String::new(), ..request.clone() };
    if !is_selected_later {
        (submission.workflow, submission.job) = (None, None);
    }
    submission
}

/// The pipeline that a configuration is of.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct Of<'a> {
    pub(in crate::api) id: &'a PipelineId,
    pub(in crate::api) number: u64,
    pub(in crate::api) is_continuation: bool,
}

/// A configuration that was compiled.
#[derive(Debug)]
pub(in crate::api) struct Built {
    pub(in crate::api) compiled: Compiled,
    /// Warnings of the compiler, and notes about fetched orbs.
    pub(in crate::api) warnings: Vec<String>,
}

/// Compiles on another thread: a large configuration must not hold up everybody else.
pub(in crate::api) async fn compile_request(
    app: &App,
    request: &SubmitRequest,
    of: Of<'_>,
) -> Result<Built, ApiError> {
    let mut shelf = orbs::make_shelf(&app.store, request).await?;
    let registry = orbs::registry(app, request);
    let options = options(app, request, of);
    let (text, file) = (request.config.clone(), request.config_path.clone());
    let runtime = Handle::current();
    let work = move || {
        if let Some(registry) = registry {
            orbs::complete(&mut shelf, &registry, &text, &options, &runtime);
        }
        let options = Options { orbs: shelf.orbs(), ..options };
        (russet_pipeline::compile(&text, &options), shelf)
    };
    let (compiled, shelf) = tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ApiError::Internal(error.into()))?;
    let compiled = compiled.map_err(|errors| {
        ApiError::Unprocessable(Problem {
            message: format!("{file} cannot be run"),
            hint: None,
            diagnostics: errors.0.iter().map(ToString::to_string).collect(),
        })
    })?;
    let mut warnings: Vec<String> = compiled.warnings.iter().map(ToString::to_string).collect();
    warnings.extend(orbs::keep(app, &shelf, request.from_fork).await?);
    Ok(Built { compiled, warnings })
}

/// Options that a configuration is compiled with, but for its orbs.
fn options(app: &App, request: &SubmitRequest, of: Of<'_>) -> Options {
    let mut class_aliases = request.class_aliases.clone();
    class_aliases.extend(app.class_aliases.iter().map(|(name, to)| (name.clone(), to.clone())));
    Options {
        file: request.config_path.clone(),
        on_host: request.on_host,
        resource_class: request.resource_class.clone(),
        class_aliases,
        branch: request.branch.clone(),
        tag: request.tag.clone(),
        workflow: request.workflow.clone(),
        job: request.job.clone(),
        is_continuation: of.is_continuation,
        parameters: request.parameters.clone().into_iter().map(parameter_value).collect(),
        pipeline: russet_pipeline::Pipeline {
            id: Some(of.id.to_string()),
            number: Some(of.number),
            project: Some(request.project.clone()),
            repository_url: request.repository_url.clone(),
            revision: request.revision.clone(),
            values: request.pipeline_values.clone().into_iter().map(parameter_value).collect(),
            ..russet_pipeline::Pipeline::default()
        },
        ..Options::default()
    }
}

fn parameter_value((name, value): (String, ParameterValue)) -> (String, Value) {
    let value = match value {
        ParameterValue::Boolean(value) => Value::Boolean(value),
        ParameterValue::Integer(value) => Value::Integer(value),
        ParameterValue::Text(value) => Value::Text(value),
    };
    (name, value)
}

fn refuse_config(message: String, hint: &str) -> ApiError {
    let hint = Some(hint.to_owned());
    ApiError::Unprocessable(Problem { message, hint, diagnostics: Vec::new() })
}

/// Most tasks that the jobs of a pipeline have at first: one each, and more with `parallelism`.
pub(in crate::api) const MAX_TASKS: usize = 10_000;

/// Refuses a pipeline of more than [`MAX_TASKS`], of which it has `before` already.
fn check_size(compiled: &[Workflow], before: usize) -> Result<(), ApiError> {
    let jobs = compiled.iter().flat_map(|workflow| &workflow.jobs);
    let tasks = jobs.fold(before, |sum, job| {
        sum.saturating_add(usize::try_from(job.parallelism.max(1)).unwrap_or(usize::MAX))
    });
    if tasks <= MAX_TASKS {
        return Ok(());
    }
    Err(refuse_config(
        format!("the pipeline has {tasks} jobs; at most {MAX_TASKS} are allowed"),
        "a job with `parallelism` counts once for each of its tasks; make fewer, or several pipelines",
    ))
}

/// The rows that compiled workflows make, of a pipeline that has `before` jobs already.
pub(in crate::api) fn prepare_workflows(
    request: &SubmitRequest,
    compiled: Vec<Workflow>,
    before: usize,
) -> Result<Vec<NewWorkflow>, ApiError> {
    check_size(&compiled, before)?;
    let mut workflows = Vec::with_capacity(compiled.len());
    for workflow in compiled {
        let mut jobs = Vec::with_capacity(workflow.jobs.len());
        for job in workflow.jobs {
            let kind = match job.kind {
                JobKind::Approval => Kind::Approval,
                JobKind::NoOp => Kind::NoOp,
                JobKind::Build | JobKind::Other => Kind::Build,
            };
            let class = request.resource_class.clone().or(job.resource_class);
            if class.is_none() && kind == Kind::Build {
                return Err(refuse_config(
                    format!("the job `{}` has no resource class", job.name),
                    "give it `resource_class: namespace/name`, or submit with a class for all jobs",
                ));
            }
            jobs.push(NewJob {
                id: JobId::generate(),
                name: job.name,
                kind,
                requires: job.requires,
                statuses: accepted_statuses(job.requires_status),
                class: class.filter(|_| kind == Kind::Build),
                serial_group: job.serial_group.filter(|_| kind == Kind::Build),
                contexts: job.contexts,
                parallelism: job.parallelism.max(1),
                max_reruns: job.max_auto_reruns,
                spec: JobSpec {
                    shell: job.shell,
                    working_directory: job.working_directory,
                    environment: job.environment,
                    xcode: job.xcode,
                    steps: job.steps,
                },
            });
        }
        workflows.push(NewWorkflow { id: WorkflowId::generate(), name: workflow.name, jobs });
    }
    Ok(workflows)
}

/// The outcomes that the statuses of a configuration stand for.
fn accepted_statuses(required: Vec<Required>) -> Statuses {
    let outcomes = |statuses: &[Status]| {
        let outcomes = statuses.iter().flat_map(|status| match status {
            Status::Success => &[Outcome::Success][..],
            Status::Failed => &[Outcome::Failed, Outcome::TimedOut, Outcome::InfrastructureFail],
            Status::Canceled => &[Outcome::Canceled],
            Status::Unauthorized => &[Outcome::Unauthorized],
            Status::NotRun => &[Outcome::NotRun],
        });
        outcomes.copied().collect()
    };
    required.into_iter().map(|job| (job.name, outcomes(&job.statuses))).collect()
}

/// Returns true if every class that jobs name is here and within reach of the one who submitted them:
/// what waits for one that is not would wait for ever. Makes the contexts that they name, where that
/// was asked for.
pub(in crate::api) async fn admit_submission(
    tx: &mut WriteTx,
    request: &SubmitRequest,
    workflows: &[NewWorkflow],
    reach: &Reach,
    now_ms: i64,
) -> Result<(), ApiError> {
    let mut known: Vec<&ResourceClass> = Vec::new();
    for job in workflows.iter().flat_map(|workflow| &workflow.jobs) {
        if request.make_contexts {
            make_contexts(tx, &job.contexts, &request.project, reach, now_ms).await?;
        }
        let Some(class) = job.class.as_ref().filter(|class| !known.contains(class)) else {
            continue;
        };
        // A class of others is as if it were not there.
        if !reach.covers(Some(class.namespace())) || !classes::exists(tx, class).await? {
            return Err(refuse_config(
                format!("the job `{}` is for `{class}`, which there is not here", job.name),
                "make it with `russet resource-class create`, or submit with a class for all jobs",
            ));
        }
        known.push(class);
    }
    Ok(())
}

/// Makes the contexts that a project does not find: of the server where the caller's right is over the
/// server, else in the project's namespace.
async fn make_contexts(
    tx: &mut WriteTx,
    names: &[String],
    project: &str,
    reach: &Reach,
    now_ms: i64,
) -> Result<(), ApiError> {
    let within = namespace_of(project).filter(|_| *reach != Reach::Everywhere);
    for name in names {
        // One of another namespace is not made from here.
        let is_foreign = namespace_of(name).is_some_and(|of| !reach.covers(Some(&of)));
        if !is_foreign && find_context(tx, name, project).await?.is_none() {
            let created_ms = u64::try_from(now_ms).unwrap_or_default();
            let name = match (&within, namespace_of(name)) {
                (Some(within), None) => format!("{within}/{name}"),
                _ => name.clone(),
            };
            let item = ContextItem { name, projects: None, created_ms };
            variables::put_context(tx, &item).await?;
        }
    }
    Ok(())
}
