//! Check that a job may run at all: contexts that its project may use, and forks.
//!
//! Asked when the job may start, and again when its configuration, with the values, is handed out:
//! what was allowed in the morning need not be in the evening.

use russet_protocol::admin::ContextItem;
use russet_protocol::ids::PipelineId;
use russet_protocol::resource_class::ResourceClass;

use crate::people::namespace_of;
use crate::store::pipelines::Origin;
use crate::store::{Conn, StoreError, pipelines, variables};

/// Request to check.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) pipeline: &'a PipelineId,
    pub(crate) class: &'a ResourceClass,
    pub(crate) contexts: &'a [String],
}

/// Returns the reason why the job may not run; `None` where it may.
pub(crate) async fn find_refusal(
    conn: &mut Conn,
    request: Request<'_>,
) -> Result<Option<String>, StoreError> {
    let origin = pipelines::pipeline_origin(conn, request.pipeline, request.class).await?;
    refuse(conn, request, &origin).await
}

/// The same for a job whose pipeline's origin is known.
pub(crate) async fn refuse(
    conn: &mut Conn,
    request: Request<'_>,
    origin: &Origin,
) -> Result<Option<String>, StoreError> {
    // Whoever can open a pull request can write any step. A fork gets the machine only where its
    // owner wants that, and secrets never.
    if origin.from_fork && !origin.forks_allowed {
        let class = request.class;
        return Ok(Some(format!("it comes from a fork, and `{class}` takes no tasks of forks")));
    }
    for name in request.contexts {
        let context = find_context(conn, name, &origin.project).await?;
        if let Some(why) = denial_of(name, context.as_ref(), &origin.project, origin.from_fork) {
            return Ok(Some(why));
        }
    }
    Ok(None)
}

/// Finds a context as a project names it. One of its namespace comes before one of the server; those of
/// other namespaces are not there for it.
pub(crate) async fn find_context(
    conn: &mut Conn,
    name: &str,
    project: &str,
) -> Result<Option<ContextItem>, StoreError> {
    let here = namespace_of(project);
    match (namespace_of(name), here) {
        (Some(of), here) if here.as_ref() != Some(&of) => Ok(None),
        (None, Some(here)) => {
            match variables::find_context(conn, &format!("{here}/{name}")).await? {
                Some(found) => Ok(Some(found)),
                None => variables::find_context(conn, name).await,
            }
        }
        _ => variables::find_context(conn, name).await,
    }
}

/// Returns the reason why a project may not use a context.
fn denial_of(
    name: &str,
    context: Option<&ContextItem>,
    project: &str,
    from_fork: bool,
) -> Option<String> {
    let Some(context) = context else {
        return Some(format!(
            "there is no context `{name}` for the project `{project}`; \
             `russet context create {name}` makes one"
        ));
    };
    if from_fork {
        return Some(format!("it comes from a fork, which may not use the context `{name}`"));
    }
    match &context.projects {
        Some(projects) if !projects.iter().any(|allowed| allowed == project) => {
            Some(format!("the project `{project}` may not use the context `{name}`"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use russet_protocol::admin::ContextItem;

    use super::denial_of;

    #[test]
    fn a_context_is_for_the_projects_that_it_names_and_never_for_forks() {
        let context = |projects: Option<&[&str]>| ContextItem {
            name: "deploy".to_owned(),
            projects: projects.map(|list| list.iter().map(|name| (*name).to_owned()).collect()),
            created_ms: 0,
        };
        let all = context(None);
        let some = context(Some(&["acme/app"]));
        assert_eq!(denial_of("deploy", Some(&all), "acme/other", false), None);
        assert_eq!(denial_of("deploy", Some(&some), "acme/app", false), None);
        assert!(denial_of("deploy", Some(&some), "acme/other", false).is_some());
        assert!(denial_of("deploy", Some(&all), "acme/app", true).is_some());
        assert!(denial_of("deploy", Some(&context(Some(&[]))), "acme/app", false).is_some());
        assert!(denial_of("deploy", None, "acme/app", false).unwrap().contains("no context"));
    }
}
