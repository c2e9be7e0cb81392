//! Limits of tasks at once.

use reqwest::Method;
use russet_protocol::admin::Items;
use russet_protocol::limits::{LimitItem, LimitScope, SetLimit};
use russet_text::encode_segment;

use super::Client;
use crate::error::Result;

fn path_of(scope: LimitScope, name: &str) -> String {
    format!("/api/v3/limits/{}/{}", scope.as_str(), encode_segment(name))
}

impl Client {
    /// Returns the limits.
    pub(crate) async fn limits(&self) -> Result<Vec<LimitItem>> {
        let list: Items<_> = self.get("/api/v3/limits", &[]).await?;
        Ok(list.items)
    }

    /// Sets a limit.
    pub(crate) async fn set_limit(
        &self,
        scope: LimitScope,
        name: &str,
        most: u32,
    ) -> Result<LimitItem> {
        self.fetch(self.request(Method::PUT, &path_of(scope, name)).json(&SetLimit { most })).await
    }

    /// Removes a limit.
    pub(crate) async fn remove_limit(&self, scope: LimitScope, name: &str) -> Result<()> {
        self.delete(&path_of(scope, name)).await
    }
}
