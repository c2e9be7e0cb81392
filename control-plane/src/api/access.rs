//! The door of the operations of people: who may make a call is decided here, before its handler.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use russet_protocol::ids::AllocationId;
use russet_protocol::people::AuditItem;

use super::caller::{Caller, ClientAddress};
use super::error::ApiError;
use super::operation::Operation;
use crate::audit;
use crate::people::decide;
use crate::state::App;

/// Lets a call through to its handler if its caller may make it.
///
/// Threat: a cookie comes along with what any page makes a browser send. With a cookie alone nothing
/// is changed here; pages make their calls as [`Caller::Page`], after they have checked the form.
pub(super) async fn guard(
    State((app, operation)): State<(App, Operation)>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let nothing = || ApiError::NotFound(format!("there is nothing at {}", request.uri().path()));
    let caller = request.extensions().get::<Caller>();
    let by_cookie = matches!(caller, Some(Caller::Browser(_)));
    let Some(rights) = caller.and_then(Caller::rights) else { return Err(nothing()) };
    if by_cookie && !operation.only_reads {
        return Err(nothing());
    }
    match decide(rights, operation.needs) {
        Ok(()) if operation.only_reads => Ok(next.run(request).await),
        Ok(()) => {
            let event = event_of(&app, &operation, &request);
            let (answer, pending) = audit::with_event(event, next.run(request)).await;
            if answer.status().is_success()
                && let Some(event) = pending.take()
            {
                audit::write_event(&app, &event).await;
            }
            Ok(answer)
        }
        Err(denial) => {
            tracing::info!(
                caller = caller.and_then(Caller::proved_name),
                method = operation.verb.as_str(),
                path = operation.path,
                ?denial,
                "denied a call"
            );
            Err(if operation.is_public_api() { nothing() } else { ApiError::Denied(denial) })
        }
    }
}

/// The event of a call, as far as its head says it. The query is left out: what is in it may be
/// anything.
fn event_of(app: &App, operation: &Operation, request: &Request) -> AuditItem {
    let extensions = request.extensions();
    let address = extensions.get::<ClientAddress>();
    let (who, means) = extensions.get::<Caller>().map(Caller::for_audit).unwrap_or_default();
    AuditItem {
        id: AllocationId::generate().to_string(),
        at_ms: app.now_ms(),
        who,
        means,
        address: address.map(|address| address.0.to_string()).unwrap_or_default(),
        operation: format!("{} {}", operation.verb.as_str(), operation.path),
        target: request.uri().path().to_owned(),
        before: None,
        after: None,
    }
}
