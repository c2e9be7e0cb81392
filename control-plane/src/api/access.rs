//! The door of the operations of people: who may make a call is decided here, before its handler.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use russet_protocol::ids::AllocationId;
use russet_protocol::people::AuditItem;

use super::caller::{Caller, ClientAddress};
use super::error::ApiError;
use super::routes::Operation;
use crate::audit;
use crate::people::{Denial, decide};
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
        at_ms: u64::try_from(app.clock.wall_ms()).unwrap_or_default(),
        who,
        means,
        address: address.map(|address| address.0.to_string()).unwrap_or_default(),
        operation: format!("{} {}", operation.verb.as_str(), operation.path),
        target: request.uri().path().to_owned(),
        before: None,
        after: None,
    }
}

/// Words for a denial, and what to do.
pub(crate) fn denial_words(denial: Denial) -> (String, Option<&'static str>) {
    match denial {
        Denial::Role(permission) => (
            format!("this needs the permission `{}`, which your role has not", permission.as_str()),
            Some("an administrator can give another role: `russet user set-role`"),
        ),
        Denial::Scope(permission) => (
            format!("this needs the permission `{}`, which the token has not", permission.as_str()),
            Some("make a token with that scope: `russet personal-token create --scope`"),
        ),
        Denial::OwnerOnly => (
            "this needs the admin token of the server's machine".to_owned(),
            Some("it is in the file `admin.token` of the server's data directory"),
        ),
        Denial::NoAccount => (
            "this is about the caller's own account, and the admin token is nobody's".to_owned(),
            Some("name an account: `russet personal-token create --user`"),
        ),
        Denial::Credential => ("this needs another kind of token".to_owned(), None),
    }
}
