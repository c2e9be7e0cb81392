//! Projects that are connected to a Git remote.

use reqwest::Method;
use russet_protocol::admin::Items;
use russet_protocol::projects::{
    BuildProject, ConnectProject, ConnectionDetails, ConnectionItem, TriggerItem,
};
use russet_protocol::webhooks::{DeliveryItem, DeliveryResult, WebhookSetup, WebhookWish};
use russet_text::encode_segment;

use super::Client;
use crate::error::Result;

impl Client {
    /// The connected projects, by name.
    pub(crate) async fn connections(&self) -> Result<Vec<ConnectionItem>> {
        let list: Items<_> = self.get("/api/v3/connections", &[]).await?;
        Ok(list.items)
    }

    /// A connected project, with its newest triggers.
    pub(crate) async fn connection(&self, project: &str) -> Result<ConnectionDetails> {
        self.get(&path_of(project), &[]).await
    }

    /// Connects a project, or says anew how.
    pub(crate) async fn connect_project(
        &self,
        project: &str,
        wish: &ConnectProject,
    ) -> Result<ConnectionItem> {
        self.fetch(self.request(Method::PUT, &path_of(project)).json(wish)).await
    }

    /// Disconnects a project.
    pub(crate) async fn disconnect_project(&self, project: &str) -> Result<()> {
        self.delete(&path_of(project)).await
    }

    /// Has the remote of a project polled now.
    pub(crate) async fn poll_project(&self, project: &str) -> Result<()> {
        let path = format!("{}/poll", path_of(project));
        self.send_repeatable(self.request(Method::POST, &path)).await.map(drop)
    }

    /// Has the newest commit of a branch or tag built.
    pub(crate) async fn build_project(
        &self,
        project: &str,
        wish: &BuildProject,
    ) -> Result<ConnectionDetails> {
        let path = format!("{}/build", path_of(project));
        self.fetch(self.request(Method::POST, &path).json(wish)).await
    }

    /// Takes webhooks of the repository of a project.
    pub(crate) async fn put_webhook(
        &self,
        project: &str,
        wish: &WebhookWish,
    ) -> Result<WebhookSetup> {
        let path = format!("{}/webhook", project_path(project));
        self.fetch(self.request(Method::PUT, &path).json(wish)).await
    }

    /// Takes no webhooks of the repository of a project any more.
    pub(crate) async fn delete_webhook(&self, project: &str) -> Result<()> {
        self.delete(&format!("{}/webhook", project_path(project))).await
    }

    /// The newest deliveries of webhooks of a project.
    pub(crate) async fn deliveries(&self, project: &str) -> Result<Vec<DeliveryItem>> {
        let path = format!("{}/deliveries", project_path(project));
        let list: Items<_> = self.get(&path, &[]).await?;
        Ok(list.items)
    }

    /// Has a delivery taken once more.
    pub(crate) async fn redeliver(&self, project: &str, delivery: &str) -> Result<DeliveryResult> {
        let (project, delivery) = (project_path(project), encode_segment(delivery));
        let path = format!("{project}/deliveries/{delivery}/redeliver");
        self.fetch(self.request(Method::POST, &path)).await
    }

    /// Lets a commit of a fork through.
    pub(crate) async fn approve_trigger(
        &self,
        project: &str,
        trigger: &str,
    ) -> Result<TriggerItem> {
        let (project, trigger) = (project_path(project), encode_segment(trigger));
        let path = format!("{project}/triggers/{trigger}/approve");
        self.fetch(self.request(Method::POST, &path)).await
    }
}

fn project_path(project: &str) -> String {
    format!("/api/v3/projects/{}", encode_segment(project))
}

fn path_of(project: &str) -> String {
    format!("{}/connection", project_path(project))
}
