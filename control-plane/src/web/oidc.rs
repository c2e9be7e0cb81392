//! Signing in at a provider of OpenID Connect: the way there, and the way back.
//!
//! The cookie of an attempt is `SameSite=Lax`: the provider's page leads back here, and a browser sends no
//! `Strict` cookie along on the way from another site. For the same reason the answer is a page that goes
//! on by itself: on a redirect the browser would not send the cookie of the new session, which is `Strict`.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use serde_json::json;

use super::errors::{PageError, render_html};
use super::login::{From, LoginPage, Next};
use super::page_event;
use super::session::return_place;
use crate::api::ClientAddress;
use crate::audit;
use crate::browser_session::{
    begin_session, end_attempt_cookie, sent_attempt, start_attempt_cookie,
};
use crate::identity_sign_in::{Answer, IdentityError, sign_in_with_identity};
use crate::listen::Connection;
use crate::oidc::{Attempt, Provider, new_attempt, read_attempt};
use crate::state::App;

/// Operation of the audit log.
const OPERATION: &str = "GET /login/oidc/callback";

/// Means of the audit log.
const MEANS: &str = "openid connect";

/// The page that goes on by itself.
#[derive(Debug, Template)]
#[template(path = "signed_in.html")]
struct SignedInPage<'a> {
    next: &'a str,
}

fn provider_of(app: &App) -> Result<&Provider, PageError> {
    app.oidc.as_ref().ok_or(PageError::NotFound)
}

/// Sends a browser to the provider.
pub(super) async fn start(
    State(app): State<App>,
    Extension(address): Extension<ClientAddress>,
    connection: Option<Extension<Arc<Connection>>>,
    headers: HeaderMap,
    Query(query): Query<Next>,
) -> Result<Response, PageError> {
    let provider = provider_of(&app)?;
    let connection = connection.as_ref().map(|Extension(connection)| connection);
    let from = From { address, connection, headers: &headers };
    let next = return_place(query.next.as_deref());
    let attempt = new_attempt(&app.admin.key(), next, app.now_s())
        .map_err(|error| PageError::Internal(Box::new(error)))?;
    match provider.sign_in_url(&*app.clock, &attempt).await {
        Ok(url) => {
            let cookie = start_attempt_cookie(&app, &attempt.cookie(), from.is_encrypted());
            Ok(([(SET_COOKIE, cookie)], Redirect::to(&url)).into_response())
        }
        Err(error) => failed(&app, &from, next, error.into()).await,
    }
}

/// Signs somebody in who comes back from the provider.
pub(super) async fn callback(
    State(app): State<App>,
    Extension(address): Extension<ClientAddress>,
    connection: Option<Extension<Arc<Connection>>>,
    headers: HeaderMap,
    Query(answer): Query<Answer>,
) -> Result<Response, PageError> {
    let provider = provider_of(&app)?;
    let connection = connection.as_ref().map(|Extension(connection)| connection);
    let from = From { address, connection, headers: &headers };
    let cookie = sent_attempt(&headers);
    let attempt = cookie.and_then(|text| read_attempt(&app.admin.key(), text, app.now_s()));
    let next = attempt.as_ref().map_or("/", |attempt| attempt.next.as_str());
    match sign_in(&app, &from, provider, attempt.as_ref(), answer).await {
        Ok(cookies) => {
            let page = render_html(&SignedInPage { next: return_place(Some(next)) })?;
            let gone = end_attempt_cookie(&app, from.is_encrypted());
            let cookies = cookies.into_iter().chain([gone]).map(|cookie| (SET_COOKIE, cookie));
            Ok((AppendHeaders(cookies.collect::<Vec<_>>()), page).into_response())
        }
        Err(error) => failed(&app, &from, next, error).await,
    }
}

/// Signs somebody in, and begins the session. Returns its cookies.
async fn sign_in(
    app: &App,
    from: &From<'_>,
    provider: &Provider,
    attempt: Option<&Attempt>,
    answer: Answer,
) -> Result<Vec<String>, IdentityError> {
    let event = page_event(app, ("", MEANS), from.address, OPERATION);
    let (id, name) = sign_in_with_identity(app, provider, attempt, answer, event).await?;
    let event = page_event(app, (&name, MEANS), from.address, OPERATION);
    let begun = begin_session(app, (&id, &name), from.address.0, from.is_encrypted());
    let cookies = audit::with_event(event, begun).await.0?;
    tracing::info!(account = name, address = %from.address.0, "somebody signed in with OpenID Connect");
    Ok(cookies.into())
}

/// Shows the login page again, with the reason.
async fn failed(
    app: &App,
    from: &From<'_>,
    next: &str,
    error: IdentityError,
) -> Result<Response, PageError> {
    let words = russet_text::error_chain(&error);
    tracing::warn!(error = words, address = %from.address.0, "OpenID Connect signed nobody in");
    if let IdentityError::Refused { refused, subject } = &error {
        // Somebody whom the provider knows: others could fill the log.
        let mut event = page_event(app, ("nobody", MEANS), from.address, OPERATION);
        event.after = Some(json!({"refused": refused.to_string(), "subject": subject}));
        audit::write_event(app, &event).await;
    }
    // A fault of the provider or the server is for the log.
    let shown = match &error {
        IdentityError::Store(_) | IdentityError::Begin(_) => "the control plane failed".to_owned(),
        error => error.to_string(),
    };
    let problem = Some(format!("{shown}; {}", error.hint()));
    let mut page = render_html(&LoginPage::of(app, next, "", problem))?;
    *page.status_mut() =
        if error.is_fault() { StatusCode::BAD_GATEWAY } else { StatusCode::FORBIDDEN };
    Ok(page)
}
