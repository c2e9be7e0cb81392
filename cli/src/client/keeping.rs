//! Retention, pins, deletion and what holds the disk.

use reqwest::Method;
use russet_protocol::keeping::{Retention, RetentionSettings, Usage};
use russet_text::encode_segment;

use super::Client;
use crate::error::Result;

impl Client {
    /// The settings of retention.
    pub(crate) async fn retention(&self) -> Result<RetentionSettings> {
        self.get("/api/v3/retention", &[]).await
    }

    /// Sets the retention of a project, or of all that have none of their own.
    pub(crate) async fn put_retention(
        &self,
        project: Option<&str>,
        settings: &Retention,
    ) -> Result<()> {
        let path = match project {
            Some(project) => format!("/api/v3/projects/{}/retention", encode_segment(project)),
            None => "/api/v3/retention".to_owned(),
        };
        self.send(self.request(Method::PUT, &path).json(settings)).await.map(drop)
    }

    /// Returns the usage of the disk, by project and kind.
    pub(crate) async fn usage(&self) -> Result<Usage> {
        self.get("/api/v3/usage", &[]).await
    }

    /// Pins a pipeline, or unpins it.
    pub(crate) async fn pin_pipeline(&self, id: &str, is_pinned: bool) -> Result<()> {
        let method = if is_pinned { Method::PUT } else { Method::DELETE };
        let path = format!("/api/v3/pipelines/{}/pin", encode_segment(id));
        self.send(self.request(method, &path)).await.map(drop)
    }

    /// Deletes a pipeline that has ended.
    pub(crate) async fn delete_pipeline(&self, id: &str) -> Result<()> {
        self.delete(&format!("/api/v3/pipelines/{}", encode_segment(id))).await
    }

    /// Deletes a project whose pipelines have ended.
    pub(crate) async fn delete_project(&self, project: &str) -> Result<()> {
        self.delete(&format!("/api/v3/projects/{}", encode_segment(project))).await
    }

    /// Deletes an artifact of a job that has ended.
    pub(crate) async fn delete_artifact(&self, job: &str, path: &str) -> Result<()> {
        let segments: Vec<String> = path.split('/').map(encode_segment).collect();
        let job = encode_segment(job);
        self.delete(&format!("/api/v3/jobs/{job}/artifacts/{}", segments.join("/"))).await
    }
}
