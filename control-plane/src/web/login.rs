//! Logging in with the admin token, and out.

use askama::Template;
use axum::extract::{Form, Query, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use russet_protocol::secret::Secret;
use serde::Deserialize;

use super::pages::{PageError, render_html};
use super::session::return_place;
use crate::browser_session::{begin_cookie, end_cookie};
use crate::state::App;

#[derive(Debug, Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    next: &'a str,
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
    next: Option<String>,
}

pub(super) async fn login_page(Query(query): Query<Next>) -> Result<Response, PageError> {
    render_html(&LoginPage { next: return_place(query.next.as_deref()), wrong: false })
}

pub(super) async fn login(
    State(app): State<App>,
    Form(sent): Form<Credentials>,
) -> Result<Response, PageError> {
    let next = return_place(sent.next.as_deref());
    if app.admin.matches(sent.token.expose().trim()) {
        tracing::info!("somebody logged in to the pages");
        let cookie = begin_cookie(&app).map_err(|error| PageError::Internal(Box::new(error)))?;
        return Ok(([(SET_COOKIE, cookie)], Redirect::to(next)).into_response());
    }
    tracing::warn!("somebody tried to log in to the pages with a wrong token");
    let mut response = render_html(&LoginPage { next, wrong: true })?;
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    Ok(response)
}

pub(super) async fn logout(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let cookie = end_cookie(&app, &headers).await?;
    Ok(([(SET_COOKIE, cookie)], Redirect::to("/login")).into_response())
}
