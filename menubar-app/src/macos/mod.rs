//! The companion in the menu bar of macOS, through AppKit.
//!
//! AppKit wants the main thread for itself, so the controller and the connection to the agent
//! live on another; what they want to be seen is sent to the main queue. `Ui`, which lives on the
//! main thread alone, does it and decides nothing.
//!
//! It compiles and links for both kinds of Mac on Linux; what only a Mac can show is listed in
//! `docs/verify-on-a-mac.md`.

mod item;
mod keys;
mod log_pane;
mod log_window;
mod notify;
mod ui;

use std::sync::Arc;

use dispatch2::DispatchQueue;
use objc2::MainThreadMarker;
use objc2_app_kit::{NSApplication, NSApplicationActivationPolicy};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::app;
use crate::client::Agent;
use crate::controller::{Event, Log, Model, Notice};
use crate::front::Front;
use crate::places::Places;
use ui::Ui;

/// Runs until the person quits.
pub(crate) fn run_companion(agent: Agent, places: Places) -> anyhow::Result<()> {
    let main = MainThreadMarker::new()
        .ok_or_else(|| anyhow::anyhow!("the menu bar can be used from the main thread alone"))?;
    let application = NSApplication::sharedApplication(main);
    // No icon in the Dock, also where it is started without its bundle.
    application.setActivationPolicy(NSApplicationActivationPolicy::Accessory);
    keys::install(&application, main);
    let (sender, events) = unbounded_channel();
    Ui::start(sender.clone(), main);
    std::thread::Builder::new().name("agent".to_owned()).spawn(move || {
        if let Err(error) = listen_to_agent(agent, places, sender, events) {
            crate::print_error(&format!("error: {error:#}"));
        }
        on_main(|_, main| NSApplication::sharedApplication(main).terminate(None));
    })?;
    // It returns never: `terminate` exits the process, with 0, which tells launchd not to start
    // it again.
    application.run();
    Ok(())
}

fn listen_to_agent(
    agent: Agent,
    places: Places,
    sender: UnboundedSender<Event>,
    events: UnboundedReceiver<Event>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(app::run(MenuBar { panes: 0 }, agent, places, sender, events));
    Ok(())
}

/// Has something done on the main thread, soon.
fn on_main(work: impl FnOnce(&Ui, MainThreadMarker) + Send + 'static) {
    DispatchQueue::main().exec_async(move || with_ui(work));
}

/// The same, and waits until it is done: whoever reads a log faster than a window can show it
/// waits for the window.
fn on_main_now(work: impl FnOnce(&Ui, MainThreadMarker) + Send) {
    DispatchQueue::main().exec_sync(move || with_ui(work));
}

fn with_ui(work: impl FnOnce(&Ui, MainThreadMarker)) {
    if let Some(main) = MainThreadMarker::new() {
        Ui::with(|ui| work(ui, main));
    }
}

/// Handle on the main thread for the companion.
#[derive(Debug)]
struct MenuBar {
    /// So many windows were opened.
    panes: u64,
}

impl Front for MenuBar {
    type Pane = log_pane::Pane;

    async fn show(&mut self, model: Arc<Model>) -> bool {
        on_main(move |ui, main| ui.show(model, main));
        true
    }

    fn notify(&mut self, notice: &Notice) {
        notify::post_notification(notice);
    }

    fn open_url(&mut self, url: &str) {
        let url = url.to_owned();
        on_main(move |_, _| ui::open_url(&url));
    }

    fn open_log(&mut self, log: &Log) -> anyhow::Result<Self::Pane> {
        self.panes += 1;
        Ok(log_pane::Pane::open(self.panes, log.clone()))
    }

    fn about(&mut self, title: &str, text: &str) {
        let text = format!("{title}\n{text}");
        on_main(move |_, main| ui::about(&text, main));
    }
}
