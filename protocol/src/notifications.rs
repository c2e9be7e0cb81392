//! Notifications: targets of a project, which hear of its workflows and jobs.

use serde::{Deserialize, Serialize};

use crate::alerts::TargetKind;
use crate::names::named;
use crate::secret::Secret;

/// Event that a target hears of, under CircleCI's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum NotifyEvent {
    /// A workflow has ended.
    WorkflowCompleted,
    /// A job that ran steps, or was canceled or refused before, has ended.
    JobCompleted,
}

impl NotifyEvent {
    /// Name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WorkflowCompleted => "workflow-completed",
            Self::JobCompleted => "job-completed",
        }
    }
}

/// Outcomes that a target hears of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NotifyOn {
    /// All.
    #[default]
    Always,
    /// All but success and cancellation.
    Failure,
    /// Those that differ from the last one of the same workflow or job on the same branch; canceled ones
    /// do not count. The first one on a branch is told of unless it is success.
    Change,
}

named!(NotifyOn: Always = "always", Failure = "failure", Change = "change");

/// Target of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NotifyTargetItem {
    /// Id, which payloads have as `webhook.id`.
    pub id: String,
    /// Name, unique in the project.
    pub name: String,
    /// Protocol. A webhook gets CircleCI's payloads.
    pub kind: TargetKind,
    /// Host of the URL, or the mail address. The URL itself is a secret.
    pub address: String,
    /// Events that it hears of.
    pub events: Vec<NotifyEvent>,
    /// Outcomes that it hears of.
    pub on: NotifyOn,
    /// Person whose pipelines it hears of. None: everybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Time at which it was added, in milliseconds since 1970.
    pub created_ms: u64,
    /// Number of messages that have yet to be delivered.
    pub waiting: u64,
    /// Time of the last delivery, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_ms: Option<u64>,
    /// Reason why the newest message was not delivered at the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// `POST /api/v3/projects/{project}/notifications`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewNotifyTarget {
    /// Name: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Protocol.
    pub kind: TargetKind,
    /// URL, or mail address.
    pub address: Secret,
    /// Secret that payloads of a webhook are signed with. None: one is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<Secret>,
    /// Events that it hears of. Empty: `workflow-completed`.
    #[serde(default)]
    pub events: Vec<NotifyEvent>,
    /// Outcomes that it hears of.
    #[serde(default)]
    pub on: NotifyOn,
    /// Person whose pipelines it hears of. None: everybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
}

/// The answer to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MadeNotifyTarget {
    /// The target.
    pub target: NotifyTargetItem,
    /// Secret that was made for a webhook. Shown this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<Secret>,
}
