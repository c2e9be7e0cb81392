//! Alerts: conditions of a farm that people hear of, and the targets that hear of them.

use serde::{Deserialize, Serialize};

use crate::names::named;
use crate::secret::Secret;

/// Condition that people hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// A machine vanished without a goodbye.
    MachineLost,
    /// A machine found something wrong with itself.
    MachineUnhealthy,
    /// Tasks wait, and no machine of their class asks for one.
    ClassWithoutMachines,
    /// A machine took an update back.
    UpdateRolledBack,
    /// A runner token expires within 14 days, or has expired.
    TokenExpires,
    /// A runner token expires within a day, or has expired.
    TokenExpiresInADay,
    /// A server's certificate expires within 30 days, or has expired.
    CertificateExpires,
    /// A server's certificate expires within a week, or has expired.
    CertificateExpiresInAWeek,
    /// The files of a server's certificate cannot be used; the one before is in use.
    CertificateNotRenewed,
}

impl AlertKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::MachineLost,
        Self::MachineUnhealthy,
        Self::ClassWithoutMachines,
        Self::UpdateRolledBack,
        Self::TokenExpires,
        Self::TokenExpiresInADay,
        Self::CertificateExpires,
        Self::CertificateExpiresInAWeek,
        Self::CertificateNotRenewed,
    ];

    /// Name in the API and the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MachineLost => "machine_lost",
            Self::MachineUnhealthy => "machine_unhealthy",
            Self::ClassWithoutMachines => "class_without_machines",
            Self::UpdateRolledBack => "update_rolled_back",
            Self::TokenExpires => "token_expires",
            Self::TokenExpiresInADay => "token_expires_in_a_day",
            Self::CertificateExpires => "certificate_expires",
            Self::CertificateExpiresInAWeek => "certificate_expires_in_a_week",
            Self::CertificateNotRenewed => "certificate_not_renewed",
        }
    }

    /// Returns true for a condition of one server, which the others do not see.
    #[must_use]
    pub fn is_of_server(self) -> bool {
        matches!(
            self,
            Self::CertificateExpires
                | Self::CertificateExpiresInAWeek
                | Self::CertificateNotRenewed
        )
    }
}

/// A condition from the moment that it was noticed until it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertItem {
    /// Id of the alert.
    pub id: String,
    /// Kind of the condition.
    pub kind: AlertKind,
    /// Name of the machine or class, as `acme/mini` or `acme/mini/mini-7`; of a token, that of its class
    /// with its id; of a server, that of its machine with its port.
    pub subject: String,
    /// Description for people, as it was when the alert was opened.
    pub detail: String,
    /// Time at which it was opened, in milliseconds since 1970.
    pub opened_ms: u64,
    /// Time at which the condition ended. None: it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_ms: Option<u64>,
}

/// Protocol of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// JSON by POST, signed as the Standard Webhooks specification says.
    Webhook,
    /// Mail, through the server's `--mail-server`.
    Mail,
    /// JSON with a text, as incoming webhooks of Slack, Mattermost and others take it.
    Slack,
}

named!(TargetKind: Webhook = "webhook", Mail = "mail", Slack = "slack");

/// Target that hears of alerts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AlertTargetItem {
    /// Name, unique on the server.
    pub name: String,
    /// Protocol.
    pub kind: TargetKind,
    /// Host of the URL, or the mail address. The URL itself is a secret.
    pub address: String,
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

/// `POST /api/v3/alert-targets`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewAlertTarget {
    /// Name: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Protocol.
    pub kind: TargetKind,
    /// URL, or mail address.
    pub address: Secret,
}

/// The answer to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MadeAlertTarget {
    /// The target.
    pub target: AlertTargetItem,
    /// Secret that messages to a webhook are signed with, as `whsec_…`. Shown this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<Secret>,
}

/// Result of a test message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TestedTarget {
    /// Reason why the message was not taken. None: it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// Message to a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertMessage {
    /// `alerts.changed`, or `alerts.test`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Time of the message, as RFC 3339.
    pub timestamp: String,
    /// Content.
    pub data: AlertChanges,
}

/// Alerts that were opened and closed at the same moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertChanges {
    /// Alerts that were opened.
    pub opened: Vec<AlertItem>,
    /// Alerts whose condition ended.
    pub resolved: Vec<AlertItem>,
    /// Origin of the server, where it knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
}
