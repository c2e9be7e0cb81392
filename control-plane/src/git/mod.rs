//! Git remotes, reached by `git` itself: what they list, one commit of theirs, its configuration and its
//! source.
//!
//! `git` runs as the server's user, which has no rights of its own (`command.rs` says with which
//! environment), within limits of time and size. A mirror is a cache: each server has its own, and one that
//! is gone, damaged or too large is made anew. Nothing here knows projects, pipelines or the database.

mod addresses;
mod archive;
mod command;
mod credential;
mod error;
mod history;
mod key;
mod mirror;
mod refs;
mod remote;
mod remote_url;
mod room;
mod run;
mod tree;

use std::time::Duration;

use crate::listen::ProxyRange;

pub(crate) use addresses::{AddressError, choose_address};
pub(crate) use archive::{PackedSource, SourceNames, pack_source};
pub(crate) use credential::RemoteCredential;
pub(crate) use error::GitError;
pub(crate) use history::HistoryWish;
pub(crate) use key::{make_deploy_key, show_host_keys};
pub(crate) use refs::{RemoteRefs, is_hash, is_ref_name};
pub(crate) use remote::{Remote, list_refs};
pub(crate) use remote_url::{AllowedTransports, RemoteUrl, Transport, UrlError};
pub(crate) use room::{GitRoom, MAX_PARALLEL};
pub(crate) use run::GitTalk;
pub(crate) use tree::{Head, read_config_files, read_head};

/// Remotes that the operator allows, and limits of what they may cost.
#[derive(Clone, Debug)]
pub struct GitSettings {
    /// Take `http://` addresses.
    pub allow_http: bool,
    /// Take `file://` addresses: repositories of the server's own machine.
    pub allow_file: bool,
    /// Ranges of loopback, link-local and metadata addresses that remotes may be at.
    pub allow_to: Vec<ProxyRange>,
    /// Bytes that a commit's tree, and a mirror, may have.
    pub max_bytes: u64,
    /// Files that a commit's tree may have.
    pub max_files: u64,
    /// Time that a fetch may take.
    pub fetch_timeout: Duration,
}

impl Default for GitSettings {
    fn default() -> Self {
        Self {
            allow_http: false,
            allow_file: false,
            allow_to: Vec::new(),
            max_bytes: 4 << 30,
            max_files: 1_000_000,
            fetch_timeout: Duration::from_secs(15 * 60),
        }
    }
}

impl GitSettings {
    /// Returns the transports that are taken.
    pub(crate) fn transports(&self) -> AllowedTransports {
        AllowedTransports { http: self.allow_http, file: self.allow_file }
    }
}
