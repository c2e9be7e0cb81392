//! Routes, each with what a caller needs: there is no way to add one without.

use axum::Router;
use axum::handler::Handler;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, on};
use russet_protocol::people::Permission;

use super::access::guard;
use super::operation::{Operation, Verb};
use crate::people::{Needs, Place};
use crate::state::App;

/// Routes with what their callers need.
#[derive(Debug, Default)]
pub(crate) struct Routes(Vec<(Operation, MethodRouter<App>)>);

impl Routes {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    fn add<H, T>(mut self, verb: Verb, path: &'static str, needs: Needs, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let operation = Operation { verb, path, needs, only_reads: verb == Verb::Get };
        self.0.push((operation, on(verb.filter(), handler)));
        self
    }

    pub(crate) fn get<H, T>(self, path: &'static str, needs: impl Into<Needs>, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.add(Verb::Get, path, needs.into(), handler)
    }

    pub(crate) fn post<H, T>(self, path: &'static str, needs: impl Into<Needs>, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.add(Verb::Post, path, needs.into(), handler)
    }

    pub(crate) fn put<H, T>(self, path: &'static str, needs: impl Into<Needs>, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.add(Verb::Put, path, needs.into(), handler)
    }

    pub(crate) fn patch<H, T>(self, path: &'static str, needs: impl Into<Needs>, handler: H) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.add(Verb::Patch, path, needs.into(), handler)
    }

    pub(crate) fn delete<H, T>(
        self,
        path: &'static str,
        needs: impl Into<Needs>,
        handler: H,
    ) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        self.add(Verb::Delete, path, needs.into(), handler)
    }

    /// Adds all of others.
    pub(crate) fn with(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Says of the operation that was added last that it changes nothing.
    pub(crate) fn only_reads(mut self) -> Self {
        if let Some((operation, _)) = self.0.last_mut() {
            operation.only_reads = true;
        }
        self
    }

    /// Returns the operations.
    #[cfg(test)]
    pub(crate) fn operations(&self) -> Vec<Operation> {
        self.0.iter().map(|(operation, _)| *operation).collect()
    }

    /// Makes the router, in which each operation of people checks its caller first.
    pub(crate) fn into_router(self, app: &App) -> Router<App> {
        let add = |router: Router<App>, (operation, handler): (Operation, MethodRouter<App>)| {
            let handler = match operation.is_guarded() {
                true => handler.route_layer(from_fn_with_state((app.clone(), operation), guard)),
                false => handler,
            };
            router.route(operation.path, handler)
        };
        self.0.into_iter().fold(Router::new(), add)
    }
}

impl From<Permission> for Needs {
    fn from(permission: Permission) -> Self {
        Self::Of(permission)
    }
}

impl From<(Permission, Place)> for Needs {
    fn from((permission, place): (Permission, Place)) -> Self {
        Self::In(permission, place)
    }
}

#[cfg(test)]
mod tests {
    use super::{Operation, Verb};
    use crate::people::Needs;

    #[test]
    fn denials_are_hidden_on_paths_of_circleci_and_named_on_ours() {
        let is_public = |path| {
            let operation =
                Operation { verb: Verb::Get, path, needs: Needs::Owner, only_reads: true };
            operation.is_public_api()
        };
        for path in
            ["/api/v3/runner", "/api/v3/runner/token/{id}", "/api/v2/context", "/api/v3/orgs"]
        {
            assert!(is_public(path), "{path}");
        }
        for path in ["/api/v3/runner/pause", "/api/v3/pipelines", "/api/v3/projects/{project}"] {
            assert!(!is_public(path), "{path}");
        }
    }
}
