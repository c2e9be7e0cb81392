//! Reruns with SSH, and the keys of their people.

use reqwest::{Method, RequestBuilder};
use russet_protocol::admin::{Items, RerunKind, Workflow};
use russet_protocol::ssh::{ExtendHold, NewPersonalKey, PersonalKeyItem, SshItem, SshRerun};
use russet_text::encode_segment;

use super::Client;
use super::pipelines::rerun_query;
use crate::error::Result;

fn ssh_path(job: &str) -> String {
    format!("/api/v3/jobs/{}/ssh", encode_segment(job))
}

impl Client {
    /// Returns one's own public keys.
    pub(crate) async fn own_ssh_keys(&self) -> Result<Vec<PersonalKeyItem>> {
        let list: Items<_> = self.get("/api/v3/me/ssh-keys", &[]).await?;
        Ok(list.items)
    }

    /// Keeps a public key of one's own.
    pub(crate) async fn add_own_ssh_key(&self, new: &NewPersonalKey) -> Result<PersonalKeyItem> {
        self.post("/api/v3/me/ssh-keys", new).await
    }

    /// Removes a public key of one's own.
    pub(crate) async fn remove_own_ssh_key(&self, id: &str) -> Result<()> {
        self.delete(&format!("/api/v3/me/ssh-keys/{}", encode_segment(id))).await
    }

    /// Runs a job again with SSH. Returns the further run of its workflow.
    pub(crate) async fn rerun_job_with_ssh(
        &self,
        id: &str,
        kind: RerunKind,
        by: &str,
        ssh: &SshRerun,
    ) -> Result<Workflow> {
        let path = format!("/api/v3/jobs/{}/ssh/rerun", encode_segment(id));
        let request = self.request(Method::POST, &path).query(&rerun_query(kind, by));
        self.fetch(request.json(ssh)).await
    }

    /// Returns the ways into the tasks of a job.
    pub(crate) async fn job_ssh(&self, id: &str) -> Result<Vec<SshItem>> {
        let list: Items<_> = self.get(&ssh_path(id), &[]).await?;
        Ok(list.items)
    }

    /// Adds time to the hold of a job's tasks.
    pub(crate) async fn extend_job_ssh(
        &self,
        id: &str,
        by_ms: u64,
        by: &str,
    ) -> Result<Vec<SshItem>> {
        let request = self.request(Method::POST, &format!("{}/extend", ssh_path(id)));
        let request = request.query(&[("as", by)]).json(&ExtendHold { by_ms });
        let list: Items<_> = self.fetch(request).await?;
        Ok(list.items)
    }

    /// Returns the call that opens the WebSocket to a task.
    pub(crate) fn job_ssh_tunnel(&self, id: &str, node: u32, by: &str) -> RequestBuilder {
        let request = self.request(Method::GET, &format!("{}/tunnel", ssh_path(id)));
        request.query(&[("node", node.to_string().as_str()), ("as", by)])
    }

    /// Ends the hold of a job's tasks.
    pub(crate) async fn end_job_ssh(&self, id: &str, by: &str) -> Result<Vec<SshItem>> {
        let request = self.request(Method::POST, &format!("{}/end", ssh_path(id)));
        let list: Items<_> = self.fetch(request.query(&[("as", by)])).await?;
        Ok(list.items)
    }
}
