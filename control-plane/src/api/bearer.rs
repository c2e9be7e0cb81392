//! Callers whose tokens allow a call.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use russet_protocol::ALLOCATION_HEADER;
use russet_protocol::ids::AllocationId;
use russet_protocol::outcome::Phase;
use russet_protocol::resource_class::ResourceClass;

use super::caller::Caller;
use super::error::ApiError;
use crate::credentials::TokenHash;
use crate::state::App;
use crate::store::{Conn, Held, WriteTx, allocations, locks};

/// The holder of the token of a class.
#[derive(Clone, Debug)]
pub(super) struct ClassCaller {
    pub(super) hash: TokenHash,
    pub(super) class: ResourceClass,
}

impl FromRequestParts<App> for ClassCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, ApiError> {
        match parts.extensions.get::<Caller>() {
            Some(Caller::Class { hash, class }) => Ok(Self { hash: *hash, class: class.clone() }),
            Some(Caller::Expired { at_ms }) => Err(ApiError::TokenExpired(*at_ms)),
            _ => Err(ApiError::Token),
        }
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

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, ApiError> {
        let Some(Caller::Task { hash, held }) = parts.extensions.get::<Caller>().cloned() else {
            return Err(ApiError::NotFound("no task has this token".to_owned()));
        };
        let held = *held;
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
        locks::task(tx, &self.held.task).await?;
        self.look(tx, in_body).await
    }

    /// Locks the task and its pipeline within a transaction that may end the task.
    pub(super) async fn lock_pipeline(&self, tx: &mut WriteTx) -> Result<(), ApiError> {
        locks::pipeline(tx, &self.held.pipeline).await?;
        Ok(locks::task(tx, &self.held.task).await?)
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
