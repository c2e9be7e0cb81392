//! Work that falls due at times of the database: one server takes a piece, some pieces are done side by side.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::Notify;

use crate::clock::millis;
use crate::git::MAX_PARALLEL;
use crate::state::App;
use crate::store::{Conn, StoreError, WriteTx};

/// Longest pause between looks, since other servers note work as well.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Shortest pause, in milliseconds.
const MIN_PAUSE_MS: i64 = 50;

/// A kind of work. Times are in milliseconds since 1970.
pub(crate) trait DueWork {
    type Piece: Send;
    /// Words for the log where the database cannot be asked.
    const FAILURE: &'static str;
    /// Time for which a piece is the server's that took it.
    const LEASE_MS: i64;

    /// Returns what wakes those who wait for work.
    fn wake(app: &App) -> &Notify;

    /// Returns the time at which the next piece is due.
    fn next_due(conn: &mut Conn) -> impl Future<Output = Result<Option<i64>, StoreError>> + Send;

    /// Takes a piece that is due: nobody else takes it before `next_ms`.
    fn take_due(
        tx: &mut WriteTx,
        now_ms: i64,
        next_ms: i64,
    ) -> impl Future<Output = Result<Option<Self::Piece>, StoreError>> + Send;

    /// Does a piece, and notes what became of it.
    fn run(app: &App, piece: Self::Piece) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Does the work of a kind, until the server stops.
pub(crate) async fn run_due_work<W: DueWork>(app: App) {
    loop {
        // Before the look: what becomes due after it is not slept through.
        let looked_ms = app.clock.steady_ms();
        let next_ms = work_off::<W>(&app).await.unwrap_or_else(|error| {
            let error = russet_text::error_chain(&error);
            tracing::error!(error, "{}; trying again", W::FAILURE);
            None
        });
        let due_in = |at: i64| at.saturating_sub(app.clock.wall_ms()).max(MIN_PAUSE_MS);
        let pause_ms = next_ms.map_or(i64::MAX, due_in).min(millis(LOOK_INTERVAL));
        tokio::select! {
            () = app.clock.sleep_until(looked_ms.saturating_add(pause_ms)) => {}
            () = W::wake(&app).notified() => {}
            () = app.closed() => return,
        }
    }
}

/// Does all that is due. Returns the time at which the next piece is. Nobody takes the turn to write where
/// nothing is due.
async fn work_off<W: DueWork>(app: &App) -> Result<Option<i64>, StoreError> {
    loop {
        let next_ms = W::next_due(&mut app.store.read().await?).await?;
        if next_ms.is_none_or(|at| at > app.clock.wall_ms()) {
            return Ok(next_ms);
        }
        let pieces = take_some::<W>(app).await?;
        // Another server was quicker.
        if pieces.is_empty() {
            return Ok(next_ms);
        }
        let work = pieces.into_iter().map(|piece| W::run(app, piece));
        let results: Vec<_> =
            futures_util::stream::iter(work).buffer_unordered(MAX_PARALLEL).collect().await;
        results.into_iter().collect::<Result<(), StoreError>>()?;
    }
}

async fn take_some<W: DueWork>(app: &App) -> Result<Vec<W::Piece>, StoreError> {
    let mut pieces = Vec::new();
    while pieces.len() < MAX_PARALLEL {
        let now_ms = app.clock.wall_ms();
        let mut tx = app.store.write().await?;
        let next_ms = now_ms.saturating_add(W::LEASE_MS);
        let Some(piece) = W::take_due(&mut tx, now_ms, next_ms).await? else { break };
        tx.commit().await?;
        pieces.push(piece);
    }
    Ok(pieces)
}
