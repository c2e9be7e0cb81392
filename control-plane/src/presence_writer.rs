//! Writes in batches which runners were heard of.

use crate::contention;
use crate::state::App;
use crate::store::StoreError;
use crate::store::runners::{self, Sighting};

/// Writes what is new, until the server stops.
pub(crate) async fn run_presence(app: App) {
    loop {
        let next = app.clock.steady_ms() + app.silence.flush_ms;
        tokio::select! {
            () = app.clock.sleep_until(next) => {}
            () = app.closed() => return,
        }
        write_news(&app).await;
    }
}

/// Writes what is new.
pub(crate) async fn write_news(app: &App) {
    let news = app.presence.take_news(app.clock.wall_ms());
    if news.is_empty() {
        return;
    }
    if let Err(error) = contention::retry(|| write(app, &news)).await {
        app.presence.put_back(&news);
        let error = russet_text::error_chain(&error);
        tracing::warn!(error, "could not note which runners are here; trying again");
    }
}

async fn write(app: &App, news: &[Sighting]) -> Result<(), StoreError> {
    let mut tx = app.store.write().await?;
    runners::note_seen(&mut tx, news).await?;
    tx.commit().await
}
