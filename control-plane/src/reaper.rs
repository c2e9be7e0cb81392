//! Watches the leases: sleeps until the next one lapses, or until there is one.

use std::time::Duration;

use crate::contention;
use crate::lifecycle::take_back_lapsed;
use crate::servers::renew_presence;
use crate::signals::{GRANTED, MAYBE_GRANTED};
use crate::state::App;
use crate::store::{StoreError, tasks};

/// Pause after a failure of the database, in milliseconds.
const PAUSE_MS: u64 = 1000;

/// Takes back tasks whose leases lapse, until the server stops.
pub(crate) async fn run_reaper(app: App) {
    tokio::select! {
        () = watch_leases(&app) => {}
        () = app.closed() => {}
    }
}

async fn watch_leases(app: &App) {
    loop {
        if let Err(error) = reap_lapsed(app).await {
            tracing::error!(
                error = russet_text::error_chain(&error),
                "cannot watch the leases; trying again"
            );
            tokio::time::sleep(Duration::from_millis(PAUSE_MS)).await;
        }
    }
}

/// Waits for the next lease to lapse and takes back what has lapsed.
///
/// A lease that is renewed lapses later than it would have, which costs one look too early. A new
/// one may lapse before all others, since those of tasks in their steps are longer, but none that is
/// granted after a look lapses before the time of one has passed: so there is a look in that time at
/// least, and none for each claim.
async fn reap_lapsed(app: &App) -> Result<(), StoreError> {
    let mut granted = app.bus().leases.subscribe(GRANTED);
    let mut maybe_granted = app.bus().leases.subscribe(MAYBE_GRANTED);
    // Before the clock of leases, which may be another one: what passes between counts.
    let steady_ms = app.clock.steady_ms();
    let (next, now) = {
        let mut conn = app.store.read().await?;
        (tasks::next_expiry(&mut conn).await?, conn.lease_now(&*app.clock).await?)
    };
    match next {
        None => tokio::select! {
            () = granted.changed() => {}
            () = maybe_granted.changed() => {}
        },
        Some(next) if next <= now => {
            // So that the time is accounted for in which no server could be reached.
            if app.store.is_shared() {
                renew_presence(app).await?;
            }
            contention::retry(|| take_back_lapsed(app)).await?;
        }
        Some(next) => tokio::select! {
            () = app.clock.sleep_until(steady_ms.saturating_add(app.lease_ms.min(next - now))) => {}
            () = maybe_granted.changed() => {}
        },
    }
    Ok(())
}
