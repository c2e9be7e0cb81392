//! Rights of a call within namespaces: the one function that finds the namespace of what a path names
//! ([`locate`]), and what handlers ask where only they know it ([`Access`]).
//!
//! Threat: what is in a namespace that somebody may not see must not be told from what is not there.
//! Hidden things are answered in the words for unknown ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use russet_protocol::ids::{JobId, PipelineId, ResourceClassId, WorkflowId};
use serde::Deserialize;

use super::error::ApiError;
use super::operation::Operation;
use super::params::PathParams;
use crate::audit;
use crate::people::{Denial, Needs, Place, Reach, Rights, decide_in, namespace_of};
use crate::references::{find_job, find_pipeline, find_project, find_workflow, unknown_project};
use crate::state::App;
use crate::store::{Conn, classes, names, projects, tokens};

/// Rights of the one who calls, for handlers that find namespaces in what the body or the store says.
#[derive(Clone, Debug)]
pub(super) struct Access {
    rights: Rights,
    operation: Operation,
    /// Set once the handler has asked. The door lets no answer of one out that has not.
    is_asked: Arc<AtomicBool>,
}

impl Access {
    pub(super) fn of(rights: &Rights, operation: Operation) -> Self {
        Self { rights: rights.clone(), operation, is_asked: Arc::default() }
    }

    /// Returns true where the handler has asked, or had nothing to ask.
    pub(super) fn is_settled(&self) -> bool {
        let must_ask = matches!(self.operation.needs, Needs::In(_, Place::Body | Place::List));
        !must_ask || self.is_asked.load(Ordering::Relaxed)
    }

    /// Returns the namespaces in which the caller has the permission of the call.
    pub(super) fn reach(&self) -> Reach {
        self.is_asked.store(true, Ordering::Relaxed);
        match self.operation.needs {
            Needs::In(permission, _) => Reach::of(&self.rights, permission),
            _ => Reach::Within(Default::default()),
        }
    }

    /// Returns the namespaces that the caller may see.
    pub(super) fn sight(&self) -> Reach {
        Reach::of(&self.rights, russet_protocol::people::Permission::Read)
    }

    /// Returns the rights themselves.
    pub(super) fn rights(&self) -> &Rights {
        &self.rights
    }

    /// Decides the call for the namespace of a class, a context or a project.
    ///
    /// # Errors
    ///
    /// The caller may not: `hidden` where it may not even see it.
    pub(super) fn check_name(
        &self,
        name: &str,
        hidden: impl FnOnce(Denial) -> ApiError,
    ) -> Result<(), ApiError> {
        self.check(namespace_of(name).as_deref(), hidden)
    }

    /// Returns the answer of a call about what the caller may not even see.
    pub(super) fn hidden(&self) -> ApiError {
        nothing()
    }

    /// Decides the call for a namespace; `None`: for what is in none.
    ///
    /// # Errors
    ///
    /// The caller may not: `hidden` where it may not even see it.
    pub(super) fn check(
        &self,
        namespace: Option<&str>,
        hidden: impl FnOnce(Denial) -> ApiError,
    ) -> Result<(), ApiError> {
        self.is_asked.store(true, Ordering::Relaxed);
        audit::note_namespace(namespace);
        let Needs::In(permission, _) = self.operation.needs else {
            return Err(ApiError::Denied(Denial::Credential));
        };
        match decide_in(&self.rights, permission, namespace) {
            Ok(()) => Ok(()),
            Err(denial @ Denial::Hidden(_)) => Err(hidden(denial)),
            Err(_) if self.operation.is_public_api() => Err(nothing()),
            Err(denial) => Err(ApiError::Denied(denial)),
        }
    }
}

/// The answer where there is nothing to see.
fn nothing() -> ApiError {
    ApiError::NotFound("there is no such thing, or you may not see it".to_owned())
}

impl FromRequestParts<App> for Access {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _app: &App) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().cloned().ok_or(ApiError::Denied(Denial::Credential))
    }
}

/// Pipeline, workflow or job that a path names, as it was found at the door.
#[derive(Clone, Debug)]
pub(super) enum Named {
    Pipeline(PipelineId),
    Workflow(WorkflowId),
    Job(JobId),
}

/// Namespace of what a path names.
#[derive(Debug)]
pub(super) struct Located {
    /// `None`: it is in none.
    pub(super) namespace: Option<String>,
    /// The answer for something that is not there.
    pub(super) unknown: ApiError,
    pub(super) named: Option<Named>,
}

impl Located {
    fn of(namespace: Option<String>, unknown: String) -> Self {
        Self { namespace, unknown: ApiError::NotFound(unknown), named: None }
    }
}

#[derive(Debug, Deserialize)]
struct OfClass {
    #[serde(rename = "resource-class")]
    class: String,
}

/// Finds the namespace of what a call is about. `None` where only its handler can.
///
/// # Errors
///
/// It is not there.
pub(super) async fn locate(
    app: &App,
    parts: &mut Parts,
    place: Place,
    sight: &Reach,
) -> Result<Option<Located>, ApiError> {
    if place == Place::QueriedClass {
        // One that cannot be read is refused by the handler, in the words for it.
        let Ok(Query(of)) = Query::<OfClass>::try_from_uri(&parts.uri) else {
            return Ok(Some(Located::of(None, "the query needs `resource-class`".to_owned())));
        };
        let unknown = format!("resource class not found: `{}`", of.class);
        return Ok(Some(Located::of(namespace_of(&of.class), unknown)));
    }
    let params = PathParams::read(parts, app).await?;
    let param = |wanted: &str| params.get(wanted);
    Ok(Some(match place {
        Place::Body | Place::List | Place::QueriedClass => return Ok(None),
        Place::Project => {
            let name = param("project");
            Located::of(namespace_of(&name), format!("there is no project `{name}`"))
        }
        Place::Slug => {
            let parts = ["host", "owner", "name"].map(param);
            let name = find_project(&mut app.store.read().await?, &parts).await?;
            Located::of(namespace_of(&name), unknown_project(&parts).to_string())
        }
        Place::Context => {
            let name = param("name");
            Located::of(namespace_of(&name), format!("there is no context `{name}`"))
        }
        Place::Namespace => {
            let name = param("namespace");
            let unknown = format!("there is no namespace `{name}`");
            Located::of(namespace_of(&format!("{name}/")), unknown)
        }
        Place::Class | Place::ClassToken | Place::Pipeline | Place::Workflow | Place::Job => {
            locate_id(&mut app.store.read().await?, place, param("id"), sight).await?
        }
    }))
}

async fn locate_id(
    conn: &mut Conn,
    place: Place,
    id: String,
    sight: &Reach,
) -> Result<Located, ApiError> {
    let (project, kind, named) = match place {
        Place::Class => {
            let unknown = "there is no such resource class".to_owned();
            let found = classes::get(conn, &ResourceClassId::from(id)).await?;
            let class = found.ok_or_else(|| ApiError::NotFound(unknown.clone()))?.resource_class;
            return Ok(Located::of(Some(class.namespace().to_owned()), unknown));
        }
        Place::ClassToken => {
            let unknown = "there is no such token".to_owned();
            let class = tokens::class_of(conn, &id).await?;
            let class = class.ok_or_else(|| ApiError::NotFound(unknown.clone()))?;
            return Ok(Located::of(namespace_of(&class), unknown));
        }
        Place::Workflow => {
            let found = find_workflow(conn, &id, sight).await?;
            let project = names::project_of_workflow(conn, &found).await?;
            (project, "workflow", Named::Workflow(found))
        }
        Place::Job => {
            let found = find_job(conn, &id, sight).await?;
            (names::project_of_job(conn, &found).await?, "job", Named::Job(found))
        }
        _ => {
            let found = find_pipeline(conn, &id, sight).await?;
            (projects::of_pipeline(conn, &found).await?, "pipeline", Named::Pipeline(found))
        }
    };
    let unknown = || ApiError::NotFound(format!("there is no {kind} `{id}`"));
    let project = project.ok_or_else(unknown)?;
    Ok(Located { namespace: namespace_of(&project), unknown: unknown(), named: Some(named) })
}
