//! `POST /api/v3/pipelines`: submits a configuration.

use axum::Json as JsonAnswer;
use axum::extract::State;
use axum::http::StatusCode;
use russet_pipeline::{Compiled, JobKind, Options, Required, Status};
use russet_protocol::admin::{Pipeline, SubmitRequest};
use russet_protocol::ids::{JobId, PipelineId, WorkflowId};
use russet_protocol::outcome::Outcome;
use russet_protocol::problem::Problem;
use russet_protocol::resource_class::ResourceClass;

use super::pipelines::no_such_pipeline;
use crate::api::body::Json;
use crate::api::error::ApiError;
use crate::lifecycle::move_on;
use crate::scheduler::workflow::{Kind, Statuses};
use crate::state::App;
use crate::store::jobs::{JobSpec, NewJob};
use crate::store::pipelines::{NewPipeline, NewWorkflow};
use crate::store::{WriteTx, classes, pipelines, sources};

/// The longest name of a project, in bytes.
const PROJECT_LIMIT: usize = 255;

/// Compiles the configuration and queues what may start.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/pipelines", tag = "admin", operation_id = "submit_submit",
    request_body = russet_protocol::admin::SubmitRequest,
    responses((status = 201, description = "The pipeline", body = russet_protocol::admin::Pipeline), (status = 422, description = "It can not be run", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn submit(
    State(app): State<App>,
    Json(request): Json<SubmitRequest>,
) -> Result<(StatusCode, JsonAnswer<Pipeline>), ApiError> {
    if request.project.trim().is_empty()
        || request.project.len() > PROJECT_LIMIT
        || request.project.chars().any(char::is_control)
    {
        return Err(ApiError::Bad(format!("project: 1 to {PROJECT_LIMIT} characters are needed")));
    }
    let (request, compiled) = compile(request).await?;
    let new = prepare(request, compiled)?;
    let mut tx = app.store.write().await?;
    check(&mut tx, &new).await?;
    let now_ms = app.clock.wall_ms();
    pipelines::insert(&mut tx, &new, now_ms).await?;
    for workflow in &new.workflows {
        move_on(&mut tx, &workflow.id, &new.id, now_ms).await?;
    }
    let pipeline =
        pipelines::get(&mut tx, &new.id).await?.ok_or_else(|| no_such_pipeline(&new.id))?;
    tx.commit().await?;
    tracing::info!(pipeline.id = %pipeline.id, project = pipeline.project, "submitted");
    Ok((StatusCode::CREATED, JsonAnswer(pipeline)))
}

/// Compiles on another thread: a large configuration must not hold up everybody else.
async fn compile(request: SubmitRequest) -> Result<(SubmitRequest, Compiled), ApiError> {
    let work = move || {
        let options = Options {
            file: request.config_path.clone(),
            on_host: request.on_host,
            resource_class: request.resource_class.clone(),
            branch: request.branch.clone(),
            tag: request.tag.clone(),
            workflow: request.workflow.clone(),
            job: request.job.clone(),
            pipeline: russet_pipeline::Pipeline {
                project: Some(request.project.clone()),
                repository_url: request.repository_url.clone(),
                revision: request.revision.clone(),
                ..russet_pipeline::Pipeline::default()
            },
            ..Options::default()
        };
        let compiled = russet_pipeline::compile(&request.config, &options);
        (request, compiled)
    };
    let (request, compiled) = tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ApiError::Internal(error.into()))?;
    match compiled {
        Ok(compiled) => Ok((request, compiled)),
        Err(errors) => Err(ApiError::Unprocessable(Problem {
            message: format!("{} can not be run", request.config_path),
            hint: None,
            diagnostics: errors.0.iter().map(ToString::to_string).collect(),
        })),
    }
}

fn refused(message: String, hint: &str) -> ApiError {
    let hint = Some(hint.to_owned());
    ApiError::Unprocessable(Problem { message, hint, diagnostics: Vec::new() })
}

/// The rows that a compiled configuration makes.
fn prepare(request: SubmitRequest, compiled: Compiled) -> Result<NewPipeline, ApiError> {
    let mut workflows = Vec::with_capacity(compiled.workflows.len());
    for workflow in compiled.workflows {
        let mut jobs = Vec::with_capacity(workflow.jobs.len());
        for job in workflow.jobs {
            let kind = match job.kind {
                JobKind::Approval => Kind::Approval,
                JobKind::NoOp => Kind::NoOp,
                JobKind::Build | JobKind::Other => Kind::Build,
            };
            let class = request.resource_class.clone().or(job.resource_class);
            if class.is_none() && kind == Kind::Build {
                return Err(refused(
                    format!("the job `{}` has no resource class", job.name),
                    "give it `resource_class: namespace/name`, or submit with a class for all jobs",
                ));
            }
            if job.parallelism > 1 {
                let message = format!("the job `{}` has a `parallelism` of more than 1", job.name);
                return Err(refused(message, "its tasks can not be scheduled yet"));
            }
            jobs.push(NewJob {
                id: JobId::generate(),
                name: job.name,
                kind,
                requires: job.requires,
                statuses: statuses(job.requires_status),
                class: class.filter(|_| kind == Kind::Build),
                serial_group: job.serial_group.filter(|_| kind == Kind::Build),
                contexts: job.contexts,
                spec: JobSpec {
                    shell: job.shell,
                    working_directory: job.working_directory,
                    environment: job.environment,
                    steps: job.steps,
                },
            });
        }
        workflows.push(NewWorkflow { id: WorkflowId::generate(), name: workflow.name, jobs });
    }
    Ok(NewPipeline {
        id: PipelineId::generate(),
        project: request.project,
        branch: request.branch,
        tag: request.tag,
        revision: request.revision,
        repository_url: request.repository_url,
        from_fork: request.from_fork,
        source: request.source,
        warnings: compiled.warnings.iter().map(ToString::to_string).collect(),
        workflows,
    })
}

/// The outcomes that the statuses of a configuration stand for.
fn statuses(required: Vec<Required>) -> Statuses {
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

/// Whether everything that the pipeline names is here: what waits for a class that is not would
/// wait for ever.
async fn check(tx: &mut WriteTx, new: &NewPipeline) -> Result<(), ApiError> {
    if let Some(source) = &new.source
        && !sources::exists(tx, source).await?
    {
        return Err(refused(
            format!("source: there is no snapshot `{source}`"),
            "upload it with PUT /api/v3/sources/{hash} first",
        ));
    }
    let mut known: Vec<&ResourceClass> = Vec::new();
    for job in new.workflows.iter().flat_map(|workflow| &workflow.jobs) {
        let Some(class) = job.class.as_ref().filter(|class| !known.contains(class)) else {
            continue;
        };
        if !classes::exists(tx, class).await? {
            return Err(refused(
                format!("the job `{}` is for `{class}`, which there is not here", job.name),
                "make it with `russet resource-class create`, or submit with a class for all jobs",
            ));
        }
        known.push(class);
    }
    Ok(())
}
