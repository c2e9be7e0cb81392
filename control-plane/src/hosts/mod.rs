//! Hosts of repositories that are more than git: their APIs, by which the server proves a credential, tells states at
//! commits and makes webhooks.
//!
//! Addresses are those of Git remotes, under the same rules (`git/addresses.rs`): nothing on this machine or
//! its link unless the operator allows it, no redirects, bounded answers. Nothing here knows projects, pipelines
//! or the database.

mod access;
mod answer;
mod answers;
mod api_url;
mod app_key;
mod app_token;
mod calls;
mod client;
mod error;
mod find;
mod gitea;
mod github;
mod headers;
mod hooks;
mod repository_call;
mod statuses;
mod tokens;

pub(crate) use access::{ApiCredential, HostAccess, HostStatus};
pub(crate) use api_url::api_url;
pub(crate) use app_key::AppKey;
pub(crate) use calls::{check_access, newest_status, set_status};
pub(crate) use client::{HostRoom, MAX_ATTEMPT};
pub(crate) use error::{Failing, HostError};
pub(crate) use find::find_kind;
pub(crate) use hooks::put_hook;
