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
    use utoipa::openapi::security::{
        ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme,
    };

    use crate::api::{admin, agent};

    fn description() -> String {
        let mut all = agent::Docs::openapi();
        all.merge(admin::Docs::openapi());
        all.info = utoipa::openapi::Info::new("Russet control plane", "3");
        let bearer =
            || SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        let admin = SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("Circle-Token")));
        let components = all.components.get_or_insert_default();
        components.add_security_scheme("class_token", bearer());
        components.add_security_scheme("task_token", bearer());
        components.add_security_scheme("admin_token", admin);
        all.to_pretty_json().unwrap() + "\n"
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
