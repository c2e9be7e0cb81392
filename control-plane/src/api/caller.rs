//! Authentication of callers from the head of a request, before anything of its body is read.
//!
//! Threat: a body costs memory. Those who have no token get little of it, and what a token is
//! worth is known before a byte is taken.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use russet_protocol::ADMIN_TOKEN_HEADER;
use russet_protocol::resource_class::ResourceClass;
use russet_protocol::secret::Secret;

use super::error::ApiError;
use crate::browser_session::{Session, find_session};
use crate::credentials::{TokenHash, TokenKind};
use crate::lacks::Lack;
use crate::listen::{Connection, Keeping, Key, Room, Standing};
use crate::state::App;
use crate::store::tokens::KnownToken;
use crate::store::{Held, allocations, tokens};

/// The one who makes a call.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// Has the admin token.
    Admin,
    /// A browser that the administrator logged in with.
    Browser(Arc<Session>),
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
    /// Returns true where the administrator's pages and calls that only read may be answered.
    pub(crate) fn may_read(&self, method: &Method) -> bool {
        match self {
            Self::Admin => true,
            Self::Browser(_) => matches!(*method, Method::GET | Method::HEAD),
            _ => false,
        }
    }

    fn standing(&self) -> Option<Standing> {
        match self {
            Self::Admin | Self::Browser(_) => Some(Standing::Admin),
            Self::Class { .. } | Self::Task { .. } => Some(Standing::Runner),
            Self::Expired { .. } | Self::Nobody => None,
        }
    }

    fn key(&self, app: &App, address: IpAddr) -> Key {
        match self {
            Self::Admin | Self::Browser(_) => Key::Token(app.admin.key()),
            Self::Class { hash, .. } | Self::Task { hash, .. } => Key::Token(hash.key()),
            Self::Expired { .. } | Self::Nobody => Key::Address(address),
        }
    }

    /// Memory for the body of a request.
    pub(super) fn room(app: &App, extensions: &axum::http::Extensions) -> Room {
        app.gate.room(extensions.get::<Self>().and_then(Self::standing))
    }
}

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
    let admin = headers.get(ADMIN_TOKEN_HEADER).and_then(|value| value.to_str().ok());
    let bearer = bearer(headers);
    let is_admin = |token: &str| app.admin.matches(token);
    if admin.is_some_and(is_admin)
        || bearer.as_ref().is_some_and(|token| is_admin(token.expose()))
        || basic_user(headers).is_some_and(|token| is_admin(token.expose()))
    {
        return Ok(Caller::Admin);
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
    let caller = identify(&app, request.headers()).await?;
    let connection = request.extensions().get::<Arc<Connection>>().cloned();
    let address = connection
        .as_ref()
        .map_or(Ipv4Addr::UNSPECIFIED.into(), |connection| connection.client(request.headers()));
    let call = app.gate.call(caller.key(&app, address)).map_err(|_| ApiError::TooMany)?;
    if let (Some(standing), Some(connection)) = (caller.standing(), &connection) {
        connection.prove(standing).map_err(|_| ApiError::Busy(Lack::Connections))?;
    }
    request.extensions_mut().insert(caller);
    let answer = next.run(request).await;
    Ok(answer.map(|body| Keeping::body(body, call)))
}
