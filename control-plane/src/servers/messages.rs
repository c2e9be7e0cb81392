//! Messages between servers: what each commits that others may wait for.

use tokio::time::Instant;

use super::presence::renew_presence;
use super::{FAILURE_PAUSE, poll};
use crate::scheduler::leases::REST_MS;
use crate::state::App;
use crate::store::{Channel, Heard, Teller};
use crate::wakes::Wakes;

/// Tells the others what was committed here, all that came together since the last time at once.
/// What cannot be told is found by their looking.
pub(super) async fn tell(app: &App, mut teller: Teller) {
    // The first says that there is one more server.
    let mut wakes = Wakes::default();
    loop {
        let messages = wakes.to_messages(&app.server.id);
        let mut told = teller.tell(&messages).await;
        if told.is_err() {
            // The session may have ended long ago. To be told twice does no harm.
            told = teller.tell(&messages).await;
        }
        if let Err(error) = told {
            tracing::warn!(%error, "other servers cannot be told of changes; they have to look");
            tokio::time::sleep(FAILURE_PAUSE).await;
        }
        wakes = app.bus().outbox.take().await;
    }
}

/// Wakes those who wait here for what others committed.
pub(super) async fn hear(app: &App, mut channel: Channel) {
    if !app.between.listens {
        return std::future::pending().await;
    }
    let mut began = None;
    // One that begins meanwhile says so once, and may not be heard: until this server has looked who
    // is there, what it commits is told.
    app.bus().outbox.set_has_others(true);
    loop {
        match channel.hear().await {
            Ok(Heard::Begin) => {
                began = Some(Instant::now());
                catch_up(app).await;
            }
            Ok(Heard::Message(message)) => receive(app, &message),
            Err(error) => {
                tracing::warn!(%error, "changes of other servers are not heard; looking for them");
                app.bus().outbox.set_has_others(true);
                // A session that was cut is replaced at once: until then nothing is heard.
                if began.take().is_none_or(|began| began.elapsed() < FAILURE_PAUSE) {
                    tokio::time::sleep(FAILURE_PAUSE).await;
                }
            }
        }
    }
}

/// Finds what was told, and who began, while nobody listened here.
async fn catch_up(app: &App) {
    if let Err(error) = renew_presence(app).await {
        // It is tried again in a moment. Until then there may be others.
        let error = russet_text::error_chain(&error);
        tracing::debug!(error, "cannot look for other servers");
    }
    poll::look_anew(app).await;
}

fn receive(app: &App, message: &str) {
    let (server, wakes) = Wakes::from_message(message);
    if server == app.server.id {
        return;
    }
    app.bus().outbox.set_has_others(true);
    let now = app.clock.steady_ms();
    for (class, runner) in &wakes.rests {
        app.rests.begin(class, runner, now, now + REST_MS);
    }
    // All servers have heard what nobody waits for here.
    let _unheard = app.bus().send(wakes);
}
