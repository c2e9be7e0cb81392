//! Content of messages: about alerts, or about a workflow or job of a project. Told apart by `type`.

use russet_protocol::alerts::AlertMessage;
use serde::Deserialize;

use super::text;
use crate::notify::{self, CompletedEvent, PING};

/// Content of a message.
#[derive(Debug)]
pub(super) enum Content {
    Alerts(AlertMessage),
    Completed(Box<CompletedEvent>),
    /// CircleCI's test event of a target of a project.
    Ping {
        /// Name of the target.
        label: String,
    },
}

#[derive(Deserialize)]
struct Typed {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Ping {
    webhook: Webhook,
}

#[derive(Deserialize)]
struct Webhook {
    name: String,
}

impl Content {
    /// Reads what is in the outbox.
    pub(super) fn parse(payload: &str) -> Result<Self, serde_json::Error> {
        let Typed { kind } = serde_json::from_str(payload)?;
        Ok(match kind.as_str() {
            kind if kind.starts_with("alerts.") => Self::Alerts(serde_json::from_str(payload)?),
            PING => {
                let Ping { webhook } = serde_json::from_str(payload)?;
                Self::Ping { label: webhook.name }
            }
            _ => Self::Completed(serde_json::from_str(payload)?),
        })
    }

    pub(super) fn is_of_alerts(&self) -> bool {
        matches!(self, Self::Alerts(_))
    }

    /// Type of an event of CircleCI's.
    pub(super) fn event_type(&self) -> Option<&'static str> {
        match self {
            Self::Alerts(_) => None,
            Self::Completed(event) => Some(event.kind.as_str()),
            Self::Ping { .. } => Some(PING),
        }
    }

    /// Returns the body for a webhook: that of the outbox, with the origin of the server in its link.
    pub(super) fn webhook_body(&self, payload: &str, origin: Option<&str>) -> String {
        match self {
            Self::Completed(event) => {
                serde_json::to_string(&with_origin(event, origin)).unwrap_or_default()
            }
            Self::Alerts(_) | Self::Ping { .. } => payload.to_owned(),
        }
    }

    /// Returns the subject of a mail.
    pub(super) fn subject(&self) -> String {
        match self {
            Self::Alerts(message) => text::subject(&message.data),
            Self::Completed(event) => notify::subject(event),
            Self::Ping { .. } => "[russet] test message".to_owned(),
        }
    }

    /// Returns the text for people.
    pub(super) fn text(&self, origin: Option<&str>) -> String {
        match self {
            Self::Alerts(message) => text::body(&message.data),
            Self::Completed(event) => notify::body(&with_origin(event, origin)),
            Self::Ping { label } => notify::ping_text(label),
        }
    }
}

fn with_origin(event: &CompletedEvent, origin: Option<&str>) -> CompletedEvent {
    let mut event = event.clone();
    event.workflow.url.insert_str(0, origin.unwrap_or_default());
    event
}
