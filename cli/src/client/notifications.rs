//! Notifications and settings of projects.

use reqwest::Method;
use russet_protocol::admin::Items;
use russet_protocol::alerts::TestedTarget;
use russet_protocol::notifications::{MadeNotifyTarget, NewNotifyTarget, NotifyTargetItem};
use russet_protocol::project_settings::ProjectSettings;
use russet_text::encode_segment;

use super::Client;
use crate::error::Result;

fn targets_of(project: &str) -> String {
    format!("/api/v3/projects/{}/notifications", encode_segment(project))
}

fn target_path(project: &str, name: &str) -> String {
    format!("{}/{}", targets_of(project), encode_segment(name))
}

fn settings_of(project: &str) -> String {
    format!("/api/v3/projects/{}/settings", encode_segment(project))
}

impl Client {
    /// Returns the settings of a project.
    pub(crate) async fn project_settings(&self, project: &str) -> Result<ProjectSettings> {
        self.get(&settings_of(project), &[]).await
    }

    /// Sets the settings of a project.
    pub(crate) async fn put_project_settings(
        &self,
        project: &str,
        settings: &ProjectSettings,
    ) -> Result<()> {
        self.send(self.request(Method::PUT, &settings_of(project)).json(settings)).await?;
        Ok(())
    }

    /// Returns the targets of a project.
    pub(crate) async fn notify_targets(&self, project: &str) -> Result<Vec<NotifyTargetItem>> {
        let list: Items<_> = self.get(&targets_of(project), &[]).await?;
        Ok(list.items)
    }

    /// Adds a target to a project.
    pub(crate) async fn add_notify_target(
        &self,
        project: &str,
        new: &NewNotifyTarget,
    ) -> Result<MadeNotifyTarget> {
        self.post(&targets_of(project), new).await
    }

    /// Removes a target of a project.
    pub(crate) async fn remove_notify_target(&self, project: &str, name: &str) -> Result<()> {
        self.delete(&target_path(project, name)).await
    }

    /// Sends a test message to a target of a project.
    pub(crate) async fn test_notify_target(
        &self,
        project: &str,
        name: &str,
    ) -> Result<TestedTarget> {
        let path = format!("{}/test", target_path(project, name));
        self.fetch(self.request(Method::POST, &path)).await
    }
}
