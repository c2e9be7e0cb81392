//! Several servers on one PostgreSQL database, none of them special.
//!
//! Whoever commits tells the others who may be waiting for it (`messages`); what is lost on the way is
//! found by looking (`poll`), within a second. Each says every two seconds that it is there
//! (`presence`), and while none does no lease lapses. Nothing of this runs on SQLite, whose file is
//! one server's, and none of the looking where there is one server.

mod join;
mod messages;
mod poll;
mod presence;

use std::time::Duration;

use futures_util::FutureExt as _;

use crate::state::App;
use crate::store::servers;

pub(crate) use join::{JoinError, Keys, join, new_server};
pub(crate) use presence::renew_presence;

/// Pause after a failure of the database.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// Deals with the other servers. Done when a newer version has made the database unusable for this
/// one, never on SQLite: returns the schema that a server has to know.
pub(crate) async fn run(app: App) -> i64 {
    let Some((teller, channel)) = app.store.channel() else { return std::future::pending().await };
    let told = async {
        tokio::join!(messages::tell(&app, teller), messages::hear(&app, channel), poll::run(&app))
    };
    tokio::select! {
        needed = presence::run(&app) => needed,
        // None of them ends.
        _ = told => std::future::pending().await,
    }
}

/// Tells the others what is yet to be told, and that this server stops.
pub(crate) async fn leave(app: &App) {
    let Some((mut teller, _)) = app.store.channel() else { return };
    if let Some(wakes) = app.bus().outbox.take().now_or_never()
        && let Err(error) = teller.tell(&wakes.to_messages(&app.server.id)).await
    {
        tracing::debug!(%error, "the last messages to other servers were not sent");
    }
    let left = async {
        let mut tx = app.store.write().await?;
        servers::leave(&mut tx, &app.server.id).await?;
        tx.commit().await
    };
    if let Err(error) = left.await {
        let error = russet_text::error_chain(&error);
        tracing::warn!(error, "the other servers were not told that this one stops");
    }
}
