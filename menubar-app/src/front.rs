//! Services of a platform for the companion.

use std::sync::Arc;

use crate::controller::{Log, Model, Notice};

/// The menu bar of a platform. It decides nothing.
pub(crate) trait Front {
    /// Window or page that shows a log.
    type Pane: Pane + Send + 'static;

    /// Shows what is known. False: the menu bar is gone, and so is what this is for.
    fn show(&mut self, model: Arc<Model>) -> impl Future<Output = bool>;

    /// Tells the person something without being asked.
    fn notify(&mut self, notice: &Notice);

    /// Shows a page of a web server.
    fn open_url(&mut self, url: &str);

    /// Shows an empty pane for a log, in place of the one that this log may have already.
    fn open_log(&mut self, log: &Log) -> anyhow::Result<Self::Pane>;

    /// Says what this is.
    fn about(&mut self, title: &str, text: &str);
}

/// Window or page that shows a log.
pub(crate) trait Pane {
    /// Adds text at the end. False: the person has closed it.
    fn add(&mut self, text: &str) -> bool;
}

/// Wall-clock time, as the local API tells it.
pub(crate) fn now_ms() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
