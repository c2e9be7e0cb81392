//! Payloads of GitHub, as far as they are of use
//! (docs.github.com/webhooks/webhook-events-and-payloads). Fields that are missing are empty: what an event
//! needs is looked for when it is read.

use serde::Deserialize;

/// A payload of any event.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Payload {
    pub(crate) action: Option<String>,
    pub(crate) repository: Option<Repository>,
    pub(crate) sender: Option<Account>,
    /// Of pushes.
    #[serde(rename = "ref")]
    pub(crate) reference: Option<String>,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
    pub(crate) deleted: bool,
    pub(crate) head_commit: Option<Commit>,
    pub(crate) pull_request: Option<PullRequest>,
    pub(crate) check_run: Option<Check>,
    pub(crate) check_suite: Option<Check>,
}

/// A repository.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Repository {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) owner: Account,
    pub(crate) html_url: String,
    pub(crate) clone_url: String,
    pub(crate) ssh_url: String,
}

/// An account. Owners of repositories in pushes have a `name` beside their `login`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Account {
    pub(crate) login: String,
    pub(crate) avatar_url: String,
}

/// The newest commit of a push.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Commit {
    pub(crate) id: String,
    pub(crate) url: String,
}

/// A pull request.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PullRequest {
    pub(crate) number: u64,
    pub(crate) title: String,
    pub(crate) html_url: String,
    pub(crate) draft: bool,
    pub(crate) merged: Option<bool>,
    pub(crate) user: Option<Account>,
    pub(crate) head: Side,
    pub(crate) base: Side,
}

/// Side of a pull request: what is to be merged, or what into.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Side {
    #[serde(rename = "ref")]
    pub(crate) reference: String,
    pub(crate) sha: String,
    /// Null where the fork was deleted.
    pub(crate) repo: Option<Repository>,
}

/// A check run or suite.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Check {
    pub(crate) head_sha: String,
}

impl PullRequest {
    /// Returns true where its commits are of another repository than the one that they are for.
    pub(crate) fn is_of_fork(&self) -> bool {
        let id = |side: &Side| side.repo.as_ref().map(|repo| repo.id).filter(|id| *id != 0);
        // Of a fork that was deleted nothing is known but that it is one.
        id(&self.head).is_none() || id(&self.head) != id(&self.base)
    }
}
