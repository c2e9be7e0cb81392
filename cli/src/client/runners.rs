//! Resource classes, tokens and runners: the part of the API that is CircleCI's.

use std::collections::BTreeMap;

use reqwest::{Method, StatusCode};
use russet_protocol::admin::{
    ClassAlias, ClassSsh, Items, NewResourceClass, NewToken, Pin, PinnedClass, ResourceClassItem,
    RunnerItem, TokenItem,
};
use russet_protocol::machine::{PauseRunners, RenameRunner, RunnerChoice};
use russet_protocol::resource_class::ResourceClass;
use russet_text::encode_segment;

use super::Client;
use crate::error::Result;

/// The filter of lists that lets everything through: a control plane has one organization, whatever
/// it is called.
const ALL: (&str, &str) = ("org-id", "all");

impl Client {
    /// Makes a resource class.
    pub(crate) async fn create_class(&self, new: &NewResourceClass) -> Result<ResourceClassItem> {
        self.post("/api/v3/runner/resource", new).await
    }

    /// Returns the resource classes of a namespace, or all of them.
    pub(crate) async fn classes(&self, namespace: Option<&str>) -> Result<Vec<ResourceClassItem>> {
        let filter = namespace.map_or(ALL, |namespace| ("namespace", namespace));
        let list: Items<_> = self.get("/api/v3/runner/resource", &[filter]).await?;
        Ok(list.items)
    }

    /// The classes that other names of machines stand for; none where the control plane is of a
    /// version that knows no such names.
    pub(crate) async fn class_aliases(&self) -> Result<BTreeMap<String, ResourceClass>> {
        let request = Self::built(self.request(Method::GET, "/api/v3/class-aliases"))?;
        let answer = self.ask(request, true).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(BTreeMap::new());
        }
        if !answer.status.is_success() {
            return Err(self.refused(answer.status, &answer.read));
        }
        let list: Items<ClassAlias> = self.parsed(&answer.read)?;
        Ok(list.items.into_iter().map(|item| (item.name, item.resource_class)).collect())
    }

    /// Pauses or drains runners; returns them.
    pub(crate) async fn pause_runners(&self, request: &PauseRunners) -> Result<Vec<RunnerItem>> {
        let list: Items<_> = self.post("/api/v3/runner/pause", request).await?;
        Ok(list.items)
    }

    /// Lifts the pauses of runners; returns them.
    pub(crate) async fn resume_runners(&self, of: &RunnerChoice) -> Result<Vec<RunnerItem>> {
        let list: Items<_> = self.post("/api/v3/runner/resume", of).await?;
        Ok(list.items)
    }

    /// Calls a runner by another name; returns it.
    pub(crate) async fn rename_runner(&self, request: &RenameRunner) -> Result<Vec<RunnerItem>> {
        let list: Items<_> = self.post("/api/v3/runner/rename", request).await?;
        Ok(list.items)
    }

    /// Forgets runners.
    pub(crate) async fn remove_runners(&self, of: &RunnerChoice) -> Result<()> {
        let request = self.request(Method::POST, "/api/v3/runner/remove").json(of);
        self.send(request).await.map(drop)
    }

    /// Deletes a resource class; with `force` its tokens as well.
    pub(crate) async fn delete_class(&self, id: &str, force: bool) -> Result<()> {
        let end = if force { "/force" } else { "" };
        self.delete(&format!("/api/v3/runner/resource/{}{end}", encode_segment(id))).await
    }

    /// Says whether people reach the tasks of a class by SSH.
    pub(crate) async fn set_class_ssh(&self, id: &str, ssh: ClassSsh) -> Result<ResourceClassItem> {
        let path = format!("/api/v3/runner/resource/{}/ssh", encode_segment(id));
        self.fetch(self.request(Method::PUT, &path).json(&ssh)).await
    }

    /// Says what the runners of a class are to run; without a pin, as those of any other.
    pub(crate) async fn pin_class(&self, id: &str, pin: Option<&Pin>) -> Result<PinnedClass> {
        let path = format!("/api/v3/runner/resource/{}/pin", encode_segment(id));
        self.fetch(match pin {
            Some(pin) => self.request(Method::PUT, &path).json(pin),
            None => self.request(Method::DELETE, &path),
        })
        .await
    }

    /// Makes a token of a class. The answer is the only one that has the token itself.
    pub(crate) async fn create_token(&self, new: &NewToken) -> Result<TokenItem> {
        self.post("/api/v3/runner/token", new).await
    }

    /// The tokens of a class.
    pub(crate) async fn tokens(&self, class: &ResourceClass) -> Result<Vec<TokenItem>> {
        let list: Items<_> =
            self.get("/api/v3/runner/token", &[("resource-class", class.as_str())]).await?;
        Ok(list.items)
    }

    /// Revokes a token.
    pub(crate) async fn delete_token(&self, id: &str) -> Result<()> {
        self.delete(&format!("/api/v3/runner/token/{}", encode_segment(id))).await
    }

    /// Returns the runners of a class or of a namespace, or all of them.
    pub(crate) async fn runners(&self, of: Option<&str>) -> Result<Vec<RunnerItem>> {
        let filter = of
            .map_or(ALL, |of| (if of.contains('/') { "resource-class" } else { "namespace" }, of));
        let list: Items<_> = self.get("/api/v3/runner", &[filter]).await?;
        Ok(list.items)
    }
}
