//! Pipelines of triggers: the commit is fetched, its configuration read, its source stored, and the
//! pipeline made, each of which may be done again after a failure. The transaction that makes the pipeline
//! ends the trigger.

use axum::body::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use russet_protocol::admin::{Orb, SubmitRequest};
use russet_protocol::ids::{PipelineId, SourceId};
use russet_protocol::problem::Problem;
use russet_protocol::projects::TriggerState;
use tokio::sync::Notify;
use tokio_util::io::ReaderStream;

use crate::api::admin::submit::submit_caused;
use crate::api::error::ApiError;
use crate::contention;
use crate::git::{GitError, PackedSource, SourceNames, pack_source, read_config_files, read_head};
use crate::projects::{
    AccessError, DueWork, FETCH_LEASE_MS, LAG_MS, asks_to_skip, next_attempt, open_for_git,
    pipeline_values, split_reference,
};
use crate::sources as names;
use crate::state::App;
use crate::store::git_connections::{self, StoredConnection};
use crate::store::trigger_events::{self, DueTrigger};
use crate::store::{Conn, StoreError, WriteTx, sources};

/// Time for which triggers without a pipeline are kept, in milliseconds: 90 days.
const KEPT_MS: i64 = 90 * 24 * 3_600_000;

/// The largest source, in bytes: 8 GiB, as for one that is uploaded.
const MAX_SOURCE_BYTES: u64 = 8 << 30;

/// Pipelines of triggers.
#[derive(Debug)]
pub(crate) enum Builds {}

impl DueWork for Builds {
    type Piece = DueTrigger;
    const FAILURE: &'static str = "cannot build what changed at Git remotes";
    const LEASE_MS: i64 = FETCH_LEASE_MS;

    fn wake(app: &App) -> &Notify {
        &app.git.builds
    }

    async fn next_due(conn: &mut Conn) -> Result<Option<i64>, StoreError> {
        trigger_events::next_due(conn).await
    }

    async fn take_due(
        tx: &mut WriteTx,
        now_ms: i64,
        next_ms: i64,
    ) -> Result<Option<DueTrigger>, StoreError> {
        trigger_events::take_due(tx, now_ms, next_ms).await
    }

    async fn run(app: &App, piece: DueTrigger) -> Result<(), StoreError> {
        build(app, piece).await
    }
}

/// Reason why a trigger has no pipeline.
#[derive(Debug, thiserror::Error)]
enum BuildError {
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Credential(#[from] AccessError),
    #[error("the project is not connected any more")]
    NotConnected,
    /// The configuration cannot be run, in its compiler's words.
    #[error("{}", .0.full_text())]
    Config(Problem),
    /// The server's own trouble, which may pass.
    #[error("the server could not make the pipeline; its log says why")]
    Server(ApiError),
    #[error("the source could not be stored")]
    Source(ApiError),
}

impl BuildError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Git(error) => error.hint().map(str::to_owned),
            Self::Credential(error) => error.hint(),
            Self::Config(problem) => problem.hint.clone(),
            Self::NotConnected | Self::Server(_) | Self::Source(_) => None,
        }
    }

    fn may_pass(&self) -> bool {
        match self {
            Self::Git(error) => error.may_pass(),
            Self::Server(_) | Self::Source(_) => true,
            Self::Credential(error) => error.may_pass(),
            Self::NotConnected | Self::Config(_) => false,
        }
    }
}

impl From<ApiError> for BuildError {
    fn from(error: ApiError) -> Self {
        let problem = |message| Problem { message, hint: None, diagnostics: Vec::new() };
        match error {
            ApiError::Unprocessable(problem) => Self::Config(problem),
            ApiError::Bad(message) => Self::Config(problem(message)),
            error => Self::Server(error),
        }
    }
}

/// Builds one trigger, and notes what became of it.
async fn build(app: &App, due: DueTrigger) -> Result<(), StoreError> {
    match make_pipeline(app, &due).await {
        Ok(Built::Pipeline) => Ok(()),
        Ok(Built::Skipped(why)) => {
            let state = TriggerState::Skipped;
            contention::retry(|| note_end(app, &due, state, (&why, None))).await
        }
        Err(error) => {
            let (message, hint) = (error.to_string(), error.hint());
            if let BuildError::Server(error) | BuildError::Source(error) = &error {
                tracing::error!(project = due.project, ?error, "a pipeline could not be made");
            }
            let words = (message.as_str(), hint.as_deref());
            let now_ms = app.clock.wall_ms();
            let next_ms = next_attempt(due.created_ms, due.attempts, now_ms);
            match next_ms.filter(|_| error.may_pass() || is_early(&error, &due, now_ms)) {
                Some(next_ms) => {
                    contention::retry(|| note_retry(app, &due.id, words, next_ms)).await
                }
                None => {
                    tracing::warn!(project = due.project, message, "a change was not built");
                    let state = TriggerState::Failed;
                    contention::retry(|| note_end(app, &due, state, words)).await
                }
            }
        }
    }
}

/// Returns true for a commit that a webhook told of and that a copy of the repository may not have yet.
fn is_early(error: &BuildError, due: &DueTrigger, now_ms: i64) -> bool {
    let is_missing = matches!(error, BuildError::Git(GitError::NoCommit(_)));
    is_missing && !due.event.is_empty() && now_ms.saturating_sub(due.created_ms) < LAG_MS
}

async fn note_end(
    app: &App,
    due: &DueTrigger,
    state: TriggerState,
    words: (&str, Option<&str>),
) -> Result<(), StoreError> {
    let now_ms = app.clock.wall_ms();
    let mut tx = app.store.write().await?;
    trigger_events::mark_ended(&mut tx, &due.id, state, words, now_ms).await?;
    trigger_events::delete_old(&mut tx, &due.project, now_ms.saturating_sub(KEPT_MS)).await?;
    tx.commit().await
}

async fn note_retry(
    app: &App,
    id: &str,
    words: (&str, Option<&str>),
    next_ms: i64,
) -> Result<(), StoreError> {
    let mut tx = app.store.write().await?;
    trigger_events::mark_retry(&mut tx, id, words, next_ms).await?;
    tx.commit().await
}

/// Result of a build.
enum Built {
    Pipeline,
    /// No pipeline is to be made, for this reason.
    Skipped(String),
}

async fn make_pipeline(app: &App, due: &DueTrigger) -> Result<Built, BuildError> {
    let connection = find_connection(app, &due.project).await?;
    let (request, source) = match prepare(app, due, &connection).await? {
        Some(prepared) => prepared,
        None => return Ok(Built::Skipped("its commit says [skip ci]".to_owned())),
    };
    let stored = store_source(app, source).await.map_err(BuildError::Source)?;
    let request = SubmitRequest { source: Some(stored), ..request };
    let id = PipelineId::generate();
    let of_trigger = (&id, Some(due.id.as_str()));
    match submit_caused(app, &request, of_trigger, &connection.reach).await {
        Ok(_) => Ok(Built::Pipeline),
        // Another server has made it, or the project was disconnected.
        Err(ApiError::Conflict(_)) => Ok(Built::Pipeline),
        Err(ApiError::Unprocessable(problem)) if !is_wish(due) && is_nothing(&problem) => {
            Ok(Built::Skipped("its configuration runs nothing for this branch or tag".to_owned()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns true where somebody asked for the build, whatever the commit says of itself.
fn is_wish(due: &DueTrigger) -> bool {
    matches!(due.kind.as_str(), "api" | "rerequest")
}

/// Returns true where filters and conditions leave everything out, as they do for tags by default.
fn is_nothing(problem: &Problem) -> bool {
    let is_it = |line: &String| line.contains(russet_pipeline::NOTHING_RUNS);
    problem.diagnostics.len() == 1 && problem.diagnostics.iter().all(is_it)
}

async fn find_connection(app: &App, project: &str) -> Result<StoredConnection, BuildError> {
    let server = |error: StoreError| BuildError::Server(error.into());
    let mut conn = app.store.read().await.map_err(server)?;
    let found = git_connections::get(&mut conn, project).await.map_err(server)?;
    found.ok_or(BuildError::NotConnected)
}

/// Fetches the commit, reads its configuration and packs its source. `None`: it asks not to be built.
async fn prepare(
    app: &App,
    due: &DueTrigger,
    of: &StoredConnection,
) -> Result<Option<(SubmitRequest, PackedSource)>, BuildError> {
    let settings = &app.git.settings;
    let remote = open_for_git(app, of).await?;
    let scratch = app.git.scratch().map_err(GitError::from)?;
    let (mirror, _guard) = app.git.mirror(&due.project, &of.item.url).await;
    let _turn = app.git.turns.acquire().await;
    let wanted = (due.reference.as_str(), due.revision.as_str());
    mirror.fetch_commit(&remote, wanted, settings, &scratch).await?;
    let head = read_head(&mirror, &due.revision).await?;
    if !is_wish(due) && asks_to_skip(&head) {
        return Ok(None);
    }
    let files = read_config_files(&mirror, &due.revision, &of.item.config_path).await?;
    let (branch, tag) = split_reference(&due.reference);
    let names = SourceNames { branch, tag, url: &remote.url.text };
    let source = pack_source(&mirror, &due.revision, names, settings, &scratch).await?;
    let default_branch = of.item.default_branch.as_deref();
    let orbs = files.orbs.into_iter().map(|(name, version, source)| Orb { name, version, source });
    let author = due.author.clone().or(Some(head.author_name.clone()));
    let request = SubmitRequest {
        project: due.project.clone(),
        config: files.config,
        config_path: of.item.config_path.clone(),
        branch: branch.map(str::to_owned),
        tag: tag.map(str::to_owned),
        revision: Some(due.revision.clone()),
        repository_url: Some(remote.url.text.clone()),
        from_fork: due.from_fork,
        author: author.map(|name| shown_name(&name)),
        source: None,
        on_host: false,
        resource_class: None,
        workflow: None,
        job: None,
        parameters: Default::default(),
        pipeline_values: pipeline_values(due, &head, &remote.url, default_branch),
        orbs: orbs.collect(),
        orb_pins: Vec::new(),
        class_aliases: Default::default(),
        make_contexts: false,
    };
    Ok(Some((request, source)))
}

/// Returns the name of an author as the API takes it: whoever makes a commit writes anything there.
fn shown_name(name: &str) -> String {
    let printable: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
    let trimmed = printable.trim();
    if trimmed.is_empty() { "somebody".to_owned() } else { trimmed.to_owned() }
}

/// Stores a source under its hash; one that is here stays.
async fn store_source(app: &App, source: PackedSource) -> Result<SourceId, ApiError> {
    app.check_room_for_objects()?;
    let id = SourceId::from(source.hash.clone());
    let file = tokio::fs::File::open(&source.file).await.map_err(ApiError::internal)?;
    let bytes = ReaderStream::new(file).map_ok(Bytes::from).map_err(axum::Error::new).boxed();
    let object = names::new_object(&id);
    let written =
        app.objects.put_stream(&object, bytes, MAX_SOURCE_BYTES, Some(id.as_str())).await?;
    let mut tx = app.store.write().await?;
    let is_new = sources::insert(&mut tx, &id, written.size, &object, app.clock.wall_ms()).await?;
    tx.commit().await?;
    if !is_new {
        app.objects.delete(&object).await;
    }
    Ok(id)
}
