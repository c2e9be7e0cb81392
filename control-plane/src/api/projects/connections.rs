//! `/api/v3/connections` and `/api/v3/projects/{project}/connection`: projects and their Git remotes.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json as JsonAnswer};
use russet_protocol::admin::Items;
use russet_protocol::people::Permission;
use russet_protocol::projects::{
    BuildProject, ConnectProject, ConnectionDetails, ConnectionItem, CredentialKind, GithubApp,
    HostKind, MAX_POLL_MS, MIN_POLL_MS,
};

use crate::api::Caller;
use crate::api::admin::claims::claim_on_first_use;
use crate::api::body::{Json, MEDIUM, SMALL};
use crate::api::error::ApiError;
use crate::api::params::Path;
use crate::api::reach::Access;
use crate::audit;
use crate::git::{GitError, RemoteUrl, list_refs, make_deploy_key, show_host_keys};
use crate::hosts::{AppKey, HostAccess, api_url, check_access, find_kind};
use crate::people::Reach;
use crate::projects::{
    GIVE_UP_AFTER_MS, SealedApp, SealedRemote, host_access, open_for_git, open_remote, open_sealed,
    seal_remote, trigger_of_call,
};
use crate::state::App;
use crate::store::git_connections::{self, StoredConnection};
use crate::store::{commit_statuses, git_refs, trigger_events};

/// The longest name of a project, in bytes.
const MAX_PROJECT_BYTES: usize = 255;

/// The longest path of a configuration, in bytes.
const MAX_PATH_BYTES: usize = 255;

/// Lists the connected projects within reach.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/connections", tag = "admin", operation_id = "list_connections",
    responses((status = 200, description = "The projects that are connected to a Git remote", body = russet_protocol::admin::Items<russet_protocol::projects::ConnectionItem>)),
    security(("admin_token" = []))
))]
pub(super) async fn list(
    State(app): State<App>,
    access: Access,
) -> Result<JsonAnswer<Items<ConnectionItem>>, ApiError> {
    let reach = access.reach();
    let all = git_connections::list(&mut app.store.read().await?).await?;
    let items = all.into_iter().filter(|of| reach.covers_name(&of.item.project)).map(show);
    Ok(JsonAnswer(Items { items: items.collect() }))
}

/// Returns a connection as people see it.
fn show(of: StoredConnection) -> ConnectionItem {
    ConnectionItem { host_keys: show_host_keys(&of.host_keys), ..of.item }
}

async fn find(app: &App, project: &str) -> Result<StoredConnection, ApiError> {
    let found = git_connections::get(&mut app.store.read().await?, project).await?;
    found.ok_or_else(|| not_connected(project))
}

pub(super) fn not_connected(project: &str) -> ApiError {
    ApiError::NotFound(format!("the project `{}` is not connected", project.escape_debug()))
}

/// Returns a connection with its newest triggers.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/projects/{project}/connection", tag = "admin", operation_id = "get_connection",
    params(("project" = String, Path, description = "The project")),
    responses((status = 200, description = "The connection, and its newest triggers", body = russet_protocol::projects::ConnectionDetails), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn get(
    State(app): State<App>,
    Path(project): Path<String>,
) -> Result<JsonAnswer<ConnectionDetails>, ApiError> {
    let connection = show(find(&app, &project).await?);
    let mut conn = app.store.read().await?;
    let triggers = trigger_events::newest(&mut conn, &project).await?;
    let statuses = commit_statuses::newest(&mut conn, &project).await?;
    Ok(JsonAnswer(ConnectionDetails { connection, triggers, statuses }))
}

/// Connects a project, or says anew how. Its pipelines may use the classes that the caller may.
#[cfg_attr(test, utoipa::path(
    put, path = "/api/v3/projects/{project}/connection", tag = "admin", operation_id = "put_connection",
    params(("project" = String, Path, description = "The project")),
    request_body = russet_protocol::projects::ConnectProject,
    responses((status = 200, description = "The connection", body = russet_protocol::projects::ConnectionItem), (status = 400, description = "The URL or another value is refused", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn connect(
    State(app): State<App>,
    Path(project): Path<String>,
    Extension(caller): Extension<Caller>,
    Json(wish): Json<ConnectProject, MEDIUM>,
) -> Result<JsonAnswer<ConnectionItem>, ApiError> {
    check_wish(&project, &wish)?;
    let bad = |error: GitError| ApiError::Bad(error.to_string());
    let url = RemoteUrl::parse(&wish.url, app.git.settings.transports())
        .map_err(|error| bad(error.into()))?;
    let (kind, api_url) = choose_host(&app, &wish, &url).await?;
    let before = git_connections::get(&mut app.store.read().await?, &project).await?;
    before.iter().for_each(|of| audit::note_before(&of.item));
    let (sealed, credential, public_key) = make_credential(&app, &project, &wish, before.as_ref())?;
    let access = host_access(kind, api_url.as_deref(), &url, &sealed);
    let notes = check_host(&app, kind, access.as_ref()).await?;
    let (sealed, webhook_ms) = keep_webhook(&app, sealed, &url, before.as_ref())?;
    let rights = caller.rights().ok_or_else(|| not_connected(&project))?;
    let now_ms = app.now_ms();
    let item = ConnectionItem {
        project: project.clone(),
        url: url.text,
        host_kind: kind,
        api_url,
        notes,
        credential,
        public_key,
        host_keys: Vec::new(),
        config_path: wish.config_path,
        added_by: caller.proved_name().unwrap_or("admin").to_owned(),
        created_ms: now_ms,
        poll_ms: wish.poll_ms,
        next_poll_ms: now_ms,
        last_poll: None,
        has_baseline: false,
        default_branch: None,
        webhook_ms,
    };
    audit::note_after(&item);
    let stored = StoredConnection {
        sealed: seal_remote(&app.sealer, &project, &sealed).map_err(ApiError::internal)?,
        item,
        // Whoever connects it anew may mean another host key.
        host_keys: String::new(),
        reach: Reach::of(rights, Permission::Submit),
        call_group: access.map(|of| of.call_group()),
        failures: 0,
        heard: 0,
    };
    let mut tx = app.store.write().await?;
    git_refs::remove_all(&mut tx, &project).await?;
    git_connections::put(&mut tx, &stored).await?;
    let now_ms = app.clock.wall_ms();
    let is_same = before.is_some_and(|before| before.item.url == stored.item.url);
    match &stored.call_group {
        Some(_) if is_same => {
            let since_ms = now_ms.saturating_sub(GIVE_UP_AFTER_MS);
            commit_statuses::send_again(&mut tx, &project, (since_ms, now_ms)).await?;
        }
        // They are of another repository, or nobody is told any more.
        _ => commit_statuses::delete_before(&mut tx, &project, i64::MAX).await?,
    }
    claim_on_first_use(&app, &mut tx, &project, &stored.item.added_by).await?;
    tx.commit().await?;
    app.git.polls.notify_one();
    app.bus().statuses.notify_one();
    tracing::info!(project, url = stored.item.url, "audit: project connected");
    Ok(JsonAnswer(show(stored)))
}

/// Returns the kind of a repository's host, asked for where nobody says it, and the address of its API.
async fn choose_host(
    app: &App,
    wish: &ConnectProject,
    url: &RemoteUrl,
) -> Result<(HostKind, Option<String>), ApiError> {
    let bad = |message: String| ApiError::Bad(message);
    let kind = match wish.host_kind {
        Some(kind) => kind,
        None if wish.github_app.is_some() => HostKind::Github,
        None => find_kind(&app.hosts, url)
            .await
            .map_err(|error| bad(format!("{error}; {}", error.hint())))?,
    };
    if kind != HostKind::Github && wish.github_app.is_some() {
        return Err(bad("a GitHub App is for repositories at GitHub: --host github".to_owned()));
    }
    if kind == HostKind::Git && wish.api_url.is_some() {
        return Err(bad(
            "--api-url is for hosts with an API; name the kind: --host github".to_owned()
        ));
    }
    let allow_http = app.git.settings.allow_http;
    let api = api_url(kind, url, wish.api_url.as_deref(), allow_http);
    Ok((kind, api.map_err(|error| bad(error.to_string()))?))
}

/// Asks a host what a credential may do. Returns findings for people.
async fn check_host(
    app: &App,
    kind: HostKind,
    access: Option<&HostAccess>,
) -> Result<Vec<String>, ApiError> {
    match access {
        Some(access) => check_access(&app.hosts, access).await.map_err(|error| {
            let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            ApiError::Bad(format!(
                "the repository's host was asked about the credential: {error}{hint}"
            ))
        }),
        None if kind == HostKind::Git => Ok(Vec::new()),
        None => Ok(vec![
            "no statuses are set at commits: that takes a token or a GitHub App".to_owned(),
        ]),
    }
}

fn check_wish(project: &str, wish: &ConnectProject) -> Result<(), ApiError> {
    let bad = |message: String| Err(ApiError::Bad(message));
    if project.trim().is_empty()
        || project.len() > MAX_PROJECT_BYTES
        || project.chars().any(char::is_control)
    {
        return bad(format!("project: 1 to {MAX_PROJECT_BYTES} characters are needed"));
    }
    if !(MIN_POLL_MS..=MAX_POLL_MS).contains(&wish.poll_ms) {
        let (least, most) = (MIN_POLL_MS / 1000, MAX_POLL_MS / 3_600_000);
        return bad(format!("poll_ms: {least} seconds to {most} hours are allowed"));
    }
    let path = wish.config_path.as_str();
    let is_step = |part: &str| matches!(part, "" | "." | "..");
    if path.len() > MAX_PATH_BYTES
        || path.chars().any(char::is_control)
        || path.split('/').any(is_step)
    {
        return bad("config_path: a path within the repository is needed".to_owned());
    }
    let is_one = u8::from(wish.deploy_key) + u8::from(wish.token.is_some());
    if is_one + u8::from(wish.github_app.is_some()) > 1 {
        return bad("give one credential: a token, a GitHub App (both for https), or a deploy key (for ssh)"
            .to_owned());
    }
    let is_ssh = !wish.url.starts_with("http") && !wish.url.starts_with("file:");
    if wish.deploy_key && !is_ssh {
        let next = "write ssh://git@HOST/PATH or git@HOST:PATH";
        return bad(format!("a deploy key is for ssh; {next}"));
    }
    if (wish.token.is_some() || wish.github_app.is_some()) && is_ssh {
        return bad("a token is for https; for ssh ask for a deploy key".to_owned());
    }
    let plain = |text: &str| text.len() <= 4_096 && !text.chars().any(char::is_control);
    let user = wish.user.as_deref().unwrap_or_default();
    if !plain(user) || wish.token.as_ref().is_some_and(|token| !plain(token.expose())) {
        return bad("token: one line of at most 4096 bytes is needed".to_owned());
    }
    Ok(())
}

/// Makes the credential that a wish is for. A deploy key that was made before stays: its public part may be
/// at the host already.
fn make_credential(
    app: &App,
    project: &str,
    wish: &ConnectProject,
    before: Option<&StoredConnection>,
) -> Result<(SealedRemote, CredentialKind, Option<String>), ApiError> {
    if wish.deploy_key {
        let earlier = before.and_then(|of| Some((of, of.item.public_key.clone()?)));
        if let Some((of, public)) = earlier
            && let Ok((_, sealed)) = open_remote(&app.sealer, &app.git.settings, of)
            && sealed.private_key.is_some()
        {
            return Ok((sealed, CredentialKind::DeployKey, Some(public)));
        }
        let key = make_deploy_key(&format!("russet {project}")).map_err(ApiError::internal)?;
        let sealed = SealedRemote { private_key: Some(key.private), ..SealedRemote::default() };
        return Ok((sealed, CredentialKind::DeployKey, Some(key.public)));
    }
    if let Some(GithubApp { id, private_key }) = wish.github_app.clone() {
        let key = AppKey { id: id.clone(), private_key: private_key.clone() };
        key.check().map_err(|error| ApiError::Bad(error.to_string()))?;
        let github_app = Some(SealedApp { id, private_key });
        let sealed = SealedRemote { github_app, ..SealedRemote::default() };
        return Ok((sealed, CredentialKind::GithubApp, None));
    }
    let kind = if wish.token.is_some() { CredentialKind::Token } else { CredentialKind::None };
    let (user, token) = (wish.user.clone(), wish.token.clone());
    Ok((SealedRemote { user, token, ..SealedRemote::default() }, kind, None))
}

/// Takes over the secret of the webhook, which the host has: of the same repository alone.
fn keep_webhook(
    app: &App,
    new: SealedRemote,
    url: &RemoteUrl,
    before: Option<&StoredConnection>,
) -> Result<(SealedRemote, Option<u64>), ApiError> {
    let same = before.filter(|of| of.item.url == url.text && of.item.webhook_ms.is_some());
    let Some(of) = same else {
        return Ok((SealedRemote { webhook_secret: None, ..new }, None));
    };
    let earlier = open_sealed(&app.sealer, of).map_err(ApiError::internal)?;
    let webhook_secret = earlier.webhook_secret;
    Ok((SealedRemote { webhook_secret, ..new }, of.item.webhook_ms))
}

/// Disconnects a project. Its pipelines stay.
#[cfg_attr(test, utoipa::path(
    delete, path = "/api/v3/projects/{project}/connection", tag = "admin", operation_id = "delete_connection",
    params(("project" = String, Path, description = "The project")),
    responses((status = 204, description = "It is not connected any more"), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn disconnect(
    State(app): State<App>,
    Path(project): Path<String>,
) -> Result<StatusCode, ApiError> {
    let before = find(&app, &project).await?;
    audit::note_before(&before.item);
    let mut tx = app.store.write().await?;
    if !git_connections::remove(&mut tx, &project).await? {
        return Err(not_connected(&project));
    }
    tx.commit().await?;
    let (mirror, _guard) = app.git.mirror(&project, &before.item.url).await;
    // A cache: what cannot be removed only takes room.
    drop(mirror.discard().await);
    tracing::info!(project, "audit: project disconnected");
    Ok(StatusCode::NO_CONTENT)
}

/// Polls a remote now.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/projects/{project}/connection/poll", tag = "admin", operation_id = "poll_connection",
    params(("project" = String, Path, description = "The project")),
    responses((status = 202, description = "It is polled soon"), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn poll_now(
    State(app): State<App>,
    Path(project): Path<String>,
) -> Result<StatusCode, ApiError> {
    audit::note_after(&serde_json::json!({ "project": project }));
    let mut tx = app.store.write().await?;
    if !git_connections::poll_now(&mut tx, &project, app.clock.wall_ms()).await? {
        return Err(not_connected(&project));
    }
    tx.commit().await?;
    app.git.polls.notify_one();
    Ok(StatusCode::ACCEPTED)
}

/// Builds the newest commit of a branch or tag.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/projects/{project}/connection/build", tag = "admin", operation_id = "build_connection",
    params(("project" = String, Path, description = "The project")),
    request_body = russet_protocol::projects::BuildProject,
    responses((status = 202, description = "The trigger, whose pipeline follows", body = russet_protocol::projects::ConnectionDetails), (status = 400, description = "The remote cannot be asked, or has no such branch or tag", body = russet_protocol::problem::Problem), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn build(
    State(app): State<App>,
    Path(project): Path<String>,
    Extension(caller): Extension<Caller>,
    Json(wish): Json<BuildProject, SMALL>,
) -> Result<(StatusCode, JsonAnswer<ConnectionDetails>), ApiError> {
    let of = find(&app, &project).await?;
    let failed = |error: GitError| {
        let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        ApiError::Bad(format!("the remote cannot be asked: {error}{hint}"))
    };
    let remote = open_for_git(&app, &of).await.map_err(|error| {
        let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        ApiError::Bad(format!("the remote cannot be asked: {error}{hint}"))
    })?;
    let scratch = app.git.scratch().map_err(ApiError::internal)?;
    let (refs, _) = list_refs(&remote, &app.git.settings, &scratch).await.map_err(failed)?;
    let reference = match (&wish.tag, wish.branch.as_ref().or(refs.default_branch.as_ref())) {
        (Some(tag), _) => format!("refs/tags/{tag}"),
        (None, Some(branch)) => format!("refs/heads/{branch}"),
        (None, None) => return Err(ApiError::Bad("name a branch or a tag".to_owned())),
    };
    let revision = refs.commits.get(&reference).ok_or_else(|| {
        ApiError::Bad(format!("the repository has no `{}`", reference.escape_debug()))
    })?;
    let author = caller.proved_name().unwrap_or("admin");
    let trigger = trigger_of_call(&reference, revision, author);
    audit::note_after(
        &serde_json::json!({"project": project, "reference": reference, "revision": revision}),
    );
    let mut tx = app.store.write().await?;
    trigger_events::insert(&mut tx, &project, &trigger, app.clock.wall_ms()).await?;
    tx.commit().await?;
    app.git.builds.notify_one();
    let mut conn = app.store.read().await?;
    let triggers = trigger_events::newest(&mut conn, &project).await?;
    let statuses = commit_statuses::newest(&mut conn, &project).await?;
    let details = ConnectionDetails { connection: show(of), triggers, statuses };
    Ok((StatusCode::ACCEPTED, JsonAnswer(details)))
}
