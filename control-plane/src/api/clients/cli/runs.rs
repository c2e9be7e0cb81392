//! `/api/v3/runs`: pipelines, as they are searched for.

use axum::extract::State;
use axum::{Extension, Json as JsonAnswer};
use serde::Deserialize;
use serde_json::Value;

use super::filter::parse_filter;
use super::forms;
use crate::api::Caller;
use crate::api::body::{Json, SMALL};
use crate::api::clients::page_place;
use crate::api::clients::v2::read_pipeline;
use crate::api::error::ApiError;
use crate::api::params::Query;
use crate::api::reach::Access;
use crate::api::refs::PipelineRef;
use crate::name_ids::uuid_of;
use crate::state::App;
use crate::store::pipeline_pages::{Filter, read_page};
use crate::store::pipelines::Cause;
use crate::store::{Conn, pipelines, projects};
use crate::text::parse_rfc3339;

/// Longest page, which is CircleCI's.
const MAX_PAGE: u32 = 20;

/// Pages that one search looks through for a status.
const MAX_LOOKS: usize = 10;

/// A search.
#[derive(Debug, Deserialize)]
pub(super) struct Search {
    #[serde(default)]
    scope: Scope,
    #[serde(default)]
    filter: String,
    #[serde(default)]
    page: PageWish,
}

#[derive(Debug, Default, Deserialize)]
struct Scope {
    #[serde(default)]
    project_ids: Vec<String>,
    from: Option<String>,
    to: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct PageWish {
    #[serde(default)]
    cursor: String,
    limit: Option<u32>,
}

/// Searches for runs, the newest first.
#[cfg_attr(test, utoipa::path(
    post, path = "/api/v3/runs/search", tag = "clients", operation_id = "search_runs",

    request_body = serde_json::Value,
    responses((status = 200, description = "The runs", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn search(
    State(app): State<App>,
    access: Access,
    Json(wish): Json<Search, SMALL>,
) -> Result<JsonAnswer<Value>, ApiError> {
    let bounds = parse_filter(&wish.filter).map_err(ApiError::Bad)?;
    let mut conn = app.store.read().await?;
    let reach = access.reach();
    let mut within = projects::within(&mut conn, &reach).await?;
    if !wish.scope.project_ids.is_empty() {
        let is_wanted = |name: &str| {
            let id = uuid_of("project", name);
            wish.scope.project_ids.iter().any(|wanted| wanted.eq_ignore_ascii_case(&id))
        };
        within = Some(projects::names_of(&mut conn, &reach, is_wanted).await?);
    }
    let filter = Filter {
        // One project alone has an index of its branches.
        project: within
            .as_ref()
            .and_then(|all| (all.len() == 1).then(|| all.first().cloned()).flatten()),
        within,
        branch: bounds.branch,
        since_ms: time_of("from", wish.scope.from.as_deref())?,
        until_ms: time_of("to", wish.scope.to.as_deref())?.map(end_of_second),
        ..Filter::default()
    };
    answer_page(&mut conn, filter, &wish.page, bounds.status.as_deref()).await
}

fn time_of(name: &str, text: Option<&str>) -> Result<Option<u64>, ApiError> {
    let parse = |text: &str| {
        let time = parse_rfc3339(text).and_then(|ms| u64::try_from(ms).ok());
        time.ok_or_else(|| {
            ApiError::Bad(format!("{name}: a time such as 2026-11-30T12:00:00Z is needed"))
        })
    };
    text.filter(|text| !text.is_empty()).map(parse).transpose()
}

/// Returns the time after the second of a time: the command line says "now" in whole seconds, and means
/// what has been made in this one too.
fn end_of_second(ms: u64) -> u64 {
    ms.saturating_add(1_000)
}

/// Returns a page of runs. One that is bounded by a status looks through some pages of the list.
async fn answer_page(
    conn: &mut Conn,
    filter: Filter,
    page: &PageWish,
    status: Option<&str>,
) -> Result<JsonAnswer<Value>, ApiError> {
    let cursor = Some(page.cursor.as_str()).filter(|cursor| !cursor.is_empty());
    let mut after = page_place("cursor", cursor)?;
    let limit = page.limit.unwrap_or(MAX_PAGE).clamp(1, MAX_PAGE);
    let mut found = Vec::new();
    for _ in 0..MAX_LOOKS {
        let page = read_page(conn, &filter, after.take(), limit).await?;
        after = page.next;
        let is_wanted = |status: &str, of: &_| forms::run_status(of) == status;
        found.extend(page.items.into_iter().filter(|of| status.is_none_or(|it| is_wanted(it, of))));
        // Whole pages alone: what is behind the last one that is given out would be lost.
        if status.is_none() || after.is_none() || !found.is_empty() {
            break;
        }
    }
    let causes = pipelines::causes(conn, found.iter().map(|of| of.id.as_str())).await?;
    let none = Cause::default();
    let cause = |id: &str| causes.get(id).unwrap_or(&none);
    let runs: Vec<Value> = found.iter().map(|of| forms::run(of, cause(of.id.as_str()))).collect();
    Ok(JsonAnswer(forms::list(&runs, after.map(|place| place.to_string()))))
}

#[derive(Debug, Deserialize)]
pub(super) struct Own {
    #[serde(rename = "filter[from]")]
    from: Option<String>,
    #[serde(rename = "filter[to]")]
    to: Option<String>,
    #[serde(rename = "page[cursor]")]
    cursor: Option<String>,
    #[serde(rename = "page[limit]")]
    limit: Option<u32>,
}

/// Lists the runs that the caller submitted, the newest first.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/runs", tag = "clients", operation_id = "list_own_runs",
    params(("filter[from]" = Option<String>, Query, description = "From this time on"), ("filter[to]" = Option<String>, Query, description = "Before this time"), ("page[cursor]" = Option<String>, Query, description = "The `next` of the page before"), ("page[limit]" = Option<u32>, Query, description = "At most so many; 20 at most")),
    responses((status = 200, description = "The runs", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn own(
    State(app): State<App>,
    access: Access,
    Extension(caller): Extension<Caller>,
    Query(wish): Query<Own>,
) -> Result<JsonAnswer<Value>, ApiError> {
    let mut conn = app.store.read().await?;
    let filter = Filter {
        within: projects::within(&mut conn, &access.reach()).await?,
        author: Some(caller.proved_name().unwrap_or_default().to_owned()),
        since_ms: time_of("filter[from]", wish.from.as_deref())?,
        until_ms: time_of("filter[to]", wish.to.as_deref())?.map(end_of_second),
        ..Filter::default()
    };
    let page = PageWish { cursor: wish.cursor.unwrap_or_default(), limit: wish.limit };
    answer_page(&mut conn, filter, &page, None).await
}

/// Returns a run.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/runs/{id}", tag = "clients", operation_id = "get_run",
    params(("id" = String, Path, description = "The pipeline")),
    responses((status = 200, description = "The run", body = serde_json::Value), (status = 404, description = "It is not there, or the caller may not see it", body = russet_protocol::problem::Problem)),
    security(("admin_token" = []))
))]
pub(super) async fn get(
    State(app): State<App>,
    PipelineRef(id): PipelineRef,
) -> Result<JsonAnswer<Value>, ApiError> {
    let (pipeline, cause) = read_pipeline(&mut app.store.read().await?, &id).await?;
    Ok(JsonAnswer(forms::one(forms::run(&pipeline, &cause))))
}
