//! Webhooks by which hosts of repositories tell of changes.

use serde::{Deserialize, Serialize};

use crate::names::named;
use crate::secret::Secret;

/// Path to which GitHub sends events.
pub const GITHUB_WEBHOOK_PATH: &str = "/webhooks/github";

/// Events of GitHub that are of use.
pub const GITHUB_EVENTS: [&str; 4] = ["push", "pull_request", "check_run", "check_suite"];

/// Shortest secret that is taken, in bytes.
pub const MIN_SECRET_BYTES: usize = 16;

/// Longest secret that is taken, in bytes.
pub const MAX_SECRET_BYTES: usize = 255;

/// `PUT /api/v3/projects/{project}/webhook`: takes webhooks of the project's repository.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookWish {
    /// The secret, where the host has one already. Without it one is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// Make another secret than the one that there is.
    #[serde(default)]
    pub rotate: bool,
    /// Make the webhook at the host too, or set the one anew that is there.
    #[serde(default)]
    pub create: bool,
}

/// A webhook, as the host has to be told of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WebhookSetup {
    /// Address to which it is sent; none: the server does not know its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Path of that address.
    pub path: String,
    /// Events to choose.
    pub events: Vec<String>,
    /// The secret, if it was made now. It is not shown again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// Set where the webhook was made at the host: nothing is to be entered there.
    #[serde(default)]
    pub is_made: bool,
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeliveryOutcome {
    /// What it says was noted.
    Noted,
    /// It does not fit to what was seen last: the remote is asked.
    Asked,
    /// It is of no use.
    Ignored,
    /// It cannot be read. It is taken again when it comes again.
    Failed,
}

named!(
    DeliveryOutcome: Noted = "noted",
    Asked = "asked",
    Ignored = "ignored",
    Failed = "failed",
);

/// A delivery of a webhook whose signature was right.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeliveryItem {
    /// Its id, as the host has it.
    pub id: String,
    /// The event.
    pub event: String,
    /// What was done, for events that say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Time at which it came last, in milliseconds since 1970.
    pub received_ms: u64,
    /// What became of it.
    pub outcome: DeliveryOutcome,
    /// The same, for people.
    pub message: String,
    /// Set while its text is here, so that it can be taken once more.
    pub has_payload: bool,
}

/// The answer to a delivery.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeliveryAnswer {
    /// What became of it, for each project of the repository.
    pub results: Vec<DeliveryResult>,
}

/// What became of a delivery for a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DeliveryResult {
    /// The project.
    pub project: String,
    /// What became of it.
    pub outcome: DeliveryOutcome,
    /// The same, for people.
    pub message: String,
}
