//! `GET /api/v3/openapi.json`: the description of this API.
//!
//! It is committed, so that a change of the API is seen in review, and made by a test from the
//! notes on the handlers: so utoipa is no part of what is built and installed.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;

use crate::state::App;

const DESCRIPTION: &str = include_str!("../../openapi.json");

/// The route of the description, which is no secret.
pub(super) fn router() -> Router<App> {
    Router::new().route(
        "/api/v3/openapi.json",
        get(|| async { ([(CONTENT_TYPE, "application/json")], DESCRIPTION) }),
    )
}

#[cfg(test)]
mod tests {
    use utoipa::OpenApi;
    use utoipa::openapi::extensions::ExtensionsBuilder;
    use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
    use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
    use utoipa::openapi::security::{
        ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme,
    };
    use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder, ServerBuilder};

    use crate::api::operation::{self, Verb};
    use crate::api::routes::Routes;
    use crate::api::{admin, agent, clients, health, projects};

    fn description() -> String {
        let mut all = agent::Docs::openapi();
        all.merge(admin::Docs::openapi());
        all.merge(projects::Docs::openapi());
        all.merge(clients::description());
        all.merge(health::Docs::openapi());
        all.info = utoipa::openapi::Info::new("Russet control plane", "3");
        let bearer =
            || SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        let admin = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("Circle-Token")));
        let components = all.components.get_or_insert_default();
        components.add_security_scheme("class_token", bearer());
        components.add_security_scheme("task_token", bearer());
        components.add_security_scheme("admin_token", admin);
        all.servers = Some(vec![
            ServerBuilder::new()
                .url("http://127.0.0.1:8080")
                .description(Some("`russet server` as it listens by itself"))
                .build(),
            ServerBuilder::new().url("/").description(Some("Where this was fetched")).build(),
        ]);
        let routes = all_operations();
        for (name, path) in &mut all.paths.paths {
            for (verb, operation) in operations(path) {
                complete(operation);
                describe_bytes(operation);
                let route = route_of(&routes, verb, name);
                // One extension: several would come in another order each time.
                let route = serde_json::json!({
                    "changes": route.changes_for_people(),
                    "needs": route.needs.as_str(),
                    "scope": route.needs.scope(),
                });
                let extensions = ExtensionsBuilder::new().add("x-russet", route).build();
                operation.extensions = Some(extensions);
            }
        }
        for (name, pattern) in PATTERNS {
            let schema = all.components.get_or_insert_default().schemas.get_mut(name);
            let Some(RefOr::T(Schema::Object(object))) = schema else { panic!("no schema {name}") };
            object.pattern = Some(pattern.to_owned());
        }
        all.to_pretty_json().unwrap() + "\n"
    }

    /// Forms of texts that the server checks.
    const PATTERNS: [(&str, &str); 2] = [
        ("ResourceClass", "^[a-z0-9_-]{1,100}/[A-Za-z0-9:._+-]{1,100}$"),
        ("SourceId", "^[0-9a-f]{64}$"),
    ];

    fn operations(path: &mut PathItem) -> impl Iterator<Item = (Verb, &mut Operation)> {
        let PathItem { get, put, post, delete, patch, .. } = path;
        let all = [
            (Verb::Get, get),
            (Verb::Put, put),
            (Verb::Post, post),
            (Verb::Delete, delete),
            (Verb::Patch, patch),
        ];
        all.into_iter().filter_map(|(verb, operation)| Some((verb, operation.as_mut()?)))
    }

    /// All routes, with what their callers need.
    fn all_operations() -> Vec<operation::Operation> {
        let all = [
            agent::routes(),
            admin::routes(),
            projects::routes(),
            clients::routes(),
            health::routes(),
        ];
        all.iter().flat_map(Routes::operations).collect()
    }

    /// Path of a route as the description writes it.
    fn described(path: &str) -> String {
        path.replace("{*", "{")
    }

    /// Route of a described operation: there is one for each.
    fn route_of(routes: &[operation::Operation], verb: Verb, path: &str) -> operation::Operation {
        let of =
            |route: &&operation::Operation| route.verb == verb && described(route.path) == path;
        let found: Vec<_> = routes.iter().filter(of).collect();
        assert_eq!(found.len(), 1, "{} {path} has one route", verb.as_str());
        *found[0]
    }

    /// Routes that the description leaves out: other paths of calls that it has, and one that is
    /// for old clients.
    const UNDESCRIBED: [&str; 5] = [
        "/api/v2/runner",
        "/api/v2/tasks",
        "/api/v2/openapi.json",
        "/api/v2/launch-agent/download",
        "/api/v3/task/",
    ];

    #[test]
    fn every_route_of_people_is_described_or_another_path_of_one_that_is() {
        let described_text = description();
        let all: serde_json::Value = serde_json::from_str(&described_text).unwrap();
        for route in all_operations() {
            let verb = route.verb.as_str().to_ascii_lowercase();
            let is_described = all["paths"][described(route.path)][&verb].is_object();
            let is_known = UNDESCRIBED.iter().any(|known| route.path.starts_with(known));
            assert!(is_described || is_known, "{verb} {} is not described", route.path);
        }
    }

    /// Adds what all calls of a kind have in common, so that no note can forget it: whoever has no
    /// right to a call is answered 404, what is not understood is answered 400, and a call without
    /// a token says so.
    fn complete(operation: &mut Operation) {
        let problem = |text: &str| {
            let schema = Ref::from_schema_name("Problem");
            let content = ContentBuilder::new().schema(Some(schema)).build();
            RefOr::T(
                ResponseBuilder::new()
                    .description(text)
                    .content("application/json", content)
                    .build(),
            )
        };
        let tokens = serde_json::to_string(&operation.security).unwrap();
        let takes_something = operation.request_body.is_some()
            || operation.parameters.iter().flatten().any(|of| {
                let RefOr::T(of) = of else { return false };
                matches!(of.parameter_in, ParameterIn::Query | ParameterIn::Path)
            });
        let answers = &mut operation.responses.responses;
        if tokens.contains("admin_token") || tokens.contains("task_token") {
            answers
                .entry("404".to_owned())
                .or_insert_with(|| problem("There is no such thing, or the caller may not see it"));
        }
        if takes_something {
            answers.entry("400".to_owned()).or_insert_with(|| {
                problem("The query, the path or the body is not what this call takes")
            });
        }
        if operation.security.is_none() {
            operation.security = Some(Vec::new());
        }
    }

    /// Says of bodies that are bytes that they are that: of a list of bytes utoipa makes one of numbers.
    fn describe_bytes(operation: &mut Operation) {
        let body = match &mut operation.request_body {
            Some(RefOr::T(body)) => Some(body),
            _ => None,
        };
        let asked = body.into_iter().flat_map(|body| &mut body.content);
        let answers =
            operation.responses.responses.values_mut().filter_map(|answer| match answer {
                RefOr::T(answer) => Some(answer),
                RefOr::Ref(_) => None,
            });
        let answered = answers.flat_map(|answer| &mut answer.content);
        for (kind, content) in asked.chain(answered) {
            let RefOr::T(content) = content else { continue };
            if ["application/octet-stream", "application/zstd"].contains(&kind.as_str()) {
                let binary = SchemaFormat::KnownFormat(KnownFormat::Binary);
                let bytes = ObjectBuilder::new().schema_type(Type::String).format(Some(binary));
                content.schema = Some(bytes.into());
            }
        }
    }

    /// To write the file anew: `RUSSET_WRITE_OPENAPI=1 cargo test -p russet-control-plane openapi`.
    #[test]
    fn the_committed_openapi_description_is_the_one_of_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let now = description();
        if std::env::var_os("RUSSET_WRITE_OPENAPI").is_some() {
            std::fs::write(path, &now).unwrap();
        }
        assert!(
            std::fs::read_to_string(path).unwrap() == now,
            "{path} is not what the code says; write it anew with \
             `RUSSET_WRITE_OPENAPI=1 cargo test -p russet-control-plane openapi`, then look at the diff"
        );
    }
}
