//! The end of a log's window where the log is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use objc2_app_kit::NSApplication;
use objc2_foundation::NSString;

use super::log_window::{LogWindow, make_window};
use super::ui::{Ui, come_forward};
use super::{on_main, on_main_now};
use crate::controller::Log;
use crate::front;

/// Handle of a window, away from the main thread.
#[derive(Debug)]
pub(crate) struct Pane {
    number: u64,
    is_closed: Arc<AtomicBool>,
}

impl Pane {
    /// Opens a window; one that this log has already is emptied instead.
    pub(super) fn open(number: u64, log: Log) -> Self {
        let is_closed = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_closed);
        on_main(move |ui, main| {
            let mut windows = ui.windows.borrow_mut();
            let before = windows.iter().find(|(_, open)| open.log == log).map(|(&at, _)| at);
            let (window, text) = match before.and_then(|at| windows.remove(&at)) {
                Some(open) => (open.window.clone(), open.text.clone()),
                None => match make_window(&log.title(), main) {
                    Some(made) => made,
                    None => return,
                },
            };
            Ui::adopt(&window);
            text.setString(&NSString::new());
            windows
                .insert(number, LogWindow { log, window: window.clone(), text, is_closed: flag });
            drop(windows);
            come_forward(&NSApplication::sharedApplication(main));
            window.makeKeyAndOrderFront(None);
        });
        Self { number, is_closed }
    }
}

impl front::Pane for Pane {
    fn add(&mut self, text: &str) -> bool {
        let number = self.number;
        on_main_now(|ui, _| {
            if let Some(window) = ui.windows.borrow().get(&number) {
                window.add(text);
            }
        });
        !self.is_closed.load(Ordering::Relaxed)
    }
}
