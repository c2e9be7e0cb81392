//! Notes deliveries: in one transaction what was heard, what it causes, and the delivery itself. A server that
//! is killed has noted all of it or nothing, and then the host has no answer either.

use russet_protocol::ids::AllocationId;
use russet_protocol::project_settings::ForkPolicy;
use russet_protocol::webhooks::{DeliveryOutcome, DeliveryResult};

use super::event::{Pull, Push, WebhookEvent, read_event};
use super::payload::Payload;
use crate::projects::{RefChange, trigger_of};
use crate::state::App;
use crate::store::git_connections::{self, StoredConnection};
use crate::store::trigger_events::{self, NewTrigger};
use crate::store::webhook_deliveries::{self, NewDelivery};
use crate::store::{StoreError, WriteTx, git_refs, project_settings};

/// Most bytes of a compressed payload that are kept.
const MAX_KEPT_BYTES: usize = 1 << 20;

/// Delivery whose signature was right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivered<'a> {
    /// The host's id of it, which is the same when it is delivered again
    /// (docs.github.com/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks).
    pub(crate) id: &'a str,
    pub(crate) event: &'a str,
    /// JSON.
    pub(crate) payload: &'a [u8],
    /// Set where somebody asked for it to be taken once more.
    pub(crate) is_repeated: bool,
}

/// What became of it, and the words for it.
type Verdict = (DeliveryOutcome, String);

/// Notes a delivery for a project. One that was noted before changes nothing.
pub(crate) async fn note_delivery(
    app: &App,
    project: &str,
    of: Delivered<'_>,
) -> Result<DeliveryResult, StoreError> {
    let result = |(outcome, message): Verdict| DeliveryResult {
        project: project.to_owned(),
        outcome,
        message,
    };
    let read = serde_json::from_slice::<Payload>(of.payload);
    let payload = read.as_ref().ok();
    let event = match &read {
        Ok(payload) => read_event(of.event, payload),
        Err(error) => Err(format!("it is not what GitHub sends: {error}")),
    };
    let kept = kept_payload(of, &event);
    let now_ms = app.clock.wall_ms();
    let mut tx = app.store.write().await?;
    let Some(connection) = git_connections::lock(&mut tx, project).await? else {
        return Ok(result((DeliveryOutcome::Ignored, "the project is not connected".to_owned())));
    };
    let known = webhook_deliveries::get(&mut tx, project, of.id).await?;
    let known = known.filter(|it| !of.is_repeated && it.outcome != DeliveryOutcome::Failed);
    if let Some(known) = known {
        return Ok(result((known.outcome, format!("it was here before: {}", known.message))));
    }
    let (outcome, message) = match event {
        Ok(event) => apply(&mut tx, &connection, event, now_ms).await?,
        Err(why) => (DeliveryOutcome::Failed, why),
    };
    let action = payload.and_then(|payload| payload.action.as_deref());
    let (id, event) = (of.id, of.event);
    let new = NewDelivery { id, event, action, outcome, message: &message, payload: &kept };
    webhook_deliveries::put(&mut tx, project, &new, now_ms).await?;
    tx.commit().await?;
    match outcome {
        DeliveryOutcome::Noted => app.git.builds.notify_one(),
        DeliveryOutcome::Asked => app.git.polls.notify_one(),
        DeliveryOutcome::Ignored | DeliveryOutcome::Failed => {}
    }
    Ok(result((outcome, message)))
}

/// Returns the compressed payload where something may follow of it, now or once the settings are others.
fn kept_payload(of: Delivered<'_>, event: &Result<WebhookEvent, String>) -> Option<Vec<u8>> {
    if matches!(event, Ok(WebhookEvent::Ignored(_))) {
        return None;
    }
    let compressed = zstd::encode_all(of.payload, zstd::DEFAULT_COMPRESSION_LEVEL).ok()?;
    Some(compressed).filter(|bytes| bytes.len() <= MAX_KEPT_BYTES)
}

async fn apply(
    tx: &mut WriteTx,
    of: &StoredConnection,
    event: WebhookEvent,
    now_ms: i64,
) -> Result<Verdict, StoreError> {
    match event {
        WebhookEvent::Ignored(why) => Ok((DeliveryOutcome::Ignored, why)),
        WebhookEvent::Push(push) => apply_push(tx, of, push, now_ms).await,
        WebhookEvent::Pull(pull) => apply_pull(tx, of, pull, now_ms).await,
        WebhookEvent::Closed { reference } => {
            let place = (of.item.project.as_str(), reference.as_str());
            let why = "its pull request was closed";
            trigger_events::drop_held(tx, place, ("", why), now_ms).await?;
            Ok((DeliveryOutcome::Noted, "what was held of it is not wanted any more".to_owned()))
        }
        WebhookEvent::Rerequested { revision, author } => {
            rebuild(tx, of, (&revision, author), now_ms).await
        }
    }
}

/// Moves a branch or tag where the payload fits to what was seen last. Anything else has the remote asked: a
/// delivery that is late, or of which the one before was lost, moves nothing.
async fn apply_push(
    tx: &mut WriteTx,
    of: &StoredConnection,
    push: Push,
    now_ms: i64,
) -> Result<Verdict, StoreError> {
    let project = of.item.project.as_str();
    let seen = git_refs::get(tx, project, &push.reference).await?;
    let stored = seen.as_ref().map_or("", |seen| seen.revision.as_str());
    let after = push
        .after
        .filter(|after| of.item.has_baseline && (stored == push.before || stored == after));
    let Some(after) = after else {
        git_connections::poll_now(tx, project, now_ms).await?;
        let why = "it does not follow what was seen last, so the remote is asked";
        return Ok((DeliveryOutcome::Asked, why.to_owned()));
    };
    if stored == after {
        return Ok((DeliveryOutcome::Noted, "it was heard of already".to_owned()));
    }
    let place = (project, push.reference.as_str());
    git_refs::put(tx, place, &after, now_ms).await?;
    let heard = git_connections::count_heard(tx, project).await?;
    git_refs::put_heard(tx, place, heard).await?;
    if after.is_empty() {
        return Ok((DeliveryOutcome::Noted, "it was deleted".to_owned()));
    }
    let change = RefChange {
        revision: after,
        before: Some(push.before).filter(|before| !before.is_empty()),
        number: seen.map_or(0, |seen| seen.changes) + 1,
        name: push.reference,
    };
    let trigger = NewTrigger { event: push.values, ..trigger_of(&change, of.item.created_ms) };
    trigger_events::insert(tx, project, &trigger, now_ms).await?;
    Ok((DeliveryOutcome::Noted, "it is built".to_owned()))
}

/// Notes a commit of a fork, as the project wants it.
async fn apply_pull(
    tx: &mut WriteTx,
    of: &StoredConnection,
    pull: Pull,
    now_ms: i64,
) -> Result<Verdict, StoreError> {
    let project = of.item.project.as_str();
    let reference = pull.reference.clone();
    let new = NewTrigger {
        id: AllocationId::generate().to_string(),
        // A commit is taken up once, however often its pull request is opened.
        key: format!("{}:{reference}@{}", of.item.created_ms, pull.revision),
        kind: "pull_request",
        reference: pull.reference,
        revision: pull.revision,
        base_revision: Some(pull.base_revision).filter(|base| !base.is_empty()),
        author: pull.author,
        from_fork: true,
        event: pull.values,
        is_held: false,
    };
    let place = (project, reference.as_str());
    let why = "its pull request has a newer commit";
    trigger_events::drop_held(tx, place, (&new.revision, why), now_ms).await?;
    insert_of_policy(tx, project, new, now_ms).await
}

/// Inserts a cause. One of a fork is held or left out, as the settings of the project say.
async fn insert_of_policy(
    tx: &mut WriteTx,
    project: &str,
    new: NewTrigger,
    now_ms: i64,
) -> Result<Verdict, StoreError> {
    let forks = project_settings::get(tx, project).await?.settings.forks;
    if new.from_fork && forks == ForkPolicy::None {
        let why = "pull requests of forks are not built; russet project settings set PROJECT --forks \
                   approve changes that";
        return Ok((DeliveryOutcome::Ignored, why.to_owned()));
    }
    let is_held = new.from_fork && forks == ForkPolicy::Approve;
    let new = NewTrigger { is_held, ..new };
    let is_new = trigger_events::insert(tx, project, &new, now_ms).await?;
    let words = match (is_new, is_held) {
        (false, _) => "the commit was heard of already",
        (true, true) => "it waits until somebody lets it through: russet project approve",
        (true, false) => "it is built",
    };
    Ok((DeliveryOutcome::Noted, words.to_owned()))
}

/// Builds a commit once more that was built before: nothing else, whatever the host asks for.
async fn rebuild(
    tx: &mut WriteTx,
    of: &StoredConnection,
    (revision, author): (&str, Option<String>),
    now_ms: i64,
) -> Result<Verdict, StoreError> {
    let project = of.item.project.as_str();
    let Some(past) = trigger_events::last_of_revision(tx, project, revision).await? else {
        let why =
            "its commit was not built here before; russet project build builds a branch or tag";
        return Ok((DeliveryOutcome::Ignored, why.to_owned()));
    };
    let id = AllocationId::generate().to_string();
    let new = NewTrigger {
        // The delivery is taken once.
        key: format!("rerequest:{id}"),
        id,
        kind: "rerequest",
        reference: past.reference,
        revision: revision.to_owned(),
        base_revision: past.base_revision,
        author,
        from_fork: past.from_fork,
        event: past.event,
        is_held: false,
    };
    insert_of_policy(tx, project, new, now_ms).await
}
