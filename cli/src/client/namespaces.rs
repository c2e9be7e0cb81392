//! Namespaces.

use reqwest::Method;
use russet_protocol::admin::Items;
use russet_protocol::namespaces::{NamespaceItem, NamespaceOwner, NewNamespace, SetNamespaceOwner};
use russet_text::encode_segment;

use super::Client;
use crate::error::Result;

fn namespace_path(name: &str) -> String {
    format!("/api/v3/namespaces/{}", encode_segment(name))
}

impl Client {
    /// Returns the namespaces that the caller may see.
    pub(crate) async fn namespaces(&self) -> Result<Vec<NamespaceItem>> {
        let list: Items<_> = self.get("/api/v3/namespaces", &[]).await?;
        Ok(list.items)
    }

    /// Returns a namespace.
    pub(crate) async fn namespace(&self, name: &str) -> Result<NamespaceItem> {
        self.get(&namespace_path(name), &[]).await
    }

    /// Claims a namespace.
    pub(crate) async fn create_namespace(&self, new: &NewNamespace) -> Result<NamespaceItem> {
        self.post("/api/v3/namespaces", new).await
    }

    /// Gives a namespace to another owner.
    pub(crate) async fn set_namespace_owner(
        &self,
        name: &str,
        owner: NamespaceOwner,
    ) -> Result<NamespaceItem> {
        let path = format!("{}/owner", namespace_path(name));
        self.fetch(self.request(Method::PUT, &path).json(&SetNamespaceOwner { owner })).await
    }
}
