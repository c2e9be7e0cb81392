//! Logging in with the admin token, and out.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Form, Query, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use russet_protocol::secret::Secret;
use serde::Deserialize;

use super::errors::{PageError, render_html};
use super::session::return_place;
use crate::api::Caller;
use crate::browser_session::{begin_cookie, end_cookie};
use crate::listen::Connection;
use crate::state::App;

#[derive(Debug, Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    next: &'a str,
    name: &'a str,
    wrong: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Next {
    next: Option<String>,
}

/// Contents of the form. The token is in the body, never in an address, which logs keep.
#[derive(Debug, Deserialize)]
pub(super) struct Credentials {
    token: Secret,
    /// Name of the one who logs in, which what is done then is noted with.
    #[serde(default)]
    name: String,
    next: Option<String>,
}

pub(super) async fn login_page(Query(query): Query<Next>) -> Result<Response, PageError> {
    let next = return_place(query.next.as_deref());
    render_html(&LoginPage { next, name: "", wrong: false })
}

pub(super) async fn login(
    State(app): State<App>,
    connection: Option<Extension<Arc<Connection>>>,
    headers: HeaderMap,
    Form(sent): Form<Credentials>,
) -> Result<Response, PageError> {
    let next = return_place(sent.next.as_deref());
    if app.admin.matches(sent.token.expose().trim()) {
        tracing::info!(name = russet_text::one_line(&sent.name), "somebody logged in to the pages");
        let is_encrypted = connection.is_some_and(|connection| connection.is_encrypted(&headers));
        let cookie = begin_cookie(&app, &sent.name, is_encrypted)
            .map_err(|error| PageError::Internal(Box::new(error)))?;
        return Ok(([(SET_COOKIE, cookie)], Redirect::to(next)).into_response());
    }
    tracing::warn!("somebody tried to log in to the pages with a wrong token");
    let mut response = render_html(&LoginPage { next, name: &sent.name, wrong: true })?;
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    Ok(response)
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
