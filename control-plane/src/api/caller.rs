//! Authentication of callers from the head of a request, before anything of its body is read.
//!
//! Threat: a body costs memory. Those who have no token get little of it, and what a token is
//! worth is known before a byte is taken.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use russet_protocol::ADMIN_TOKEN_HEADER;
use russet_protocol::resource_class::ResourceClass;
use russet_protocol::secret::Secret;

use super::ending::Ending;
use super::error::ApiError;
use crate::browser_session::{Session, find_session};
use crate::credentials::{TokenHash, TokenKind};
use crate::lacks::Lack;
use crate::listen::{Connection, Keeping, Key, Room, Standing};
use crate::people::{Person, Rights};
use crate::sign_in::find_person;
use crate::state::App;
use crate::store::tokens::KnownToken;
use crate::store::{Held, allocations, tokens};

/// The one who makes a call.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// Has the admin token.
    Admin,
    /// Somebody with an account, by a personal token.
    Person(Arc<Person>),
    /// A browser that somebody logged in with, by its cookie.
    Browser(Arc<Session>),
    /// A page of ours, in the name of the one who is logged in: its form was checked.
    Page(Arc<Session>),
    /// A launch agent, with the token of a class.
    Class {
        /// Of the token.
        hash: TokenHash,
        /// The class that it is of.
        class: ResourceClass,
    },
    /// Has the token of a class, which expired.
    Expired {
        /// End of its validity, in milliseconds since 1970.
        at_ms: i64,
    },
    /// The holder of a task token.
    Task {
        /// Of the token.
        hash: TokenHash,
        /// The task as it was when the call came in.
        held: Box<Held>,
    },
    /// Anybody, maybe with a token in the body.
    Nobody,
}

impl Caller {
    /// Returns the rights of somebody who uses the API of people; `None` for agents and for nobody.
    pub(crate) fn rights(&self) -> Option<&Rights> {
        match self {
            Self::Admin => Some(&Rights::Owner),
            Self::Person(person) => Some(&person.rights),
            Self::Browser(session) | Self::Page(session) => Some(session.rights()),
            Self::Class { .. } | Self::Task { .. } | Self::Expired { .. } | Self::Nobody => None,
        }
    }

    /// Returns the account of the caller, if it has one.
    pub(crate) fn person(&self) -> Option<&Person> {
        match self {
            Self::Person(person) => Some(person),
            Self::Browser(session) | Self::Page(session) => session.person(),
            _ => None,
        }
    }

    /// Returns the session of somebody with an account.
    pub(in crate::api) fn session_id(&self) -> Option<TokenHash> {
        match self {
            Self::Browser(session) | Self::Page(session) => session.stored_id(),
            _ => None,
        }
    }

    /// Returns the name and the credential for the audit log.
    pub(super) fn for_audit(&self) -> (String, String) {
        match self {
            Self::Person(person) => {
                let id = person.token.as_ref().map_or("", |token| token.id.as_str());
                (person.name.clone(), format!("personal token {id}"))
            }
            Self::Browser(session) | Self::Page(session) => match session.person() {
                Some(person) => (person.name.clone(), "session".to_owned()),
                // The name is not proved.
                None => ("admin token".to_owned(), "session".to_owned()),
            },
            _ => ("admin token".to_owned(), "admin token".to_owned()),
        }
    }

    /// Returns the name that the caller proved to have, `None` for the holder of the admin token.
    pub(crate) fn proved_name(&self) -> Option<&str> {
        self.person().map(|person| person.name.as_str())
    }

    fn standing(&self) -> Option<Standing> {
        match self {
            Self::Admin | Self::Person(_) | Self::Browser(_) | Self::Page(_) => {
                Some(Standing::Admin)
            }
            Self::Class { .. } | Self::Task { .. } => Some(Standing::Runner),
            Self::Expired { .. } | Self::Nobody => None,
        }
    }

    fn key(&self, app: &App, address: IpAddr) -> Key {
        match self {
            Self::Admin => Key::Token(app.admin.key()),
            Self::Person(person) => match &person.token {
                Some(token) => Key::Token(token.hash.key()),
                None => Key::Address(address),
            },
            Self::Browser(session) | Self::Page(session) => Key::Token(session.key(app)),
            Self::Class { hash, .. } | Self::Task { hash, .. } => Key::Token(hash.key()),
            Self::Expired { .. } | Self::Nobody => Key::Address(address),
        }
    }

    /// Memory for the body of a request.
    pub(super) fn room(app: &App, extensions: &axum::http::Extensions) -> Room {
        app.gate.room(extensions.get::<Self>().and_then(Self::standing))
    }
}

/// Address of the client of a call: the true one, where a proxy of ours says it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

/// The token of `Authorization: Bearer`.
pub(super) fn bearer(headers: &HeaderMap) -> Option<Secret> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::new(token.trim()))
}

/// The user of `Authorization: Basic`: CircleCI's tools put the token there.
fn basic_user(headers: &HeaderMap) -> Option<Secret> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    decoded.split(':').next().map(Secret::new)
}

async fn identify(app: &App, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let header = headers.get(ADMIN_TOKEN_HEADER).and_then(|value| value.to_str().ok());
    let (bearer, basic) = (bearer(headers), basic_user(headers));
    let sent = [header, bearer.as_ref().map(Secret::expose), basic.as_ref().map(Secret::expose)];
    if sent.iter().flatten().any(|token| app.admin.matches(token)) {
        return Ok(Caller::Admin);
    }
    let is_personal = |token: &&&str| token.starts_with(TokenKind::Person.prefix());
    if let Some(token) = sent.iter().flatten().find(is_personal) {
        let person = find_person(app, &TokenHash::of(token)).await?;
        return Ok(person.map_or(Caller::Nobody, |person| Caller::Person(Arc::new(person))));
    }
    let Some(token) = bearer else {
        let session = find_session(app, headers).await?;
        return Ok(session.map_or(Caller::Nobody, |session| Caller::Browser(Arc::new(session))));
    };
    let hash = TokenHash::of(token.expose());
    // The prefix says which table to look at; what begins otherwise is none of our tokens.
    if token.expose().starts_with(TokenKind::Task.prefix()) {
        let held = allocations::by_token(&mut app.store.read().await?, &hash).await?;
        Ok(held.map_or(Caller::Nobody, |held| Caller::Task { hash, held: Box::new(held) }))
    } else if token.expose().starts_with(TokenKind::Class.prefix()) {
        let known = tokens::find(&mut app.store.read().await?, &hash).await?;
        Ok(known.map_or(Caller::Nobody, |known| class_caller(app, hash, known)))
    } else {
        Ok(Caller::Nobody)
    }
}

/// Returns the caller with a token that is known.
fn class_caller(app: &App, hash: TokenHash, known: KnownToken) -> Caller {
    let now_ms = app.clock.wall_ms();
    match known.expires_ms.filter(|_| known.has_expired(now_ms)) {
        Some(at_ms) => Caller::Expired { at_ms },
        None => {
            app.token_uses.note(&known.id, now_ms);
            Caller::Class { hash, class: known.class }
        }
    }
}

/// Finds out who calls, and counts the call until its answer was sent.
pub(super) async fn admit(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    // Boxed, it is given back before the call is answered, which may take a minute.
    let caller = Box::pin(identify(&app, request.headers())).await?;
    let connection = request.extensions().get::<Arc<Connection>>().cloned();
    let address = connection
        .as_ref()
        .map_or(Ipv4Addr::UNSPECIFIED.into(), |connection| connection.client(request.headers()));
    let true_address =
        connection.as_ref().map_or(address, |connection| connection.true_client(request.headers()));
    request.extensions_mut().insert(ClientAddress(true_address));
    let call = app.gate.call(caller.key(&app, address)).map_err(|_| ApiError::TooMany)?;
    if let (Some(standing), Some(connection)) = (caller.standing(), &connection) {
        connection.prove(standing).map_err(|_| ApiError::Busy(Lack::Connections))?;
    }
    if let Some(token) = caller.person().and_then(|person| person.token.as_ref()) {
        app.personal_uses.note(token.id.as_str(), app.clock.wall_ms());
    }
    if let Some(id) = caller.session_id() {
        app.session_uses.note(id.hash().to_hex().as_str(), app.clock.wall_ms());
    }
    // The right of an admin token and of an agent does not end during a call.
    let ending =
        caller.person().map(|person| Ending::of(&app, person.clone(), caller.session_id()));
    request.extensions_mut().insert(caller);
    let answer = match ending {
        Some(ending) => Box::pin(ending.bound(next.run(request))).await?,
        None => next.run(request).await,
    };
    Ok(answer.map(|body| Keeping::body(body, call)))
}
