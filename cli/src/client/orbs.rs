//! Orbs of the control plane.

use reqwest::Method;
use russet_protocol::admin::{Items, Orb, OrbItem, PutOrb};
use russet_text::encode_segment;

use super::Client;
use crate::error::Result;

/// Returns the path of an orb. Its name has a slash, which separates two parts of the path.
fn orb_path(name: &str, version: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    format!(
        "/api/v3/orbs/{}/{}/{}",
        encode_segment(namespace),
        encode_segment(name),
        encode_segment(version)
    )
}

impl Client {
    /// All orbs, by name.
    pub(crate) async fn orbs(&self) -> Result<Vec<OrbItem>> {
        let list: Items<_> = self.get("/api/v3/orbs", &[]).await?;
        Ok(list.items)
    }

    /// An orb with its source.
    pub(crate) async fn orb(&self, name: &str, version: &str) -> Result<Orb> {
        self.get(&orb_path(name, version), &[]).await
    }

    /// Adds an orb.
    pub(crate) async fn put_orb(&self, orb: &Orb) -> Result<()> {
        let body = PutOrb { source: orb.source.clone() };
        let path = orb_path(&orb.name, &orb.version);
        self.send(self.request(Method::PUT, &path).json(&body)).await.map(drop)
    }

    /// Removes an orb.
    pub(crate) async fn delete_orb(&self, name: &str, version: &str) -> Result<()> {
        self.delete(&orb_path(name, version)).await
    }
}
