//! Logging in with a name and a password or with the admin token, and out.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Form, Query, State};
use axum::http::header::{RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use russet_protocol::ids::UserId;
use russet_protocol::people::AuditItem;
use russet_protocol::secret::Secret;
use serde::Deserialize;

use super::errors::{PageError, render_html};
use super::page_event;
use super::session::return_place;
use crate::api::{Caller, ClientAddress};
use crate::audit;
use crate::browser_session::{begin_cookie, begin_session, end_cookie, mark_of};
use crate::listen::Connection;
use crate::sign_in::{SignInError, sign_in};
use crate::state::App;

#[derive(Debug, Template)]
#[template(path = "login.html")]
pub(super) struct LoginPage<'a> {
    next: &'a str,
    name: &'a str,
    problem: Option<String>,
    /// Name of the provider of OpenID Connect, if there is one.
    provider: Option<&'a str>,
}

impl<'a> LoginPage<'a> {
    pub(super) fn of(app: &'a App, next: &'a str, name: &'a str, problem: Option<String>) -> Self {
        let provider = app.oidc.as_ref().map(|provider| provider.settings.name.as_str());
        Self { next, name, problem, provider }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Next {
    pub(super) next: Option<String>,
}

/// Contents of the form. Secrets are in the body, never in an address, which logs keep.
#[derive(Debug, Deserialize)]
pub(super) struct Credentials {
    /// The admin token, instead of a password.
    token: Option<Secret>,
    /// Name of the account. With the admin token it is noted with what is done, and not proved.
    #[serde(default)]
    name: String,
    password: Option<Secret>,
    next: Option<String>,
}

/// Parts of a request that a session begins with.
#[derive(Debug)]
pub(super) struct From<'a> {
    pub(super) address: ClientAddress,
    pub(super) connection: Option<&'a Arc<Connection>>,
    pub(super) headers: &'a HeaderMap,
}

impl From<'_> {
    /// Returns true where the browser came over TLS.
    pub(super) fn is_encrypted(&self) -> bool {
        self.connection.is_some_and(|connection| connection.is_encrypted(self.headers))
    }
}

pub(super) async fn login_page(
    State(app): State<App>,
    Query(query): Query<Next>,
) -> Result<Response, PageError> {
    let next = return_place(query.next.as_deref());
    render_html(&LoginPage::of(&app, next, "", None))
}

pub(super) async fn login(
    State(app): State<App>,
    Extension(address): Extension<ClientAddress>,
    connection: Option<Extension<Arc<Connection>>>,
    headers: HeaderMap,
    Form(sent): Form<Credentials>,
) -> Result<Response, PageError> {
    let connection = connection.as_ref().map(|Extension(connection)| connection);
    let from = From { address, connection, headers: &headers };
    let next = return_place(sent.next.as_deref());
    let given = |secret: &Secret| !secret.expose().trim().is_empty();
    if let Some(token) = sent.token.as_ref().filter(|token| given(token)) {
        return login_with_token(&app, &from, token, &sent.name, next);
    }
    let password = sent.password.unwrap_or_else(|| Secret::new(""));
    let mark = mark_of(&app, &headers, sent.name.trim());
    match sign_in(&app, (&sent.name, password), address.0, mark).await {
        Ok((id, name)) => {
            let event = page_event(&app, (&name, "password"), address, "POST /login");
            enter(&app, &from, (&id, &name), event, next).await
        }
        Err(error) => {
            let page = LoginPage::of(&app, next, &sent.name, Some(error.to_string()));
            refused(render_html(&page)?, error)
        }
    }
}

fn login_with_token(
    app: &App,
    from: &From<'_>,
    token: &Secret,
    name: &str,
    next: &str,
) -> Result<Response, PageError> {
    if app.admin.matches(token.expose().trim()) {
        tracing::info!(name = russet_text::one_line(name), "somebody logged in to the pages");
        let cookie = begin_cookie(app, name, from.is_encrypted())
            .map_err(|error| PageError::Internal(Box::new(error)))?;
        return Ok(([(SET_COOKIE, cookie)], Redirect::to(next)).into_response());
    }
    tracing::warn!(address = %from.address.0, "somebody tried to log in with a wrong token");
    let problem = Some("This is not the admin token.".to_owned());
    let mut response = render_html(&LoginPage::of(app, next, name, problem))?;
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    Ok(response)
}

/// Begins a session of an account, and leads on.
pub(super) async fn enter(
    app: &App,
    from: &From<'_>,
    (id, name): (&UserId, &str),
    event: AuditItem,
    next: &str,
) -> Result<Response, PageError> {
    let begun = begin_session(app, (id, name), from.address.0, from.is_encrypted());
    let (begun, _written) = audit::with_event(event, begun).await;
    let cookies = begun.map_err(|error| PageError::Internal(Box::new(error)))?;
    let cookies = cookies.map(|cookie| (SET_COOKIE, cookie));
    Ok((AppendHeaders(cookies), Redirect::to(next)).into_response())
}

/// Gives a page that says why somebody is not signed in its status.
pub(super) fn refused(mut page: Response, error: SignInError) -> Result<Response, PageError> {
    *page.status_mut() = match error {
        SignInError::Wrong => StatusCode::UNAUTHORIZED,
        SignInError::Refused(_) | SignInError::Link | SignInError::NoPassword => {
            StatusCode::BAD_REQUEST
        }
        SignInError::TooMany(wait_s) => {
            page.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait_s));
            StatusCode::TOO_MANY_REQUESTS
        }
        error @ (SignInError::Store(_) | SignInError::Password(_)) => {
            return Err(PageError::Internal(Box::new(error)));
        }
    };
    Ok(page)
}

pub(super) async fn logout(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, PageError> {
    let session = match &caller {
        Caller::Browser(session) => Some(&**session),
        _ => None,
    };
    let cookie = end_cookie(&app, session).await?;
    Ok(([(SET_COOKIE, cookie)], Redirect::to("/login")).into_response())
}
