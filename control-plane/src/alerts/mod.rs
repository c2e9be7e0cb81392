//! Alerts: conditions that people hear of once, when they begin and when they end.
//!
//! Each server looks at the farm now and then. What it finds is compared with the alerts that are
//! open, and the changes of a round go to each target as one message, in the transaction that notes
//! them: so none is lost, and none is sent by two servers.

mod certificate;
mod decide;
mod expiry;
mod observe;

use std::time::Duration;

use russet_protocol::alerts::{AlertChanges, AlertItem, AlertMessage};
use russet_protocol::ids::{AlertId, MessageId};

use self::decide::{Changes, Watcher};
use crate::outbox::{deliver_due, deliver_promptly};
use crate::state::App;
use crate::store::{StoreError, WriteTx, alert_targets, alerts, notify_targets, outbox, servers};
use crate::text::rfc3339;

/// Time between two looks at the farm, in milliseconds.
const ROUND_MS: i64 = 15_000;

/// Rounds between two removals of what is old.
const ROUNDS_PER_REMOVAL: u64 = 240;

/// Time for which ended alerts and delivered messages are kept, in milliseconds.
const KEPT_MS: i64 = 30 * 24 * 3_600_000;

/// Time for which the last outcome of a branch is known, in milliseconds.
const OUTCOMES_KEPT_MS: i64 = 180 * 24 * 3_600_000;

/// Pause after a failure of the database.
const PAUSE: Duration = Duration::from_secs(5);

/// Kind of a message about changes.
const CHANGED: &str = "alerts.changed";

/// Kind of a message that only tests a target.
pub(crate) const TEST: &str = "alerts.test";

/// Opens, closes and delivers alerts until the server stops.
pub(crate) async fn run_alerts(app: App) {
    let mut watcher = Watcher::default();
    let mut rounds: u64 = 0;
    let watch = async {
        loop {
            let next_ms = app.clock.steady_ms().saturating_add(ROUND_MS);
            if let Err(error) = look_around(&app, &mut watcher, rounds).await {
                let error = russet_text::error_chain(&error);
                tracing::error!(error, "cannot look for alerts; trying again");
                tokio::time::sleep(PAUSE).await;
            }
            rounds += 1;
            app.clock.sleep_until(next_ms).await;
        }
    };
    tokio::select! {
        () = watch => {}
        () = deliver_promptly(&app) => {}
        () = app.closed() => {}
    }
}

async fn look_around(app: &App, watcher: &mut Watcher, rounds: u64) -> Result<(), StoreError> {
    let (changes, is_due) = {
        let mut conn = app.store.read().await?;
        let observed = observe::conditions(&mut conn, app).await?;
        let mut open = alerts::open_keys(&mut conn).await?;
        if open.iter().any(|(kind, _)| kind.is_of_server()) {
            let others = servers::other_places(&mut conn, &app.server.id).await?;
            certificate::own_keys(&mut open, &others);
        }
        let changes = watcher.changes(&open, &observed, app.clock.steady_ms());
        (changes, outbox::is_any_due(&mut conn, app.clock.wall_ms()).await?)
    };
    let has_news = !changes.open.is_empty() || !changes.close.is_empty();
    if has_news {
        announce(app, changes).await?;
    }
    if has_news || is_due {
        deliver_due(app).await?;
    }
    if rounds.is_multiple_of(ROUNDS_PER_REMOVAL) {
        let before_ms = app.clock.wall_ms() - KEPT_MS;
        let mut tx = app.store.write().await?;
        alerts::delete_old(&mut tx, before_ms).await?;
        outbox::delete_old(&mut tx, before_ms).await?;
        let forgotten_ms = app.clock.wall_ms() - OUTCOMES_KEPT_MS;
        notify_targets::forget_outcomes(&mut tx, forgotten_ms).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Notes changes, with a message to each target.
async fn announce(app: &App, changes: Changes) -> Result<(), StoreError> {
    let now_ms = app.clock.wall_ms();
    let mut tx = app.store.write().await?;
    let mut data = AlertChanges {
        server: app.public_url.as_deref().map(str::to_owned),
        ..AlertChanges::default()
    };
    for ((kind, subject), detail) in changes.open {
        let id = AlertId::generate().to_string();
        let opened_ms = u64::try_from(now_ms).unwrap_or_default();
        let item = AlertItem { id, kind, subject, detail, opened_ms, closed_ms: None };
        if alerts::open(&mut tx, &item).await? {
            tracing::warn!(kind = kind.as_str(), detail = item.detail, "alert");
            data.opened.push(item);
        }
    }
    for (kind, subject) in changes.close {
        if let Some(item) = alerts::close(&mut tx, kind, &subject, now_ms).await? {
            tracing::info!(kind = kind.as_str(), subject, "the alert has ended");
            data.resolved.push(item);
        }
    }
    if !data.opened.is_empty() || !data.resolved.is_empty() {
        put_into_outbox(&mut tx, data, now_ms).await?;
    }
    tx.commit().await
}

async fn put_into_outbox(
    tx: &mut WriteTx,
    data: AlertChanges,
    now_ms: i64,
) -> Result<(), StoreError> {
    let message = serde_json::to_string(&message(CHANGED, data, now_ms))
        .map_err(|error| StoreError::Unreadable { what: format!("an alert: {error}") })?;
    for target in alert_targets::list(tx).await? {
        let id = MessageId::generate();
        outbox::insert(tx, id.as_str(), &target.item.name, &message, now_ms).await?;
    }
    Ok(())
}

/// Returns a message to targets.
pub(crate) fn message(kind: &str, data: AlertChanges, now_ms: i64) -> AlertMessage {
    AlertMessage { kind: kind.to_owned(), timestamp: rfc3339(now_ms), data }
}
