//! Writes in batches which runners were heard of, and which tokens were used.

use crate::contention;
use crate::state::App;
use crate::store::runners::{self, Sighting};
use crate::store::{StoreError, tokens, user_sessions, user_tokens};

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

/// News since the last time.
struct News {
    seen: Vec<Sighting>,
    /// Runner tokens with their last uses.
    used: Vec<(String, i64)>,
    /// Personal tokens with theirs.
    used_by_people: Vec<(String, i64)>,
    /// Sessions of browsers with theirs.
    used_by_browsers: Vec<(String, i64)>,
}

impl News {
    fn is_empty(&self) -> bool {
        let used = [&self.used, &self.used_by_people, &self.used_by_browsers];
        self.seen.is_empty() && used.iter().all(|used| used.is_empty())
    }
}

/// Writes what is new.
pub(crate) async fn write_news(app: &App) {
    let now_ms = app.clock.wall_ms();
    let news = News {
        seen: app.presence.take_news(now_ms),
        used: app.token_uses.take_news(now_ms),
        used_by_people: app.personal_uses.take_news(now_ms),
        used_by_browsers: app.session_uses.take_news(now_ms),
    };
    if news.is_empty() {
        return;
    }
    if let Err(error) = contention::retry(|| write(app, &news)).await {
        app.presence.put_back(&news.seen);
        app.token_uses.put_back(&news.used);
        app.personal_uses.put_back(&news.used_by_people);
        app.session_uses.put_back(&news.used_by_browsers);
        let error = russet_text::error_chain(&error);
        tracing::warn!(
            error,
            "could not note which runners are here and which tokens were used; trying again"
        );
    }
}

async fn write(app: &App, news: &News) -> Result<(), StoreError> {
    let mut tx = app.store.write().await?;
    if !news.seen.is_empty() {
        runners::note_seen(&mut tx, &news.seen).await?;
    }
    if !news.used.is_empty() {
        tokens::note_used(&mut tx, &news.used).await?;
    }
    user_tokens::note_used(&mut tx, &news.used_by_people).await?;
    user_sessions::note_used(&mut tx, &news.used_by_browsers).await?;
    tx.commit().await
}
