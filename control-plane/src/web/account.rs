//! The page of one's own account: personal tokens, public SSH keys, sessions, the password. For everybody
//! who is signed in, whatever the role.
//!
//! Each button makes the call of the API that a command makes, so the page may do nothing that a call may
//! not.

use askama::Template;
use axum::Extension;
use axum::extract::{Form, Query, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use russet_protocol::people::{Permission, PersonalTokenItem, Role, SessionItem, permission_names};
use russet_protocol::secret::Secret;
use russet_protocol::ssh::PersonalKeyItem;
use russet_text::{encode_segment, parse_duration};
use serde::Deserialize;
use serde_json::{Value, json};

use super::errors::{PageError, render_html};
use super::session::{check_account, login_for};
use super::view;
use super::visit::Visit;
use crate::api::{Call, Caller, Calls, Refusal};
use crate::state::App;
use crate::store::{user_sessions, user_ssh_keys, user_tokens, users};

/// Path of the page.
const PAGE: &str = "/account";

#[derive(Debug, Template)]
#[template(path = "account.html")]
struct AccountPage {
    visit: Visit,
    name: String,
    role: Option<Role>,
    has_password: bool,
    tokens: Vec<PersonalTokenItem>,
    sessions: Vec<SessionItem>,
    ssh_keys: Vec<PersonalKeyItem>,
    /// The token that was just made, shown this once.
    made: Option<PersonalTokenItem>,
    done: Option<&'static str>,
    problem: Option<String>,
    now_ms: u64,
}

impl AccountPage {
    fn scope_names(&self, token: &PersonalTokenItem) -> String {
        permission_names(&token.scopes)
    }

    /// Describes the token that a token was made with.
    fn parent(&self, token: &PersonalTokenItem) -> Option<String> {
        let parent = token.parent.as_ref()?;
        let known = self.tokens.iter().find(|other| other.id == *parent);
        let described = known.filter(|other| !other.description.is_empty());
        Some(described.map_or_else(|| parent.to_string(), |other| other.description.clone()))
    }

    fn age(&self, at_ms: u64) -> String {
        view::age_text(at_ms, self.now_ms)
    }

    fn used(&self, used_ms: Option<u64>) -> String {
        used_ms.map_or_else(|| "never".to_owned(), |at_ms| self.age(at_ms))
    }

    fn end_of(&self, token: &PersonalTokenItem) -> String {
        match token.expires_ms {
            None => "never".to_owned(),
            Some(end_ms) if end_ms <= self.now_ms => "expired".to_owned(),
            Some(end_ms) => view::date_text(end_ms),
        }
    }

    fn secret(&self) -> &str {
        self.made.as_ref().and_then(|made| made.token.as_ref()).map_or("", Secret::expose)
    }
}

/// Deed that the page confirms, by its name in the address.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Done {
    done: Option<String>,
}

impl Done {
    fn words(&self) -> Option<&'static str> {
        match self.done.as_deref()? {
            "revoked" => Some("The token is revoked, and those that were made with it."),
            "key-added" => Some("The key is kept."),
            "key-removed" => Some("The key is removed. Tasks that are open to it stay so."),
            "ended" => Some("The session has ended."),
            "ended-others" => Some("All other sessions have ended."),
            "password" => Some("The password is changed. All other sessions have ended."),
            _ => None,
        }
    }
}

/// The page.
pub(super) async fn account_page(
    State(app): State<App>,
    uri: Uri,
    Extension(caller): Extension<Caller>,
    visit: Result<Visit, PageError>,
    Query(done): Query<Done>,
) -> Result<Response, PageError> {
    if !matches!(caller, Caller::Browser(_)) {
        return Ok(Redirect::to(&login_for(&uri)).into_response());
    }
    show(&app, visit?, Shown { done: done.words(), ..Shown::default() }).await
}

/// Contents of the page besides the account.
#[derive(Debug, Default)]
struct Shown {
    made: Option<PersonalTokenItem>,
    done: Option<&'static str>,
    problem: Option<Refusal>,
}

async fn show(app: &App, visit: Visit, shown: Shown) -> Result<Response, PageError> {
    let person = check_account(&visit)?;
    let mut conn = app.store.read().await?;
    let user = users::get(&mut conn, &person.id).await?.ok_or(PageError::LoggedOut)?.item;
    let tokens = user_tokens::list(&mut conn, &person.id).await?;
    let current = visit.session.stored_id();
    let sessions =
        user_sessions::list(&mut conn, &person.id, current.as_ref(), app.now_s()).await?;
    let ssh_keys = user_ssh_keys::list(&mut conn, &person.id).await?;
    drop(conn);
    let sessions = sessions.into_iter().map(|(_, item)| item).collect();
    let status = shown.problem.as_ref().map(|refusal| refusal.status);
    let mut page = render_html(&AccountPage {
        name: user.name,
        role: user.role,
        has_password: user.has_password,
        tokens,
        sessions,
        ssh_keys,
        made: shown.made,
        done: shown.done,
        problem: shown.problem.map(|refusal| refusal.words()),
        now_ms: app.now_ms(),
        visit,
    })?;
    if let Some(status) = status.and_then(|status| StatusCode::from_u16(status).ok()) {
        *page.status_mut() = status;
    }
    Ok(page)
}

/// Makes a call in the name of the one who pressed a button. Shows the page again where it is refused.
async fn press(
    app: &App,
    calls: &Calls,
    visit: Visit,
    csrf: &str,
    (call, done): (Call, &str),
) -> Result<Response, PageError> {
    visit.check_form(csrf)?;
    check_account(&visit)?;
    match calls.make(call, visit.session.clone(), visit.address).await {
        Ok(()) => Ok(Redirect::to(&format!("{PAGE}?done={done}")).into_response()),
        Err(refusal) => {
            show(app, visit, Shown { problem: Some(refusal), ..Shown::default() }).await
        }
    }
}

/// Contents of the form for a token.
#[derive(Debug, Deserialize)]
pub(super) struct NewToken {
    csrf: String,
    #[serde(default)]
    description: String,
    /// Time until its end, such as 90d; empty for none.
    #[serde(default)]
    expires: String,
    read: Option<String>,
    submit: Option<String>,
    operate: Option<String>,
    admin: Option<String>,
}

impl NewToken {
    fn scopes(&self) -> Vec<&'static str> {
        let boxes = [&self.read, &self.submit, &self.operate, &self.admin];
        let checked = Permission::ALL.into_iter().zip(boxes).filter(|(_, of)| of.is_some());
        checked.map(|(scope, _)| scope.as_str()).collect()
    }
}

/// Makes a token, and shows it once.
pub(super) async fn create_token(
    State(app): State<App>,
    visit: Visit,
    Extension(calls): Extension<Calls>,
    Form(new): Form<NewToken>,
) -> Result<Response, PageError> {
    visit.check_form(&new.csrf)?;
    check_account(&visit)?;
    let expires_in_s = match new.expires.trim() {
        "" => None,
        text => match parse_duration(text) {
            Ok(life) => Some(life.as_secs().max(1)),
            Err(error) => {
                let problem = Some(Refusal::of_form(error.to_string()));
                return show(&app, visit, Shown { problem, ..Shown::default() }).await;
            }
        },
    };
    let body = json!({
        "description": new.description, "scopes": new.scopes(), "expires_in_s": expires_in_s
    });
    let call = Call { method: Method::POST, path: "/api/v3/me/tokens".to_owned(), body };
    let shown = match calls.fetch(call, visit.session.clone(), visit.address).await {
        Ok(made) => Shown { made: Some(made), ..Shown::default() },
        Err(refusal) => Shown { problem: Some(refusal), ..Shown::default() },
    };
    show(&app, visit, shown).await
}

/// Contents of the form of a button in a list.
#[derive(Debug, Deserialize)]
pub(super) struct Chosen {
    csrf: String,
    #[serde(default)]
    id: String,
}

/// Revokes a token.
pub(super) async fn revoke_token(
    State(app): State<App>,
    visit: Visit,
    Extension(calls): Extension<Calls>,
    Form(chosen): Form<Chosen>,
) -> Result<Response, PageError> {
    let path = format!("/api/v3/me/tokens/{}", encode_segment(&chosen.id));
    let call = Call { method: Method::DELETE, path, body: Value::Null };
    press(&app, &calls, visit, &chosen.csrf, (call, "revoked")).await
}

/// Contents of the form for a public key.
#[derive(Debug, Deserialize)]
pub(super) struct NewKey {
    csrf: String,
    key: String,
    #[serde(default)]
    name: String,
}

/// Keeps a public key.
pub(super) async fn add_key(
    State(app): State<App>,
    visit: Visit,
    Extension(calls): Extension<Calls>,
    Form(new): Form<NewKey>,
) -> Result<Response, PageError> {
    let body = json!({"key": new.key.trim(), "name": new.name});
    let call = Call { method: Method::POST, path: "/api/v3/me/ssh-keys".to_owned(), body };
    press(&app, &calls, visit, &new.csrf, (call, "key-added")).await
}

/// Removes a public key.
pub(super) async fn remove_key(
    State(app): State<App>,
    visit: Visit,
    Extension(calls): Extension<Calls>,
    Form(chosen): Form<Chosen>,
) -> Result<Response, PageError> {
    let path = format!("/api/v3/me/ssh-keys/{}", encode_segment(&chosen.id));
    let call = Call { method: Method::DELETE, path, body: Value::Null };
    press(&app, &calls, visit, &chosen.csrf, (call, "key-removed")).await
}

/// Ends a session, or without an id all others.
pub(super) async fn end_session(
    State(app): State<App>,
    visit: Visit,
    Extension(calls): Extension<Calls>,
    Form(chosen): Form<Chosen>,
) -> Result<Response, PageError> {
    let (path, done) = match chosen.id.as_str() {
        "" => ("/api/v3/me/sessions?keep_current=true".to_owned(), "ended-others"),
        id => (format!("/api/v3/me/sessions/{}", encode_segment(id)), "ended"),
    };
    let call = Call { method: Method::DELETE, path, body: Value::Null };
    press(&app, &calls, visit, &chosen.csrf, (call, done)).await
}

/// Contents of the form for a password.
#[derive(Debug, Deserialize)]
pub(super) struct NewPassword {
    csrf: String,
    present: Secret,
    new: Secret,
    again: Secret,
}

/// Changes the password.
pub(super) async fn change_password(
    State(app): State<App>,
    visit: Visit,
    Extension(calls): Extension<Calls>,
    Form(sent): Form<NewPassword>,
) -> Result<Response, PageError> {
    visit.check_form(&sent.csrf)?;
    if sent.new.expose() != sent.again.expose() {
        let problem = Some(Refusal::of_form("the two new passwords differ".to_owned()));
        return show(&app, visit, Shown { problem, ..Shown::default() }).await;
    }
    let body = json!({"present": sent.present.expose(), "new": sent.new.expose()});
    let call = Call { method: Method::PUT, path: "/api/v3/me/password".to_owned(), body };
    press(&app, &calls, visit, &sent.csrf, (call, "password")).await
}
