//! Messages to people's tools: kept in the database until they are delivered, and tried again until
//! then. Each server delivers what is due; an attempt takes a message for itself first, so that no
//! two send the same.

mod address;
mod content;
mod retry;
mod text;
mod webhook;

use std::sync::OnceLock;
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::header::RETRY_AFTER;
use russet_protocol::alerts::TargetKind;
use russet_protocol::secret::Secret;
use serde::{Deserialize, Serialize};

use self::content::Content;
use crate::outgoing::{self, CheckedResolver};
use crate::secrets::{Owner, Scope};
use crate::signals::TO_DELIVER;
use crate::state::App;
use crate::store::{StoreError, alert_targets, outbox};

pub(crate) use address::{AddressError, check_url};
pub(crate) use webhook::{new_plain_secret, new_secret};

/// Messages that are sent at the same time, so that a target that does not answer delays no other.
const MAX_PARALLEL: usize = 8;

/// Longest time that a call of a webhook may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Reason why a message was not taken, for people.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct DeliveryError(String);

impl DeliveryError {
    fn timeout(host: &str) -> Self {
        Self(format!("{host} did not answer in time"))
    }
}

/// Secret part of a target, which is sealed as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sealed {
    /// URL, or mail address.
    pub(crate) address: Secret,
    /// Secret that messages to a webhook are signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signing_secret: Option<Secret>,
}

/// Returns the place for which the secret part of a target of alerts is sealed.
pub(crate) fn seal_owner(name: &str) -> Owner<'_> {
    Owner { scope: Scope::AlertTarget, owner: name }
}

/// Returns the place for which the secret part of a target of a project is sealed, by its id.
pub(crate) fn seal_owner_of_project(id: &str) -> Owner<'_> {
    Owner { scope: Scope::NotifyTarget, owner: id }
}

/// Name under which the secret part of a target is sealed.
pub(crate) const SEAL_NAME: &str = "address";

/// Delivers messages as soon as a commit of this server has put them into the outbox.
pub(crate) async fn deliver_promptly(app: &App) {
    let mut woken = app.bus().messages.subscribe(TO_DELIVER);
    loop {
        woken.changed().await;
        // What fails here is due again in the round of alerts.
        if let Err(error) = deliver_due(app).await {
            let error = russet_text::error_chain(&error);
            tracing::error!(error, "cannot deliver messages; trying again in a moment");
        }
    }
}

/// Delivers what is due.
pub(crate) async fn deliver_due(app: &App) -> Result<(), StoreError> {
    loop {
        let mut taken = Vec::new();
        while taken.len() < MAX_PARALLEL {
            let now_ms = app.clock.wall_ms();
            let mut tx = app.store.write().await?;
            let Some(due) = outbox::take_due(&mut tx, now_ms, now_ms + retry::ATTEMPT_MS).await?
            else {
                break;
            };
            tx.commit().await?;
            taken.push(due);
        }
        let is_all = taken.len() < MAX_PARALLEL;
        let attempts = taken.into_iter().map(|due| attempt(app, due));
        let results: Vec<_> =
            futures_util::stream::iter(attempts).buffer_unordered(MAX_PARALLEL).collect().await;
        results.into_iter().collect::<Result<(), StoreError>>()?;
        if is_all {
            return Ok(());
        }
    }
}

/// Tries to deliver a message, and notes the result.
async fn attempt(app: &App, due: outbox::Due) -> Result<(), StoreError> {
    let result = send(app, &due.target, &due.id, &due.payload).await;
    let now_ms = app.clock.wall_ms();
    let mut tx = app.store.write().await?;
    match &result {
        Ok(()) => outbox::mark_done(&mut tx, &due.id, now_ms).await?,
        Err(error) => {
            let next_ms = retry::next_attempt(due.created_ms, due.attempts, now_ms);
            tracing::warn!(target = due.target, %error, is_given_up = next_ms.is_none(), "a message was not delivered");
            outbox::mark_failed(&mut tx, &due.id, next_ms, now_ms, &error.to_string()).await?;
        }
    }
    tx.commit().await
}

/// Sends a message to a target.
pub(crate) async fn send(
    app: &App,
    target: &str,
    id: &str,
    payload: &str,
) -> Result<(), DeliveryError> {
    let stored = {
        let failed = |error: StoreError| DeliveryError(russet_text::error_chain(&error));
        let mut conn = app.store.read().await.map_err(failed)?;
        alert_targets::addressee(&mut conn, target).await.map_err(failed)?
    };
    let stored = stored.ok_or_else(|| DeliveryError("the target was removed".to_owned()))?;
    let unreadable = |_| DeliveryError("what is stored of it cannot be read".to_owned());
    let content = Content::parse(payload).map_err(unreadable)?;
    let owner = match (&stored.project, content.is_of_alerts()) {
        (None, true) => seal_owner(target),
        (Some(_), false) => seal_owner_of_project(target),
        // An older server that uses the same database knows no targets but those of alerts.
        _ => return Ok(()),
    };
    let sealed = app
        .sealer
        .open(owner, SEAL_NAME, &stored.sealed)
        .map_err(|error| DeliveryError(error.to_string()))?;
    let sealed: Sealed = serde_json::from_str(sealed.expose()).map_err(unreadable)?;
    match stored.kind {
        TargetKind::Webhook => {
            let body = content.webhook_body(payload, app.public_url.as_deref());
            let signer = webhook::Signer { secret: sealed.signing_secret.as_ref(), id };
            let headers = match content.event_type() {
                Some(event) => signer.circleci_headers(event, &body),
                None => signer.standard_headers(app.now_s(), &body),
            };
            post(&sealed.address, body, headers).await
        }
        TargetKind::Slack => {
            let text = text::escape_for_slack(&content.text(app.public_url.as_deref()));
            post(&sealed.address, serde_json::json!({ "text": text }).to_string(), Vec::new()).await
        }
        TargetKind::Mail => {
            let no_server = || DeliveryError("this server has no --mail-server".to_owned());
            let server = app.mail.as_ref().ok_or_else(no_server)?;
            let (subject, text) = (content.subject(), content.text(app.public_url.as_deref()));
            let sent = server.send(sealed.address.expose(), id, subject, text).await;
            sent.map_err(|error| DeliveryError(error.to_string()))
        }
    }
}

/// Sends JSON. An error names the host alone: the rest of the URL is a secret.
async fn post(
    url: &Secret,
    body: String,
    headers: Vec<(&'static str, String)>,
) -> Result<(), DeliveryError> {
    let host = check_url(url.expose()).map_err(|error| DeliveryError(error.to_string()))?;
    let mut request = client()?
        .post(url.expose())
        .header(reqwest::header::CONTENT_TYPE, "application/json")
        .body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let response = request.send().await.map_err(|error| {
        if error.is_timeout() {
            return DeliveryError::timeout(&host);
        }
        DeliveryError(format!("{host} failed: {}", russet_text::error_chain(&error.without_url())))
    })?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let later = response.headers().contains_key(RETRY_AFTER).then_some(" and asks to try later");
    Err(DeliveryError(format!("{host} answered {status}{}", later.unwrap_or_default())))
}

/// Returns the client for webhooks.
fn client() -> Result<&'static reqwest::Client, DeliveryError> {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    if let Some(client) = CLIENT.get() {
        return Ok(client);
    }
    let client = outgoing::client_builder(CALL_TIMEOUT)
        .dns_resolver(CheckedResolver::new(address::choose_addresses))
        .build()
        .map_err(|error| DeliveryError(russet_text::error_chain(&error)))?;
    Ok(CLIENT.get_or_init(|| client))
}
