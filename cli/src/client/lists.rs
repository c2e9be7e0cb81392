//! Lists of pipelines, workflows and jobs, a page at a time.

use russet_protocol::admin::{JobItem, Page, Pipeline, WorkflowItem};
use serde::de::DeserializeOwned;

use super::Client;
use crate::error::Result;

/// Most elements that a control plane answers at once.
const MAX_PAGE: u32 = 200;

/// Which pipelines, or parts of them, are listed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) project: Option<String>,
    pub(crate) branch: Option<String>,
    pub(crate) author: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) since_ms: Option<u64>,
    pub(crate) until_ms: Option<u64>,
    /// The oldest first instead of the newest.
    pub(crate) is_oldest_first: bool,
}

/// Element of such a list.
pub(crate) trait Listed: DeserializeOwned {
    /// Path of the list.
    const PATH: &'static str;
}

impl Listed for Pipeline {
    const PATH: &'static str = "/api/v3/pipelines";
}

impl Listed for WorkflowItem {
    const PATH: &'static str = "/api/v3/workflows";
}

impl Listed for JobItem {
    const PATH: &'static str = "/api/v3/jobs";
}

impl Client {
    /// A page of a list, of at most `limit`.
    pub(crate) async fn list_page<T: Listed>(
        &self,
        filter: &Filter,
        limit: u32,
        token: Option<&str>,
    ) -> Result<Page<T>> {
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let query = [
            ("project", filter.project.clone()),
            ("branch", filter.branch.clone()),
            ("author", filter.author.clone()),
            ("state", filter.state.clone()),
            ("since", number(filter.since_ms)),
            ("until", number(filter.until_ms)),
            ("sort", filter.is_oldest_first.then(|| "oldest".to_owned())),
            ("limit", Some(limit.min(MAX_PAGE).to_string())),
            ("page-token", token.map(str::to_owned)),
        ];
        let query: Vec<_> =
            query.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
        self.get(T::PATH, &query).await
    }
}
