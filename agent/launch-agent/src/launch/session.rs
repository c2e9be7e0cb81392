//! Waiting for the session at the screen that a class's tasks run in.
//!
//! A class whose account is not logged in is held back, which people see with the reason,
//! and it is looked again every minute: a task that is not claimed runs elsewhere, or when somebody
//! logs the account in.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::slot_io::SlotIo;
use super::state::Input;
use super::state::holds::HoldSource;
use russet_platform::command::Tools;
use russet_platform::darwin::user_domain;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(60);

impl SlotIo {
    /// Looks before a claim, since much can happen in a minute. False: the claim was dropped, as
    /// happens where the class is held back.
    pub(super) async fn session_is_there(&self, dropped: &CancellationToken) -> bool {
        if !self.is_gui() {
            return true;
        }
        let absence = self.absence().await;
        let is_there = absence.is_none();
        self.hold(absence);
        if !is_there {
            dropped.cancelled().await;
        }
        is_there
    }

    /// Holds the class back whenever the session is not there, and lets it go on when it is.
    pub(super) async fn watch_session(self: Arc<Self>) {
        loop {
            self.hold(self.absence().await);
            self.shared.clock.sleep(PAUSE).await;
        }
    }

    /// Returns the reason why the session is not there; `None` where it is, or none is needed.
    pub(super) async fn absence(&self) -> Option<String> {
        if !self.is_gui() {
            return None;
        }
        let user = &self.lease.user;
        let (uid, name) = (user.uid, user.name.clone().unwrap_or_default());
        let look = move || user_domain::absence(&Tools::system(), uid, &name);
        tokio::task::spawn_blocking(look).await.unwrap_or_else(|error| Some(error.to_string()))
    }

    /// The same again changes nothing.
    fn hold(&self, reason: Option<String>) {
        let Some(class) = &self.class else { return };
        let classes = &self.shared.config.classes;
        let class = classes.iter().position(|one| one.label == class.label);
        let hold = Input::Hold { source: HoldSource::Session, class, reason };
        // Nobody listens any more when the launch agent ends.
        drop(self.inputs.send(hold));
    }
}
