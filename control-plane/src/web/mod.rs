//! Pages for people with a browser: pipelines, jobs with live output, runners.
//!
//! What a button does is a call of the API, made in the name of the one who is logged in (`act.rs`).
//! Everything that a job or a runner wrote is text of a template, which escapes it; nothing is inline,
//! so the policy of the pages lets no script run but ours. All of it works without scripts, which
//! only keep a page as it would be if it were loaded again.
//!
//! Threat: a page of somebody else's makes a browser send a form here. Three walls are before it:
//! the cookie is not sent along (`SameSite=Strict`), what a browser says comes from another site is
//! refused (`session.rs`), and a form without the text of its session is refused (`act.rs`).

mod account;
mod act;
mod actions;
mod audit;
mod buttons;
mod changes;
mod device;
mod errors;
mod escape;
mod link;
mod login;
mod machines;
mod oidc;
mod overview;
mod pages;
mod pipeline_list;
mod requests;
mod session;
mod tasks;
mod view;
mod visit;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use russet_protocol::people::{AuditItem, DEVICE_LOGIN_PAGE};

use crate::api::ClientAddress;
use crate::audit::new_event;
use crate::state::App;

/// Policy of the pages' rights. Nothing of a page can be framed, sent elsewhere or fetched from
/// elsewhere.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; \
                      base-uri 'none'";

/// Bytes of a form.
const MAX_FORM_BYTES: usize = 8 * 1024;

/// The pages.
pub(crate) fn router(app: &App) -> Router<App> {
    Router::new()
        .route("/", get(overview::overview_page))
        .route("/pipelines", get(pipeline_list::pipelines_page))
        .route("/pipelines/{id}", get(pages::pipeline_page))
        .route("/pipelines/{id}/changes", get(changes::of_pipeline))
        .route("/jobs/{id}", get(pages::job_page))
        .route("/jobs/{id}/changes", get(changes::of_job))
        .route("/runners", get(machines::runners_page))
        .route("/runners/{name}", get(machines::machine_page))
        .route("/audit", get(audit::audit_page))
        .route("/ask/{action}", get(act::ask_page))
        .route("/do/{action}", post(act::act))
        .route_layer(from_fn(session::known_only))
        .route("/account", get(account::account_page))
        .route("/account/tokens", post(account::create_token))
        .route("/account/tokens/revoke", post(account::revoke_token))
        .route("/account/ssh-keys", post(account::add_key))
        .route("/account/ssh-keys/remove", post(account::remove_key))
        .route("/account/sessions/end", post(account::end_session))
        .route("/account/password", post(account::change_password))
        .route("/login/oidc", get(oidc::start))
        .route("/login/oidc/callback", get(oidc::callback))
        .route(DEVICE_LOGIN_PAGE, get(device::device_page).post(device::decide))
        .route("/login", get(login::login_page).post(login::login))
        .route("/link", get(link::link_page).post(link::use_link))
        .route("/logout", post(login::logout))
        .route(
            "/assets/style.css",
            get(async || serve_asset("text/css", include_str!("assets/style.css"))),
        )
        .route(
            "/assets/live.js",
            get(async || serve_asset("text/javascript", include_str!("assets/live.js"))),
        )
        .route(
            "/assets/icon.svg",
            get(async || serve_asset("image/svg+xml", include_str!("assets/icon.svg"))),
        )
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .layer(from_fn_with_state(app.clone(), session::refuse_foreign))
        .layer(from_fn(with_policy))
}

/// The event of somebody who signs in, or of what a page does itself. Its path is that of the operation.
fn page_event(app: &App, who: (&str, &str), address: ClientAddress, operation: &str) -> AuditItem {
    let target = operation.split(' ').nth(1).unwrap_or_default();
    new_event(app, who, Some(address.0), operation, target)
}

fn serve_asset(kind: &'static str, text: &'static str) -> Response {
    // Looked for again each time: a few kilobytes, and never those of an older version.
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], text).into_response()
}

async fn with_policy(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers: [(HeaderName, &'static str); 4] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        // Ids in addresses are nobody else's business.
        (REFERRER_POLICY, "same-origin"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    // What a page shows is not for a cache that outlives the session.
    response.headers_mut().entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
