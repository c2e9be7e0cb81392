//! Schedules of projects.

use reqwest::Method;
use russet_protocol::admin::Items;
use russet_protocol::schedules::{NewSchedule, ScheduleItem};
use russet_text::encode_segment;

use super::Client;
use crate::error::Result;

fn schedules_of(project: &str) -> String {
    format!("/api/v3/projects/{}/schedules", encode_segment(project))
}

fn schedule_path(project: &str, name: &str) -> String {
    format!("{}/{}", schedules_of(project), encode_segment(name))
}

impl Client {
    /// Returns the schedules of a project, each with its next time.
    pub(crate) async fn schedules(&self, project: &str) -> Result<Vec<ScheduleItem>> {
        let list: Items<_> = self.get(&schedules_of(project), &[]).await?;
        Ok(list.items)
    }

    /// Returns a schedule with its next times.
    pub(crate) async fn schedule(&self, project: &str, name: &str) -> Result<ScheduleItem> {
        self.get(&schedule_path(project, name), &[]).await
    }

    /// Adds a schedule to a project.
    pub(crate) async fn add_schedule(
        &self,
        project: &str,
        new: &NewSchedule,
    ) -> Result<ScheduleItem> {
        self.post(&schedules_of(project), new).await
    }

    /// Removes a schedule.
    pub(crate) async fn remove_schedule(&self, project: &str, name: &str) -> Result<()> {
        self.delete(&schedule_path(project, name)).await
    }

    /// Pauses a schedule, or lets it fire again.
    pub(crate) async fn set_schedule_paused(
        &self,
        project: &str,
        name: &str,
        is_paused: bool,
    ) -> Result<ScheduleItem> {
        let verb = if is_paused { "pause" } else { "resume" };
        let path = format!("{}/{verb}", schedule_path(project, name));
        self.fetch(self.request(Method::POST, &path)).await
    }
}
