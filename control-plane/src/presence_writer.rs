//! Writes in batches which runners were heard of, and which tokens were used.

use crate::contention;
use crate::state::App;
use crate::store::runners::{self, Sighting};
use crate::store::{StoreError, tokens};

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
    let now_ms = app.clock.wall_ms();
    let (seen, used) = (app.presence.take_news(now_ms), app.token_uses.take_news(now_ms));
    if seen.is_empty() && used.is_empty() {
        return;
    }
    if let Err(error) = contention::retry(|| write(app, &seen, &used)).await {
        app.presence.put_back(&seen);
        app.token_uses.put_back(&used);
        let error = russet_text::error_chain(&error);
        tracing::warn!(error, "could not note which runners are here; trying again");
    }
}

async fn write(app: &App, seen: &[Sighting], used: &[(String, i64)]) -> Result<(), StoreError> {
    let mut tx = app.store.write().await?;
    if !seen.is_empty() {
        runners::note_seen(&mut tx, seen).await?;
    }
    if !used.is_empty() {
        tokens::note_used(&mut tx, used).await?;
    }
    tx.commit().await
}
