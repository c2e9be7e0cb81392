//! The page of a link with which somebody sets a password. The code is behind `#` in the link, so the
//! server is not told it until the form is sent; without scripts it is pasted.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Form, State};
use axum::http::HeaderMap;
use axum::response::Response;
use russet_protocol::secret::Secret;
use serde::Deserialize;

use super::errors::{PageError, render_html};
use super::login::{From, enter, refused};
use super::page_event;
use crate::api::ClientAddress;
use crate::audit;
use crate::listen::Connection;
use crate::sign_in::set_password;
use crate::state::App;

#[derive(Debug, Template)]
#[template(path = "link.html")]
struct LinkPage<'a> {
    name: &'a str,
    problem: Option<String>,
}

/// Contents of the form.
#[derive(Debug, Deserialize)]
pub(super) struct Sent {
    code: Secret,
    #[serde(default)]
    name: String,
    password: Secret,
}

pub(super) async fn link_page() -> Result<Response, PageError> {
    render_html(&LinkPage { name: "", problem: None })
}

/// Sets the password, and signs in.
pub(super) async fn use_link(
    State(app): State<App>,
    Extension(address): Extension<ClientAddress>,
    connection: Option<Extension<Arc<Connection>>>,
    headers: HeaderMap,
    Form(sent): Form<Sent>,
) -> Result<Response, PageError> {
    let event = page_event(&app, ("link", "link"), address, "POST /link");
    let set = set_password(&app, &sent.code, &sent.name, sent.password);
    match audit::with_event(event, set).await.0 {
        Ok((id, name)) => {
            tracing::info!(account = name, address = %address.0, "a password was set with a link");
            let connection = connection.as_ref().map(|Extension(connection)| connection);
            let from = From { address, connection, headers: &headers };
            let event = page_event(&app, (&name, "link"), address, "POST /link");
            enter(&app, &from, (&id, &name), event, "/").await
        }
        Err(error) => {
            tracing::warn!(address = %address.0, %error, "a link did not set a password");
            let page = LinkPage { name: &sent.name, problem: Some(error.to_string()) };
            refused(render_html(&page)?, error)
        }
    }
}
