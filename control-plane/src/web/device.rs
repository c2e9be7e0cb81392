//! The page on which somebody allows a command line a token, by the code that it shows.
//!
//! Threat: somebody is sent a code and allows a stranger's command line. No address carries a code, so it
//! has to be typed; the page then shows who asks, and to compare.

use std::time::Duration;

use askama::Template;
use axum::Extension;
use axum::extract::{Form, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use russet_protocol::people::{NewPersonalToken, permission_names};
use serde::Deserialize;

use super::errors::{PageError, render_html};
use super::page_event;
use super::session::{check_account, login_for};
use super::visit::Visit;
use crate::api::Caller;
use crate::audit;
use crate::device_login::{DeviceError, decide_device_login, find_device_login};
use crate::people::{plain_user_code, shown_user_code};
use crate::state::App;

/// Seconds of a day.
const DAY_S: u64 = 24 * 3600;

/// State of the page.
#[derive(Debug)]
enum Stage {
    /// Asks for the code.
    Ask,
    /// Asks to allow or deny.
    Confirm {
        code: String,
        address: String,
        request: NewPersonalToken,
    },
    Allowed,
    Denied,
}

#[derive(Debug, Template)]
#[template(path = "device.html")]
struct DevicePage {
    visit: Visit,
    account: String,
    stage: Stage,
    problem: Option<String>,
}

impl DevicePage {
    /// Returns true for another address than that of the one who looks.
    fn is_elsewhere(&self, address: &str) -> bool {
        self.visit.address.0.to_string() != address
    }

    /// Names the scopes of a token.
    fn scope_names(&self, request: &NewPersonalToken) -> String {
        permission_names(&request.scopes)
    }

    /// Says how long a token lasts.
    fn life_words(&self, request: &NewPersonalToken) -> String {
        match request.expires_in_s {
            None => "until it is revoked".to_owned(),
            Some(seconds) if seconds < DAY_S => {
                russet_text::format_duration(Duration::from_secs(seconds))
            }
            Some(seconds) if seconds < 2 * DAY_S => "a day".to_owned(),
            Some(seconds) => format!("{} days", seconds / DAY_S),
        }
    }
}

/// Contents of the form.
#[derive(Debug, Deserialize)]
pub(super) struct Typed {
    csrf: String,
    code: String,
    /// `allow` or `deny`; nothing before the one who types the code has seen who asks.
    decision: Option<String>,
}

/// The page.
pub(super) async fn device_page(
    uri: Uri,
    Extension(caller): Extension<Caller>,
    visit: Result<Visit, PageError>,
) -> Result<Response, PageError> {
    if !matches!(caller, Caller::Browser(_)) {
        return Ok(Redirect::to(&login_for(&uri)).into_response());
    }
    let visit = visit?;
    let account = check_account(&visit)?.name.clone();
    render_html(&DevicePage { visit, account, stage: Stage::Ask, problem: None })
}

/// Looks up a code, or does what was decided about it.
pub(super) async fn decide(
    State(app): State<App>,
    visit: Visit,
    Form(typed): Form<Typed>,
) -> Result<Response, PageError> {
    visit.check_form(&typed.csrf)?;
    let person = check_account(&visit)?.clone();
    let done = match typed.decision.as_deref() {
        Some(decision @ ("allow" | "deny")) => {
            let who = (person.name.as_str(), "session");
            let event = page_event(&app, who, visit.address, "POST /login/device");
            let is_allowed = decision == "allow";
            let deciding = decide_device_login(&app, &person, &typed.code, is_allowed);
            let stage = if is_allowed { Stage::Allowed } else { Stage::Denied };
            audit::with_event(event, deciding).await.0.map(|()| stage)
        }
        _ => find_device_login(&app, &person, &typed.code).await.map(|login| {
            let code = plain_user_code(&typed.code).unwrap_or_default();
            let code = shown_user_code(&code);
            Stage::Confirm { code, address: login.address, request: login.request }
        }),
    };
    let account = person.name;
    match done {
        Ok(stage) => render_html(&DevicePage { visit, account, stage, problem: None }),
        Err(error) => refused(visit, account, error),
    }
}

/// Shows the page again, with the reason why a code was refused.
fn refused(visit: Visit, account: String, error: DeviceError) -> Result<Response, PageError> {
    if let Some(denial) = error.denial() {
        return Err(PageError::Denied(denial));
    }
    let (status, wait_s) = match &error {
        DeviceError::Slowed(wait_s) => (StatusCode::TOO_MANY_REQUESTS, Some(*wait_s)),
        DeviceError::Unknown | DeviceError::Service => (StatusCode::BAD_REQUEST, None),
        _ => return Err(PageError::Internal(Box::new(error))),
    };
    let problem = Some(error.to_string());
    let mut page = render_html(&DevicePage { visit, account, stage: Stage::Ask, problem })?;
    *page.status_mut() = status;
    if let Some(wait_s) = wait_s {
        page.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait_s));
    }
    Ok(page)
}
