//! Notifications over D-Bus (`org.freedesktop.Notifications`).

use std::collections::HashMap;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use zbus::zvariant::Value;

use crate::controller::Notice;

/// Tells a person something, one thing after the other.
#[derive(Debug)]
pub(super) struct Notifier(UnboundedSender<Notice>);

impl Notifier {
    /// One that connects when there is something to tell.
    pub(super) fn start() -> Self {
        let (sender, notices) = unbounded_channel();
        tokio::spawn(async move {
            if let Err(error) = tell_all(notices).await {
                crate::print_error(&format!("could not notify: {error}"));
            }
        });
        Self(sender)
    }

    /// Tells it, if the desktop shows such things.
    pub(super) fn tell(&self, notice: &Notice) {
        // A desktop without notifications was complained about once.
        drop(self.0.send(notice.clone()));
    }
}

async fn tell_all(mut notices: UnboundedReceiver<Notice>) -> zbus::Result<()> {
    while let Some(notice) = notices.recv().await {
        let connection = zbus::Connection::session().await?;
        let hints = HashMap::from([("suppress-sound", Value::Bool(true))]);
        let nothing: &[&str] = &[];
        let body = (
            "Russet",
            0_u32,
            "",
            notice.title.as_str(),
            escape_markup(&notice.text),
            nothing,
            hints,
            // As long as the desktop thinks right.
            -1_i32,
        );
        connection
            .call_method(
                Some("org.freedesktop.Notifications"),
                "/org/freedesktop/Notifications",
                Some("org.freedesktop.Notifications"),
                "Notify",
                &body,
            )
            .await?;
    }
    Ok(())
}

/// The text of a notification may hold markup; ours is what others say, and holds none.
fn escape_markup(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
