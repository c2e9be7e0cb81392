//! The companion in the system tray of a Linux desktop: a StatusNotifierItem, whose menu is read
//! and clicked over D-Bus.

mod notify;
mod open;
mod tray;

use std::sync::Arc;

use anyhow::Context as _;
use ksni::TrayMethods as _;
use tokio::sync::mpsc::unbounded_channel;

use crate::app;
use crate::client::Agent;
use crate::controller::{Log, Model, Notice};
use crate::front::Front;
use crate::places::Places;

/// Runs until the person quits, or the session ends.
pub(crate) fn run_companion(agent: Agent, places: Places) -> anyhow::Result<()> {
    // One thread: nothing here takes long.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (sender, events) = unbounded_channel();
        // The tray may come later than this, at login, and go and come back.
        let tray = tray::Tray::new(sender.clone()).assume_sni_available(true).spawn().await.context(
            "could not reach the session's D-Bus, on which trays are\n  hint: start it in a desktop session",
        )?;
        let front = Desktop { tray, notifier: notify::Notifier::start(), places: places.clone() };
        app::run(front, agent, places, sender, events).await;
        Ok(())
    })
}

/// Desktop services for the companion.
struct Desktop {
    tray: ksni::Handle<tray::Tray>,
    notifier: notify::Notifier,
    places: Places,
}

impl Front for Desktop {
    type Pane = open::Followed;

    async fn show(&mut self, model: Arc<Model>) -> bool {
        self.tray.update(|tray| tray.set(model)).await.is_some()
    }

    fn notify(&mut self, notice: &Notice) {
        self.notifier.tell(notice);
    }

    fn open_url(&mut self, url: &str) {
        open::open_on_desktop(url.as_ref());
    }

    fn open_log(&mut self, log: &Log) -> anyhow::Result<Self::Pane> {
        open::Followed::open(&self.places.runtime, log)
    }

    fn about(&mut self, title: &str, text: &str) {
        self.notifier.tell(&Notice { title: title.to_owned(), text: text.to_owned() });
    }
}
