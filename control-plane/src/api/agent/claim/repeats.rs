//! Claims that are made again since no answer arrived: the server was killed, or the network was cut,
//! between the claim and its answer. They get the same task, so that it does not wait for the end
//! of its lease.
//!
//! The agent makes the id of the claim. It gives no right to anything: only a caller with the class's
//! token, under the name of the runner that made the claim, is answered, as long as nobody has said
//! anything about the task; and its earlier token is worth nothing from then on.

use russet_protocol::ids::AllocationId;
use russet_protocol::resource_class::ResourceClass;
use russet_protocol::runner::{ClaimRequest, ClaimResponse};

use super::{answer_of, check_token};
use crate::api::error::ApiError;
use crate::contention;
use crate::credentials::{TokenHash, TokenKind, new_token};
use crate::scheduler::leases;
use crate::state::App;
use crate::store::{Conn, allocations, tasks, tokens};

/// Length of an id that an agent makes, in bytes: that of a UUID as text.
const ID_LENGTH: usize = 36;

/// Returns the task that an earlier call of this claim brought, where there is one.
pub(super) async fn find_lost_task(
    app: &App,
    conn: &mut Conn,
    hash: &TokenHash,
    class: &ResourceClass,
    runner: &ClaimRequest,
) -> Result<Option<ClaimResponse>, ApiError> {
    let Some(id) = &runner.allocation else { return Ok(None) };
    check_id(id)?;
    // Nearly always there is none, and a look takes no writer.
    if !allocations::exists(conn, id).await? {
        return Ok(None);
    }
    contention::retry(|| hand_out_again(app, hash, class, &runner.name, id)).await
}

async fn hand_out_again(
    app: &App,
    hash: &TokenHash,
    class: &ResourceClass,
    runner: &str,
    id: &AllocationId,
) -> Result<Option<ClaimResponse>, ApiError> {
    let mut tx = app.store.write().await?;
    check_token(app, tokens::find(&mut tx, hash).await?.as_ref(), class)?;
    let Some(task) = allocations::unheard_task(&mut tx, id, class, runner).await? else {
        tx.rollback().await?;
        return Ok(None);
    };
    let token = new_token(TokenKind::Task)?;
    allocations::set_token(&mut tx, id, &TokenHash::of(token.expose())).await?;
    let expires = leases::lease_end(tx.lease_ms(&*app.clock), app.lease_ms, false);
    tasks::set_expires(&mut tx, &task.task, expires).await?;
    tx.commit().await?;
    tracing::info!(task.id = %task.task, allocation = %id, runner, "claimed again: no answer arrived");
    Ok(Some(answer_of(app, class, task, id.clone(), token)))
}

fn check_id(id: &AllocationId) -> Result<(), ApiError> {
    let is_id_char = |byte: u8| byte == b'-' || matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if id.as_str().len() == ID_LENGTH && id.as_str().bytes().all(is_id_char) {
        return Ok(());
    }
    Err(ApiError::Bad("allocation: it is not a UUID in lower case".to_owned()))
}
