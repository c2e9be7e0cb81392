//! Waiting for the session at the screen that a class's tasks run in.
//!
//! Where its account is not logged in, the class claims nothing, says why, and looks again every
//! minute: a task that is not claimed runs elsewhere, or when somebody logs the account in.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::slot_io::SlotIo;
use crate::platform::command::Tools;
use crate::platform::darwin::user_domain;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(60);

impl SlotIo {
    /// Returns when tasks of the slot's class can run. False: the claim was dropped meanwhile.
    pub(super) async fn session_is_there(&self, dropped: &CancellationToken) -> bool {
        if !self.is_gui() {
            return true;
        }
        let label = self.class.as_ref().map_or("", |class| class.label.as_str());
        let mut said = Said::default();
        loop {
            let absence = self.absence().await;
            if let Some(text) = said.next(label, absence.as_deref()) {
                self.shared.sink.warn(text);
            }
            if absence.is_none() {
                return true;
            }
            tokio::select! {
                () = self.shared.clock.sleep(PAUSE) => {}
                () = dropped.cancelled() => return false,
            }
        }
    }

    /// Why the session is not there; `None` where it is, or none is needed.
    pub(super) async fn absence(&self) -> Option<String> {
        if !self.is_gui() {
            return None;
        }
        let user = &self.lease.user;
        let (uid, name) = (user.uid, user.name.clone().unwrap_or_default());
        let look = move || user_domain::absence(&Tools::system(), uid, &name);
        tokio::task::spawn_blocking(look).await.unwrap_or_else(|error| Some(error.to_string()))
    }
}

/// What was said last, since the same once a minute is noise.
#[derive(Debug, Default)]
struct Said(Option<String>);

impl Said {
    /// What to say now, if anything.
    fn next(&mut self, label: &str, absence: Option<&str>) -> Option<String> {
        if self.0.as_deref() == absence {
            return None;
        }
        self.0 = absence.map(str::to_owned);
        Some(match absence {
            Some(why) => format!("{label} claims no tasks: {why}"),
            None => format!("{label} claims tasks again"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Said;

    #[test]
    fn a_pause_is_said_once_with_each_reason_and_so_is_its_end() {
        let mut said = Said::default();
        let mut next = |absence| said.next("runner.classes[0]", absence);
        assert_eq!(next(None), None, "who is logged in is not spoken of");
        assert_eq!(next(Some("gone")).unwrap(), "runner.classes[0] claims no tasks: gone");
        assert_eq!(next(Some("gone")), None);
        assert_eq!(next(Some("odd")).unwrap(), "runner.classes[0] claims no tasks: odd");
        assert_eq!(next(None).unwrap(), "runner.classes[0] claims tasks again");
        assert_eq!(next(None), None);
    }
}
