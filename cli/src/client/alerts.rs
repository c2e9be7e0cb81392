//! Alerts and their targets.

use reqwest::Method;
use russet_protocol::admin::Items;
use russet_protocol::alerts::{
    AlertItem, AlertTargetItem, MadeAlertTarget, NewAlertTarget, TestedTarget,
};
use russet_text::encode_segment;

use super::Client;
use crate::error::Result;

fn target_path(name: &str) -> String {
    format!("/api/v3/alert-targets/{}", encode_segment(name))
}

impl Client {
    /// Returns the alerts that are open, then the newest that ended.
    pub(crate) async fn alerts(&self) -> Result<Vec<AlertItem>> {
        let list: Items<_> = self.get("/api/v3/alerts", &[]).await?;
        Ok(list.items)
    }

    /// Returns the targets of alerts.
    pub(crate) async fn alert_targets(&self) -> Result<Vec<AlertTargetItem>> {
        let list: Items<_> = self.get("/api/v3/alert-targets", &[]).await?;
        Ok(list.items)
    }

    /// Adds a target.
    pub(crate) async fn add_alert_target(&self, new: &NewAlertTarget) -> Result<MadeAlertTarget> {
        self.post("/api/v3/alert-targets", new).await
    }

    /// Removes a target.
    pub(crate) async fn remove_alert_target(&self, name: &str) -> Result<()> {
        self.delete(&target_path(name)).await
    }

    /// Sends a test message to a target.
    pub(crate) async fn test_alert_target(&self, name: &str) -> Result<TestedTarget> {
        self.fetch(self.request(Method::POST, &format!("{}/test", target_path(name)))).await
    }
}
