//! Forms: a button that is pressed makes a call of the API, and leads to the page that it was on.
//!
//! A form is done once: one that is sent again, as by a double click, is answered and not done. That
//! lasts longer than the one who sends it waits, and is not cut off with the connection.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{Form, Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};

use russet_text::one_line_within;

use super::actions::{Action, Question, TWICE};
use super::errors::{ErrorPage, PageError, render_html};
use super::requests::{Fields, call_for, next_page};
use super::session::return_place;
use super::visit::Visit;
use crate::api::{Call, Calls, Refusal};
use crate::contention;
use crate::state::App;
use crate::store::{StoreError, sessions};

/// The most characters of an id in the log.
const MAX_LOGGED_CHARS: usize = 100;

#[derive(Debug, Template)]
#[template(path = "ask.html")]
struct AskPage {
    visit: Visit,
    action: Action,
    question: Question,
    /// Fields that the button gave.
    given: Vec<(String, String)>,
    back: String,
}

/// The page that asks before something is done.
pub(super) async fn ask_page(
    visit: Visit,
    Path(name): Path<String>,
    Query(mut fields): Query<Fields>,
) -> Result<Response, PageError> {
    let action = Action::from_name(&name).ok_or(PageError::NotFound)?;
    let question = action.question().ok_or(PageError::NotFound)?;
    let back = return_place(fields.remove("back").as_deref()).to_owned();
    fields.retain(|name, _| !question.fields.iter().any(|asked| asked.name == name));
    let given = fields.into_iter().collect();
    render_html(&AskPage { visit, action, question, given, back })
}

/// Does what a form asks for.
pub(super) async fn act(
    State(app): State<App>,
    visit: Visit,
    Extension(calls): Extension<Calls>,
    Path(name): Path<String>,
    Form(mut fields): Form<Fields>,
) -> Result<Response, PageError> {
    let action = Action::from_name(&name).ok_or(PageError::NotFound)?;
    let csrf = fields.remove("csrf").unwrap_or_default();
    visit.check_form(&csrf)?;
    if fields.get("once").is_none_or(String::is_empty) {
        return Err(PageError::Foreign);
    }
    let next = next_page(action, &fields);
    let back = return_place(fields.get("back").map(String::as_str)).to_owned();
    let call = match call_for(action, &fields, visit.session.name()) {
        Ok(call) => call,
        Err(words) => return Ok(ErrorPage::unreadable(words, back).into_response()),
    };
    let doing =
        tokio::spawn(async move { do_once(&app, &visit, &calls, (action, call), fields).await });
    let done = doing.await.map_err(|error| PageError::Internal(Box::new(error)))??;
    Ok(match done {
        Done::Now => Redirect::to(&format!("{next}?done={}", action.name())).into_response(),
        Done::Before => Redirect::to(&format!("{next}?done={TWICE}")).into_response(),
        Done::Refused(refusal) => ErrorPage::refused(refusal, back).into_response(),
    })
}

enum Done {
    Now,
    Before,
    Refused(Refusal),
}

async fn do_once(
    app: &App,
    visit: &Visit,
    calls: &Calls,
    (action, call): (Action, Call),
    fields: Fields,
) -> Result<Done, StoreError> {
    let mut parts = vec![action.name()];
    parts.extend(fields.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]));
    let id = visit.session.hash_use(&parts);
    if !contention::retry(|| note_use(app, visit, &id)).await? {
        return Ok(Done::Before);
    }
    let by = visit.session.name();
    match calls.make(call, Arc::clone(&visit.session), visit.address).await {
        Ok(()) => {
            let id = fields.get("id").map(|id| one_line_within(id, MAX_LOGGED_CHARS));
            tracing::info!(action = action.name(), id, by, "done by a button");
            Ok(Done::Now)
        }
        Err(refusal) => {
            contention::retry(|| forget_use(app, &id)).await?;
            Ok(Done::Refused(refusal))
        }
    }
}

async fn note_use(app: &App, visit: &Visit, id: &blake3::Hash) -> Result<bool, StoreError> {
    let mut tx = app.store.write().await?;
    let until_s = visit.session.until_s();
    let is_new = sessions::use_form(&mut tx, id.as_bytes(), until_s, app.now_s()).await?;
    tx.commit().await?;
    Ok(is_new)
}

async fn forget_use(app: &App, id: &blake3::Hash) -> Result<(), StoreError> {
    let mut tx = app.store.write().await?;
    sessions::forget_form(&mut tx, id.as_bytes()).await?;
    tx.commit().await
}
