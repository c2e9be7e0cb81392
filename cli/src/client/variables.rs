//! Contexts, and the variables of contexts and projects.

use reqwest::Method;
use russet_protocol::admin::{
    AddSshKey, ContextItem, Items, SetContext, SetVariable, SshKeyItem, VariableItem,
};
use russet_protocol::secret::Secret;
use russet_text::encode_segment;

use super::Client;
use crate::error::Result;

/// Owner of variables, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Context(String),
    Project(String),
}

impl Owner {
    fn path(&self) -> String {
        match self {
            Self::Context(name) => format!("/api/v3/contexts/{}/env", encode_segment(name)),
            Self::Project(name) => format!("/api/v3/projects/{}/env", encode_segment(name)),
        }
    }
}

impl Client {
    /// The contexts, by name.
    pub(crate) async fn contexts(&self) -> Result<Vec<ContextItem>> {
        let list: Items<_> = self.get("/api/v3/contexts", &[]).await?;
        Ok(list.items)
    }

    /// Makes a context, or says anew which projects may use it.
    pub(crate) async fn put_context(&self, name: &str, wish: &SetContext) -> Result<ContextItem> {
        let path = format!("/api/v3/contexts/{}", encode_segment(name));
        self.fetch(self.request(Method::PUT, &path).json(wish)).await
    }

    /// Deletes a context with its variables.
    pub(crate) async fn delete_context(&self, name: &str) -> Result<()> {
        self.delete(&format!("/api/v3/contexts/{}", encode_segment(name))).await
    }

    /// The variables, by name; without their values, which nobody is shown.
    pub(crate) async fn variables(&self, of: &Owner) -> Result<Vec<VariableItem>> {
        let list: Items<_> = self.get(&of.path(), &[]).await?;
        Ok(list.items)
    }

    /// Sets a variable.
    pub(crate) async fn set_variable(&self, of: &Owner, name: &str, value: Secret) -> Result<()> {
        let path = format!("{}/{}", of.path(), encode_segment(name));
        self.send(self.request(Method::PUT, &path).json(&SetVariable { value })).await.map(drop)
    }

    /// The SSH keys of a project, by their fingerprints.
    pub(crate) async fn ssh_keys(&self, project: &str) -> Result<Vec<SshKeyItem>> {
        let list: Items<_> = self.get(&ssh_keys_of(project), &[]).await?;
        Ok(list.items)
    }

    /// Adds an SSH key to a project.
    pub(crate) async fn add_ssh_key(&self, project: &str, key: &AddSshKey) -> Result<SshKeyItem> {
        self.fetch(self.request(Method::POST, &ssh_keys_of(project)).json(key)).await
    }

    /// Removes an SSH key of a project.
    pub(crate) async fn remove_ssh_key(&self, project: &str, fingerprint: &str) -> Result<()> {
        self.delete(&format!("{}/{}", ssh_keys_of(project), encode_segment(fingerprint))).await
    }

    /// Removes a variable.
    pub(crate) async fn unset_variable(&self, of: &Owner, name: &str) -> Result<()> {
        self.delete(&format!("{}/{}", of.path(), encode_segment(name))).await
    }
}

fn ssh_keys_of(project: &str) -> String {
    format!("/api/v3/projects/{}/ssh-keys", encode_segment(project))
}
