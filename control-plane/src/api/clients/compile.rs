//! `POST /api/v3/configs/compile`, and what it is called in the API's second version: compiles a
//! configuration without running anything.

use std::collections::BTreeMap;

use axum::Json as JsonAnswer;
use axum::extract::State;
use russet_pipeline::{Options, Pipeline, Value as Parameter};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::body::Json;
use crate::api::error::ApiError;
use crate::orbs;
use crate::state::App;

/// A configuration, and what it is compiled with. Both versions have the same, in other places.
#[derive(Debug)]
struct Wish {
    config: String,
    parameters: Map<String, Value>,
    /// Values such as `pipeline.git.branch`.
    values: Map<String, Value>,
}

/// The body of the third version. Members that are not named here are not needed.
#[derive(Debug, Deserialize)]
pub(super) struct RequestV3 {
    data: DataV3,
}

#[derive(Debug, Deserialize)]
struct DataV3 {
    attributes: AttributesV3,
}

#[derive(Debug, Deserialize)]
struct AttributesV3 {
    config: String,
    #[serde(default)]
    pipeline_parameters: Map<String, Value>,
    #[serde(default)]
    pipeline_values: Map<String, Value>,
}

/// The body of the second version.
#[derive(Debug, Deserialize)]
pub(super) struct RequestV2 {
    config_yaml: String,
    #[serde(default)]
    options: OptionsV2,
}

#[derive(Debug, Default, Deserialize)]
struct OptionsV2 {
    #[serde(default)]
    pipeline_parameters: Map<String, Value>,
    #[serde(default)]
    pipeline_values: Map<String, Value>,
}

/// Compiles a configuration with the orbs of the server. One with errors is no error of the call:
/// its outcome is `failed`, and the messages say why.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/configs/compile", tag = "clients", operation_id = "compile_config",
    request_body = serde_json::Value,
    responses((status = 200, description = "`data.attributes.outcome` is `succeeded`, with `compiled_config`, or `failed`, with `meta.messages`", body = serde_json::Value), (status = 400, description = "The body is not what this call takes", body = russet_protocol::problem::Problem), (status = 404, description = "The caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn compile_v3(
    State(app): State<App>,
    Json(request): Json<RequestV3>,
) -> Result<JsonAnswer<Value>, ApiError> {
    let AttributesV3 { config, pipeline_parameters, pipeline_values } = request.data.attributes;
    let wish = Wish { config, parameters: pipeline_parameters, values: pipeline_values };
    let compiled = compile(&app, wish).await?;
    let (outcome, text, errors) = match compiled {
        Ok(text) => ("succeeded", Some(text), Vec::new()),
        Err(errors) => ("failed", None, errors),
    };
    let messages: Vec<Value> = errors.iter().map(|error| json!({"title": error})).collect();
    let attributes = json!({"phase": "ended", "outcome": outcome, "compiled_config": text});
    Ok(JsonAnswer(json!({
        "data": {"type": "config_compilation", "attributes": attributes},
        "meta": {"messages": messages},
    })))
}

/// The same in the form of the API's second version.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v2/compile-config-with-defaults", tag = "clients", operation_id = "compile_config_v2",
    request_body = serde_json::Value,
    responses((status = 200, description = "`valid`, `output-yaml` and `errors`", body = serde_json::Value), (status = 400, description = "The body is not what this call takes", body = russet_protocol::problem::Problem), (status = 404, description = "The caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn compile_v2(
    State(app): State<App>,
    Json(request): Json<RequestV2>,
) -> Result<JsonAnswer<Value>, ApiError> {
    let OptionsV2 { pipeline_parameters, pipeline_values } = request.options;
    let source = request.config_yaml.clone();
    let config = request.config_yaml;
    let wish = Wish { config, parameters: pipeline_parameters, values: pipeline_values };
    let (valid, text, errors) = match compile(&app, wish).await? {
        Ok(text) => (true, text, Vec::new()),
        Err(errors) => (false, String::new(), errors),
    };
    let errors: Vec<Value> = errors.iter().map(|error| json!({"message": error})).collect();
    Ok(JsonAnswer(json!({
        "valid": valid,
        "source-yaml": source,
        "output-yaml": text,
        "errors": errors,
    })))
}

/// Returns the configuration written out, or all that is wrong with it. On another thread: a large
/// configuration must not hold up everybody else.
async fn compile(app: &App, wish: Wish) -> Result<Result<String, Vec<String>>, ApiError> {
    let orbs = orbs::known(&app.store, Vec::new()).await?;
    let work = move || {
        let options = Options { orbs, ..options(&wish) };
        russet_pipeline::process(&wish.config, &options)
            .map_err(|errors| errors.0.iter().map(ToString::to_string).collect())
    };
    tokio::task::spawn_blocking(work).await.map_err(|error| ApiError::Internal(error.into()))
}

fn options(wish: &Wish) -> Options {
    // Clients send an empty text for what they do not know.
    let text = |name: &str| {
        let value = wish.values.get(&format!("pipeline.{name}"))?.as_str()?;
        (!value.is_empty()).then(|| value.to_owned())
    };
    Options {
        file: russet_protocol::admin::DEFAULT_CONFIG_PATH.to_owned(),
        branch: text("git.branch"),
        tag: text("git.tag"),
        check: true,
        parameters: parameters(&wish.parameters),
        pipeline: Pipeline {
            id: text("id"),
            number: wish.values.get("pipeline.number").and_then(Value::as_u64).or(Some(1)),
            project: text("project.slug"),
            repository_url: text("project.git_url"),
            revision: text("git.revision"),
            base_revision: text("git.base_revision"),
            ..Pipeline::default()
        },
        ..Options::default()
    }
}

fn parameters(given: &Map<String, Value>) -> BTreeMap<String, Parameter> {
    let parameter = |value: &Value| match value {
        Value::Bool(value) => Parameter::Boolean(*value),
        Value::String(text) => Parameter::Text(text.clone()),
        value => {
            value.as_i64().map_or_else(|| Parameter::Text(value.to_string()), Parameter::Integer)
        }
    };
    given.iter().map(|(name, value)| (name.clone(), parameter(value))).collect()
}
