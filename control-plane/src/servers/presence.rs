//! Each server says that it is there, so that leases do not lapse while none is, and what a lost one
//! had begun is gone on with.

use super::FAILURE_PAUSE;
use crate::state::App;
use crate::store::StoreError;
use crate::store::servers::{self, Arrival, Presence};
use crate::{cancel, contention};

/// Says that this server is there, and accounts for the time in which none was.
pub(crate) async fn renew_presence(app: &App) -> Result<Presence, StoreError> {
    let say = async || {
        let mut tx = app.store.write().await?;
        let (now_ms, schema) = (app.clock.wall_ms(), app.store.known());
        let arrival = Arrival { now_ms, schema, is_first: false };
        let presence =
            servers::say_present(&mut tx, &app.server, app.between.silence_ms(), arrival).await?;
        tx.commit().await?;
        Ok::<_, StoreError>(presence)
    };
    let presence = contention::retry(say).await?;
    app.bus().outbox.set_has_others(presence.others > 0);
    app.attendance.note(&presence);
    if presence.absence_ms > 0 {
        let ms = presence.absence_ms;
        tracing::warn!(ms, "the database heard of no server; leases last longer by that");
    }
    if presence.lost > 0 {
        tracing::warn!(servers = presence.lost, "other servers are lost");
        tokio::spawn(go_on(app.clone()));
    }
    Ok(presence)
}

/// Goes on with what a lost server had begun.
async fn go_on(app: App) {
    if let Err(error) = cancel::resume(&app).await {
        let error = russet_text::error_chain(&error);
        tracing::error!(error, "a cancel that a lost server began is not gone on with");
    }
}

/// Says so again and again. Done when a newer version has made the database unusable for this one:
/// returns the schema that a server has to know.
pub(super) async fn run(app: &App) -> i64 {
    loop {
        tokio::time::sleep(app.between.presence_interval).await;
        let seen = async {
            renew_presence(app).await?;
            app.store.too_new().await
        };
        match seen.await {
            Ok(None) => {}
            Ok(Some(needed)) => return needed,
            Err(error) => {
                let error = russet_text::error_chain(&error);
                tracing::warn!(error, "the database does not answer; trying again");
                tokio::time::sleep(FAILURE_PAUSE).await;
            }
        }
    }
}
