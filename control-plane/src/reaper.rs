//! Watches the leases: sleeps until the next one lapses, or until there is one.

use std::time::Duration;

use crate::lifecycle::take_back_lapsed;
use crate::state::App;
use crate::store::{StoreError, tasks};

/// How long to leave a database alone that failed, in milliseconds.
const PAUSE_MS: u64 = 1000;

/// Takes back tasks whose leases lapse, until the server stops.
pub(crate) async fn run(app: App) {
    tokio::select! {
        () = watch(&app) => {}
        () = app.closed() => {}
    }
}

async fn watch(app: &App) {
    loop {
        if let Err(error) = round(app).await {
            tracing::error!(%error, "the leases can not be watched; trying again");
            tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await;
        }
    }
}

/// Waits for the next lease to lapse and takes back what has lapsed.
///
/// A lease that is granted later lapses later than those that are watched already, and a renewed
/// one lapses later than it did: so one moment to wait for is enough, and a signal matters only
/// while there is none.
async fn round(app: &App) -> Result<(), StoreError> {
    let mut granted = app.bus().leases.subscribe("");
    let next = {
        let mut conn = app.store.read().await?;
        tasks::next_expiry(&mut conn).await?
    };
    match next {
        None => granted.changed().await,
        Some(next) if next <= app.clock.steady_ms() => take_back_lapsed(app).await?,
        Some(next) => app.clock.sleep_until(next).await,
    }
    Ok(())
}
