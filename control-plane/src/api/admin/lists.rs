//! `GET /api/v3/jobs` and `GET /api/v3/workflows`, and the query that all lists of pipelines and their
//! parts take.

use axum::Json;
use axum::extract::State;
use russet_protocol::admin::{JobItem, Page, WorkflowItem};
use serde::Deserialize;

use crate::api::error::ApiError;
use crate::api::params::Query;
use crate::api::reach::Access;
use crate::state::App;
use crate::store::listed::{self, ListPage, PlaceWithin};
use crate::store::pipeline_pages::{Filter, OUTCOMES, Order};
use crate::store::projects;

/// Number of elements of a page, where the caller names none.
const PAGE_LENGTH: u32 = 50;

/// Most elements of a page.
const MAX_PAGE_LENGTH: u32 = 200;

/// States of workflows that have not ended.
const OPEN_WORKFLOWS: [&str; 2] = ["queued", "running"];

/// States of jobs that have not ended.
const OPEN_JOBS: [&str; 4] = ["blocked", "on_hold", "queued", "running"];

/// Query of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    project: Option<String>,
    branch: Option<String>,
    author: Option<String>,
    state: Option<String>,
    since: Option<u64>,
    until: Option<u64>,
    sort: Option<String>,
    limit: Option<u32>,
    #[serde(rename = "page-token")]
    page_token: Option<String>,
}

impl Wanted {
    /// Returns the place behind which the page begins, as `parse` reads it.
    pub(super) fn place<P>(&self, parse: fn(&str) -> Option<P>) -> Result<Option<P>, ApiError> {
        let bad_token = || ApiError::Bad("page-token: it is not one of a page".to_owned());
        self.page_token.as_deref().map(|token| parse(token).ok_or_else(bad_token)).transpose()
    }

    /// Returns the filter and the most elements of the page.
    ///
    /// # Errors
    ///
    /// A value cannot be one. An order that no index serves is refused: sorted within a page alone, it
    /// would be wrong.
    pub(super) fn into_filter(self, open: &[&str]) -> Result<(Filter, u32), ApiError> {
        let limit = self.limit.unwrap_or(PAGE_LENGTH);
        if !(1..=MAX_PAGE_LENGTH).contains(&limit) {
            return Err(ApiError::Bad(format!("limit: 1 to {MAX_PAGE_LENGTH} are allowed")));
        }
        let is_state = |state: &str| open.contains(&state) || OUTCOMES.contains(&state);
        if self.state.as_deref().is_some_and(|state| !is_state(state)) {
            let all = [open, &OUTCOMES].concat().join(", ");
            return Err(ApiError::Bad(format!("state: one of {all} is needed")));
        }
        let order = match self.sort.as_deref() {
            None | Some("newest") => Order::Newest,
            Some("oldest") => Order::Oldest,
            Some(_) => return Err(ApiError::Bad("sort: newest or oldest is needed".to_owned())),
        };
        let filter = Filter {
            order,
            within: None,
            project: self.project,
            branch: self.branch,
            author: self.author,
            state: self.state,
            since_ms: self.since,
            until_ms: self.until,
        };
        Ok((filter, limit))
    }
}

fn answer_page<T>(page: ListPage<T>) -> Json<Page<T>> {
    let next_page_token = page.next.map(|place| place.to_string());
    Json(Page { items: page.items, next_page_token })
}

/// Jobs, by the time at which their pipelines were submitted, a page at a time. A page may have fewer
/// than `limit`, or none, and still name a next one. Jobs that a further run of a workflow kept are
/// listed once, where they ran.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/jobs", tag = "admin", operation_id = "list_jobs",
    params(("project" = Option<String>, Query, description = "Of this project"), ("branch" = Option<String>, Query, description = "Of this branch"), ("author" = Option<String>, Query, description = "Of pipelines that this one submitted"), ("state" = Option<String>, Query, description = "In this state: `blocked`, `on_hold`, `queued`, `running` or an outcome"), ("since" = Option<u64>, Query, description = "Submitted from this time on, in milliseconds since 1970"), ("until" = Option<u64>, Query, description = "Submitted before this time"), ("sort" = Option<String>, Query, description = "`newest` (the default) or `oldest` first"), ("limit" = Option<u32>, Query, description = "At most so many; 50 by default, 200 at most"), ("page-token" = Option<String>, Query, description = "The `next_page_token` of the page before")),
    responses((status = 200, description = "The page", body = russet_protocol::admin::Page<russet_protocol::admin::JobItem>)),
    security(("admin_token" = []))
))]
pub(super) async fn jobs(
    State(app): State<App>,
    access: Access,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Page<JobItem>>, ApiError> {
    let after = wanted.place(PlaceWithin::parse)?;
    let (mut filter, limit) = wanted.into_filter(&OPEN_JOBS)?;
    let mut conn = app.store.read().await?;
    filter.within = projects::within(&mut conn, &access.reach()).await?;
    Ok(answer_page(listed::read_jobs(&mut conn, &filter, after, limit).await?))
}

/// Workflows, by the time at which their pipelines were submitted, a page at a time, each run for
/// itself. A page may have fewer than `limit`, or none, and still name a next one.
#[cfg_attr(test, utoipa::path(
    get, path = "/api/v3/workflows", tag = "admin", operation_id = "list_workflows",
    params(("project" = Option<String>, Query, description = "Of this project"), ("branch" = Option<String>, Query, description = "Of this branch"), ("author" = Option<String>, Query, description = "Of pipelines that this one submitted"), ("state" = Option<String>, Query, description = "In this state: `queued`, `running` or an outcome"), ("since" = Option<u64>, Query, description = "Submitted from this time on, in milliseconds since 1970"), ("until" = Option<u64>, Query, description = "Submitted before this time"), ("sort" = Option<String>, Query, description = "`newest` (the default) or `oldest` first"), ("limit" = Option<u32>, Query, description = "At most so many; 50 by default, 200 at most"), ("page-token" = Option<String>, Query, description = "The `next_page_token` of the page before")),
    responses((status = 200, description = "The page", body = russet_protocol::admin::Page<russet_protocol::admin::WorkflowItem>)),
    security(("admin_token" = []))
))]
pub(super) async fn workflows(
    State(app): State<App>,
    access: Access,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Page<WorkflowItem>>, ApiError> {
    let after = wanted.place(PlaceWithin::parse)?;
    let (mut filter, limit) = wanted.into_filter(&OPEN_WORKFLOWS)?;
    let mut conn = app.store.read().await?;
    filter.within = projects::within(&mut conn, &access.reach()).await?;
    Ok(answer_page(listed::read_workflows(&mut conn, &filter, after, limit).await?))
}
