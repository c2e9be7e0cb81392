//! Events on their way to the log, to the board that people look at, and to whoever shows them.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::board::{Board, Event};
use crate::output::Outputs;
use russet_platform::clock::Clock;

/// Receiver of everything that people are told.
#[derive(Clone, Debug, Default)]
pub(super) struct EventSink {
    pub(super) events: Option<mpsc::UnboundedSender<Event>>,
    pub(super) board: Arc<Board>,
    pub(super) outputs: Arc<Outputs>,
    pub(super) clock: Clock,
}

impl EventSink {
    /// Shows an event.
    pub(super) fn send(&self, event: Event) {
        self.board.event(&event, self.clock.wall_ms());
        if let Some(events) = &self.events {
            // Nobody looks any more.
            drop(events.send(event));
        }
    }

    /// Logs and shows something that needs a person.
    pub(super) fn error(&self, text: String) {
        tracing::error!("{text}");
        self.send(Event::Notice(text));
    }

    /// Logs and shows something that a person should know.
    pub(super) fn warn(&self, text: String) {
        tracing::warn!("{text}");
        self.send(Event::Notice(text));
    }
}
