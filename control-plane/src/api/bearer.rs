//! Authentication of callers: tokens in headers.

use axum::extract::{FromRequestParts, Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use russet_protocol::ids::AllocationId;
use russet_protocol::outcome::Phase;
use russet_protocol::secret::Secret;
use russet_protocol::{ADMIN_TOKEN_HEADER, ALLOCATION_HEADER};

use super::error::ApiError;
use crate::credentials::TokenHash;
use crate::state::App;
use crate::store::{Conn, Held, WriteTx, allocations};

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

/// Lets only the administrator through, and a browser that the administrator logged in with as
/// far as it reads; others see nothing there.
pub(super) async fn admin_only(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if crate::web::reads(&app, &request) {
        return Ok(next.run(request).await);
    }
    let headers = request.headers();
    let header = headers.get(ADMIN_TOKEN_HEADER).and_then(|value| value.to_str().ok());
    let token = header.map(Secret::new).or_else(|| bearer(headers)).or_else(|| basic_user(headers));
    if token.is_some_and(|token| app.admin.matches(token.expose())) {
        Ok(next.run(request).await)
    } else {
        // As for a path that there is not.
        Err(ApiError::NotFound(format!("there is nothing at {}", request.uri().path())))
    }
}

/// The holder of a task token.
#[derive(Clone, Debug)]
pub(super) struct TaskCaller {
    hash: TokenHash,
    /// The task as it was when the call came in.
    pub(super) held: Held,
    /// The allocation that the caller says it writes for.
    claimed: Option<AllocationId>,
}

impl FromRequestParts<App> for TaskCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let unknown = || ApiError::NotFound("no task has this token".to_owned());
        let hash = TokenHash::of(bearer(&parts.headers).ok_or_else(unknown)?.expose());
        let mut conn = app.store.read().await?;
        let held = allocations::by_token(&mut conn, &hash).await?.ok_or_else(unknown)?;
        let claimed = parts
            .headers
            .get(ALLOCATION_HEADER)
            .and_then(|value| value.to_str().ok())
            .map(AllocationId::from);
        Ok(Self { hash, held, claimed })
    }
}

impl TaskCaller {
    /// Returns true if the caller still holds the task, as of when the call came in. Saves work on
    /// what is refused in the end; [`TaskCaller::lock`] decides.
    pub(super) fn check(&self, in_body: Option<&AllocationId>) -> Result<(), ApiError> {
        check(&self.held, &[self.claimed.as_ref(), in_body])
    }

    /// Returns true if the caller still holds the task, and the task as it is, within a
    /// transaction.
    ///
    /// The allocation is the fencing token: once a task is claimed anew or has ended, nothing of
    /// an earlier claim is written any more.
    pub(super) async fn lock(
        &self,
        tx: &mut WriteTx,
        in_body: Option<&AllocationId>,
    ) -> Result<Held, ApiError> {
        self.look(tx, in_body).await
    }

    /// The same, where nothing is to be written.
    pub(super) async fn look(
        &self,
        conn: &mut Conn,
        in_body: Option<&AllocationId>,
    ) -> Result<Held, ApiError> {
        let held = self.reload(conn).await?;
        check(&held, &[self.claimed.as_ref(), in_body])?;
        Ok(held)
    }

    /// The task as it is, whether or not the caller still holds it.
    pub(super) async fn reload(&self, conn: &mut Conn) -> Result<Held, ApiError> {
        allocations::by_token(conn, &self.hash)
            .await?
            .ok_or_else(|| ApiError::NotFound("no task has this token".to_owned()))
    }
}

/// Returns true if the allocation of a token is the one that counts, and of a task that is held.
fn check(held: &Held, said: &[Option<&AllocationId>]) -> Result<(), ApiError> {
    if held.current.as_ref() != Some(&held.allocation) {
        return Err(ApiError::Conflict(
            "the task was taken from this allocation; stop and clean up".to_owned(),
        ));
    }
    if said.iter().flatten().any(|said| **said != held.allocation) {
        return Err(ApiError::Conflict("the token is of another allocation".to_owned()));
    }
    if held.phase != Phase::Running {
        let outcome = held.outcome.map_or("", |outcome| outcome.as_str());
        return Err(ApiError::Conflict(format!("the task has ended already: {outcome}")));
    }
    Ok(())
}
