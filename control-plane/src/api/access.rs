//! The door of the operations of people: who may make a call is decided here, before its handler.

use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;

use russet_protocol::people::{AuditItem, Permission};

use super::caller::{Caller, ClientAddress};
use super::error::ApiError;
use super::operation::Operation;
use super::reach::{Access, locate};
use crate::audit;
use crate::people::{Denial, Needs, Reach, Rights, decide, decide_in};
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
    let path = request.uri().path().to_owned();
    let nothing = || ApiError::NotFound(format!("there is nothing at {path}"));
    let Some(caller) = request.extensions().get::<Caller>().cloned() else { return Err(nothing()) };
    let Some(rights) = caller.rights() else { return Err(nothing()) };
    if matches!(caller, Caller::Browser(_)) && !operation.only_reads {
        return Err(nothing());
    }
    let denied = |denial| {
        log_denial(&caller, &operation, denial);
        if operation.is_public_api() { nothing() } else { ApiError::Denied(denial) }
    };
    decide(rights, operation.needs).map_err(denied)?;
    let (mut parts, body) = request.into_parts();
    let namespace = find_namespace(&app, &mut parts, rights, &operation).await.map_err(
        |refusal| match refusal {
            Refusal::Denied(denial) => denied(denial),
            Refusal::Hidden(denial, unknown) => {
                log_denial(&caller, &operation, denial);
                unknown
            }
            Refusal::Failed(error) => error,
        },
    )?;
    let access = Access::of(rights, operation);
    parts.extensions.insert(access.clone());
    let request = Request::from_parts(parts, body);
    let answer = match operation.only_reads {
        true => next.run(request).await,
        false => {
            let event = event_of(&app, &operation, &request, namespace);
            let (answer, pending) = audit::with_event(event, next.run(request)).await;
            if answer.status().is_success()
                && let Some(event) = pending.take()
            {
                audit::write_event(&app, &event).await;
            }
            answer
        }
    };
    if answer.status().is_success() && !access.is_settled() {
        return Err(ApiError::internal(NobodyAsked(operation.path)));
    }
    Ok(answer)
}

/// A handler has answered without having asked what its caller may see.
#[derive(Debug, thiserror::Error)]
#[error("the handler of {0} did not ask for the namespaces of its caller")]
struct NobodyAsked(&'static str);

fn log_denial(caller: &Caller, operation: &Operation, denial: Denial) {
    tracing::info!(
        caller = caller.proved_name(),
        method = operation.verb.as_str(),
        path = operation.path,
        ?denial,
        "denied a call"
    );
}

/// Reason why a call is not let through to its handler.
enum Refusal {
    Denied(Denial),
    /// The caller may not even see what it is about: it is answered as what is not there.
    Hidden(Denial, ApiError),
    Failed(ApiError),
}

/// Finds the namespace that a call is about, and decides it. `None`: it is about the server, or its
/// handler decides.
async fn find_namespace(
    app: &App,
    parts: &mut Parts,
    rights: &Rights,
    operation: &Operation,
) -> Result<Option<String>, Refusal> {
    let Needs::In(permission, place) = operation.needs else { return Ok(None) };
    let sight = Reach::of(rights, Permission::Read);
    let is_free = Reach::of(rights, permission) == Reach::Everywhere;
    // A reader of everything needs no look; of a change the log says where it was.
    if is_free && operation.only_reads {
        return Ok(None);
    }
    let located = match locate(app, parts, place, &sight).await {
        Ok(Some(located)) => located,
        Ok(None) => return Ok(None),
        // The handler says it better.
        Err(ApiError::NotFound(_)) if is_free => return Ok(None),
        Err(error) => return Err(Refusal::Failed(error)),
    };
    if let Some(named) = located.named {
        parts.extensions.insert(named);
    }
    match decide_in(rights, permission, located.namespace.as_deref()) {
        Ok(()) => Ok(located.namespace),
        // The maker of a context has chosen its name: there is nothing to hide, but a next step to say.
        Err(denial @ Denial::Hidden(_)) if operation.makes_named() => Err(Refusal::Denied(denial)),
        Err(denial @ Denial::Hidden(_)) => Err(Refusal::Hidden(denial, located.unknown)),
        Err(denial) => Err(Refusal::Denied(denial)),
    }
}

/// The event of a call, as far as its head says it. The query is left out: what is in it may be
/// anything.
fn event_of(
    app: &App,
    operation: &Operation,
    request: &Request,
    namespace: Option<String>,
) -> AuditItem {
    let extensions = request.extensions();
    let address = extensions.get::<ClientAddress>();
    let (who, means) = extensions.get::<Caller>().map(Caller::for_audit).unwrap_or_default();
    let operation = format!("{} {}", operation.verb.as_str(), operation.path);
    let (who, target) = ((who.as_str(), means.as_str()), request.uri().path());
    let event = audit::new_event(app, who, address.map(|of| of.0), &operation, target);
    AuditItem { namespace, ..event }
}
