//! `POST /webhooks/github`: what GitHub tells, of repository webhooks and of Apps alike.
//!
//! Threat: anybody calls. A body is read within the memory that there is for callers without a token, and
//! one answer is given to all that is not authentic: no signature, a wrong one, a repository that is not
//! connected, and no webhook at all cannot be told apart.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use russet_protocol::problem::Problem;
use russet_protocol::secret::Secret;
use russet_protocol::webhooks::DeliveryAnswer;

use crate::api::Caller;
use crate::api::body::read;
use crate::api::error::ApiError;
use crate::contention;
use crate::git::RemoteUrl;
use crate::projects::open_sealed;
use crate::state::App;
use crate::store::git_connections::{self, StoredConnection};
use crate::webhooks::{
    BodyForm, Delivered, NamedRepository, SIGNATURE_HEADER, Signature, note_delivery, payload_text,
};

/// Most bytes of a body. GitHub's own limit is 25 MB; a push names at most 2048 commits, which is less.
const MAX_BODY_BYTES: usize = 5 << 20;

/// Longest id of a delivery and name of an event, in bytes.
const MAX_NAME_BYTES: usize = 64;

/// Takes a delivery.
#[cfg_attr(test, utoipa::path(
    post, path = "/webhooks/github", tag = "admin", operation_id = "take_github_webhook",
    params(
        ("X-Hub-Signature-256" = String, Header, description = "`sha256=` and the HMAC of the body under the project's secret"),
        ("X-GitHub-Event" = String, Header, description = "The event"),
        ("X-GitHub-Delivery" = String, Header, description = "Id of the delivery; one that was here before changes nothing")
    ),
    request_body(content = String, description = "The payload as JSON, or a form with it in `payload`", content_type = "application/json"),
    responses(
        (status = 200, description = "What became of it", body = russet_protocol::webhooks::DeliveryAnswer),
        (status = 400, description = "It is authentic, and not of GitHub's form", body = russet_protocol::problem::Problem),
        (status = 401, description = "It is not authentic, or not of a repository that is connected", body = russet_protocol::problem::Problem),
        (status = 413, description = "The body is larger than 5 MiB", body = russet_protocol::problem::Problem)
    )
))]
pub(super) async fn take_github(
    State(app): State<App>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let header = |name: &str| text_of(&parts.headers, name);
    // Before a byte of the body is taken.
    let Some(signature) = Signature::parse(header(SIGNATURE_HEADER)) else {
        return Ok(not_authentic());
    };
    let room = Caller::room(&app, &parts.extensions);
    let body = read(body, MAX_BODY_BYTES, room, app.gate.limits.body_timeout).await?;
    let form = BodyForm::of(header(CONTENT_TYPE.as_str()));
    let payload = form.and_then(|form| payload_text(&body.bytes, form));
    let named = payload.as_deref().and_then(|text| serde_json::from_slice::<Named>(text).ok());
    let (Some(payload), Some(named)) = (payload, named) else { return Ok(not_authentic()) };
    let projects = find_authentic(&app, &named, &body.bytes, signature).await?;
    if projects.is_empty() {
        return Ok(not_authentic());
    }
    let (id, event) = (header("x-github-delivery"), header("x-github-event"));
    if !is_name(id) || !is_name(event) {
        let message = "X-GitHub-Delivery and X-GitHub-Event are needed";
        return Err(ApiError::Bad(message.to_owned()));
    }
    let mut results = Vec::new();
    // The ping of an App names no repository, and so no project.
    for project in projects.iter().filter(|_| named.repository.is_some()) {
        let of = Delivered { id, event, payload: &payload, is_repeated: false };
        let result = contention::retry(|| note_delivery(&app, project, of)).await?;
        tracing::info!(project, delivery = id, event, outcome = result.outcome.as_str(), "webhook");
        results.push(result);
    }
    Ok(Json(DeliveryAnswer { results }).into_response())
}

/// The part of a payload that says where it is from.
#[derive(Debug, serde::Deserialize)]
struct Named {
    #[serde(default)]
    repository: Option<crate::webhooks::Repository>,
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !text.is_empty() && text.len() <= MAX_NAME_BYTES && text.bytes().all(is_plain)
}

/// Returns the projects under whose secret a body is signed: those of the repository that it names, or of any
/// where it names none.
async fn find_authentic(
    app: &App,
    named: &Named,
    body: &[u8],
    signature: Signature,
) -> Result<Vec<String>, ApiError> {
    let allowed = app.git.settings.transports();
    let all = git_connections::with_webhook(&mut app.store.read().await?).await?;
    let place = named.repository.as_ref().map(|named| NamedRepository::of(named, allowed));
    let is_named = |of: &StoredConnection| match &place {
        Some(place) => RemoteUrl::parse(&of.item.url, allowed).is_ok_and(|url| place.is_at(&url)),
        None => true,
    };
    let mut projects = Vec::new();
    let mut was_compared = false;
    for of in all.iter().filter(|of| is_named(of)) {
        let sealed = open_sealed(&app.sealer, of).map_err(ApiError::internal)?;
        // None signs under no secret: that would be everybody.
        let Some(secret) = sealed.webhook_secret.filter(|secret| !secret.expose().is_empty())
        else {
            continue;
        };
        was_compared = true;
        if signature.is_of(body, &secret) {
            projects.push(of.item.project.clone());
        }
    }
    if !was_compared {
        // An unknown repository takes as long as a known one.
        signature.is_of(body, &Secret::new("unknown"));
    }
    Ok(projects)
}

/// The one answer to all that is not authentic.
fn not_authentic() -> Response {
    let problem = Problem {
        message: "the webhook is not authentic, or of a repository that is not connected"
            .to_owned(),
        hint: Some("russet project webhook PROJECT shows how GitHub has to be set up".to_owned()),
        diagnostics: Vec::new(),
    };
    (StatusCode::UNAUTHORIZED, Json(problem)).into_response()
}
