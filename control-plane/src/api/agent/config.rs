//! `GET /api/v2/task/config`.

use axum::Json;
use axum::extract::State;
use russet_protocol::admin::SshKeyItem;
use russet_protocol::secret::Secret;
use russet_protocol::ssh::SshAccess;
use russet_protocol::storage::FAILED_TESTS_VARIABLE;
use russet_protocol::task::{
    Action, CONTINUATION_KEY_VARIABLE, EnvVar, Source, SshKey, Step, TaskConfig, is_fingerprint_of,
};

use super::git;
use crate::admission;
use crate::api::bearer::TaskCaller;
use crate::api::error::ApiError;
use crate::credentials::{TokenHash, TokenKind, new_token};
use crate::projects::variables_of_event;
use crate::scheduler::leases;
use crate::secrets::{Owner, Scope};
use crate::ssh_reruns::{self, SshRefusal};
use crate::state::App;
use crate::store::ssh_accesses::{self, Access};
use crate::store::ssh_keys::{self, StoredSshKey};
use crate::store::{Conn, Held, jobs, pipelines, setups, trigger_events, variables};

/// The task's configuration.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v2/task/config", tag = "agent", operation_id = "config_config",
    responses((status = 200, description = "What the task is to do", body = russet_protocol::task::TaskConfig), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem), (status = 409, description = "The allocation is stale", body = russet_protocol::problem::Problem)),
    security(("task_token" = []))
))]
pub(super) async fn config(
    State(app): State<App>,
    caller: TaskCaller,
) -> Result<Json<TaskConfig>, ApiError> {
    caller.check(None)?;
    let held = caller.held;
    let mut conn = app.store.read().await?;
    let spec = jobs::read_spec(&mut conn, &held.job).await?;
    let around = jobs::surroundings(&mut conn, &held.job).await?;
    let mut info = around.info;
    info.url = app.public_url.as_ref().map(|origin| format!("{origin}/jobs/{}", held.job));
    (info.node_index, info.node_total) = (held.node_index(), held.parallelism);
    let of_event = event_environment(&mut conn, &held).await?;
    let environment = job_environment(&app, &mut conn, &held, &info.project).await?;
    let ssh_keys = ssh_keys(&app, &mut conn, &held, &info.project, &spec.steps).await?;
    let ssh = ssh_access(&mut conn, &held).await?;
    let of_revision = match (&info.repository_url, &info.revision) {
        (Some(url), Some(revision)) => Some(Source::Git {
            url: url.clone(),
            revision: revision.clone(),
            branch: info.branch.clone(),
            tag: info.tag.clone(),
        }),
        _ => None,
    };
    let origin = git::find_origin(&mut conn, &held, &info).await?.map(|origin| origin.url);
    let key = continuation_key(&app, conn, &held).await?;
    let failed_tests = failed_tests_variable(&mut app.store.read().await?, &held).await?;
    let own = spec.environment.into_iter().map(|(name, value)| EnvVar {
        name,
        value: Secret::new(value),
        masked: false,
    });
    Ok(Json(TaskConfig {
        version: TaskConfig::VERSION,
        task_id: held.task,
        allocation: held.allocation,
        job: info,
        max_run_time_ms: None,
        environment: of_event
            .into_iter()
            .chain(environment)
            .chain(own)
            .chain(key)
            .chain(failed_tests)
            .collect(),
        masks: Vec::new(),
        shell: spec.shell,
        working_directory: spec.working_directory,
        xcode: spec.xcode,
        source: around.source.map(|id| Source::Snapshot { id, origin }).or(of_revision),
        ssh_keys,
        ssh,
        steps: spec.steps,
        heartbeat_ms: leases::heartbeat_ms(app.lease_ms),
    }))
}

/// The access of a person to the task, as far as the class still allows it.
async fn ssh_access(conn: &mut Conn, held: &Held) -> Result<Option<SshAccess>, ApiError> {
    let Some(access) = ssh_accesses::of_job(conn, &held.job).await? else { return Ok(None) };
    let from_fork = ssh_reruns::check_class(conn, &held.pipeline, &held.job).await;
    let from_fork = from_fork.map_err(|refusal| match refusal {
        SshRefusal::Store(error) => error.into(),
        refusal => ApiError::Conflict(format!("the task may not run any more: {refusal}")),
    })?;
    let Access { person, keys, idle_ms, longest_ms, .. } = access;
    tracing::info!(task.id = %held.task, person, "a task with SSH begins");
    Ok(Some(SshAccess { person, keys, idle_ms, longest_ms, from_fork }))
}

/// The variable that says that only failed tests are to run.
async fn failed_tests_variable(conn: &mut Conn, held: &Held) -> Result<Option<EnvVar>, ApiError> {
    let of = jobs::failed_tests_of(conn, &held.job).await?;
    Ok(of.map(|_| EnvVar {
        name: FAILED_TESTS_VARIABLE.to_owned(),
        value: Secret::new("true"),
        masked: false,
    }))
}

/// The variables that the event of a pull request gives. Whatever the project sets wins over them.
async fn event_environment(conn: &mut Conn, held: &Held) -> Result<Vec<EnvVar>, ApiError> {
    let event = trigger_events::event_of_pipeline(conn, &held.pipeline).await?;
    let variable = |(name, value): (&str, String)| EnvVar {
        name: name.to_owned(),
        value: Secret::new(value),
        masked: false,
    };
    Ok(variables_of_event(&event).into_iter().map(variable).collect())
}

/// The variables of the project, then those of the job's contexts in their order: what comes later
/// wins. A task of a fork has none of them.
async fn job_environment(
    app: &App,
    conn: &mut Conn,
    held: &Held,
    project: &str,
) -> Result<Vec<EnvVar>, ApiError> {
    let (class, contexts) = jobs::needed_jobs(conn, &held.job).await?;
    let Some(class) = class else { return Ok(Vec::new()) };
    let asked = admission::Request { pipeline: &held.pipeline, class: &class, contexts: &contexts };
    if let Some(why) = admission::find_refusal(conn, asked).await? {
        return Err(ApiError::Conflict(format!("the task may not run any more: {why}")));
    }
    if pipelines::pipeline_origin(conn, &held.pipeline, &class).await?.from_fork {
        return Ok(Vec::new());
    }
    let mut owners = vec![Owner { scope: Scope::Project, owner: project }];
    let mut names = Vec::with_capacity(contexts.len());
    for context in &contexts {
        let found = admission::find_context(conn, context, project).await?;
        names.extend(found.map(|context| context.name));
    }
    owners.extend(names.iter().map(|owner| Owner { scope: Scope::Context, owner }));
    let mut environment = Vec::new();
    for of in owners {
        for (name, sealed) in variables::sealed_values(conn, of).await? {
            let value = app
                .sealer
                .open(of, &name, &sealed)
                .map_err(|error| ApiError::Internal(Box::new(error)))?;
            environment.push(EnvVar { name, value, masked: true });
        }
    }
    Ok(environment)
}

/// The variable that lets a job of a setup say what its pipeline goes on with. Each time that it is
/// asked for the key is another one, and the last one counts: none is kept but as a hash.
async fn continuation_key(
    app: &App,
    mut conn: Conn,
    held: &Held,
) -> Result<Option<EnvVar>, ApiError> {
    if !setups::is_open(&mut conn, &held.pipeline).await? {
        return Ok(None);
    }
    drop(conn);
    let value = new_token(TokenKind::Continuation)?;
    let mut tx = app.store.write().await?;
    setups::set_key(&mut tx, &held.allocation, &TokenHash::of(value.expose())).await?;
    tx.commit().await?;
    let name = CONTINUATION_KEY_VARIABLE.to_owned();
    Ok(Some(EnvVar { name, value, masked: true }))
}

/// The SSH keys that the steps of a job ask for. A task of a fork has none: whoever can open a pull
/// request could write a step that takes them away.
async fn ssh_keys(
    app: &App,
    conn: &mut Conn,
    held: &Held,
    project: &str,
    steps: &[Step],
) -> Result<Vec<SshKey>, ApiError> {
    let asked: Vec<&[String]> = steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::AddSshKeys { fingerprints } => Some(&**fingerprints),
            _ => None,
        })
        .collect();
    if asked.is_empty() || pipelines::is_from_fork(conn, &held.pipeline).await? {
        return Ok(Vec::new());
    }
    let is_asked = |item: &SshKeyItem| {
        let is_it = |text: &String| is_fingerprint_of(text, &item.md5, &item.sha256);
        asked.iter().any(|texts| texts.is_empty() || texts.iter().any(is_it))
    };
    let of = Owner { scope: Scope::SshKeys, owner: project };
    let mut keys = Vec::new();
    for StoredSshKey { item, sealed } in ssh_keys::of_project(conn, project).await? {
        if is_asked(&item) {
            let private_key = app
                .sealer
                .open(of, &item.sha256, &sealed)
                .map_err(|error| ApiError::Internal(Box::new(error)))?;
            let SshKeyItem { md5, sha256, host, .. } = item;
            keys.push(SshKey { md5, sha256, host, private_key });
        }
    }
    Ok(keys)
}
