//! Start of a server among others: they have to share objects and keys, and what only nobody's
//! presence allows is done by the first.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use crate::archives::SweepError;
use crate::cancel;
use crate::credentials::TokenHash;
use crate::objects::unique_name;
use crate::secrets::KEY_LENGTH;
use crate::state::App;
use crate::store::alone::Alone;
use crate::store::servers::{self, Arrival, ServerRow};
use crate::store::{StoreError, WriteTx};
use crate::sweep::sweep_objects;

/// Longest wait for another server that starts at the same time.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// Interval of looks whether it has started.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// Purpose of the derived key, so that it is no other one.
const CONTEXT: &str = "russet control plane 2026-11 same key of servers";

/// Reason why a server cannot join the others.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JoinError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Sweep(#[from] SweepError),
    #[error("another server has been starting for {} seconds", START_TIMEOUT.as_secs())]
    Starting,
    #[error("another server that uses it has {0}")]
    Differs(&'static str),
}

/// Keys of a server that the others need to have as well.
#[derive(Debug)]
pub(crate) struct Keys<'a> {
    pub(crate) secrets: &'a Zeroizing<[u8; KEY_LENGTH]>,
    pub(crate) admin: &'a TokenHash,
}

/// Describes this server to the others. What they compare gives nothing of a key away: each is 256
/// random bits.
pub(crate) fn new_server(objects: String, place: String, keys: &Keys<'_>) -> ServerRow {
    let print = |key: &[u8; 32]| {
        blake3::Hash::from_bytes(blake3::derive_key(CONTEXT, key)).to_hex().to_string()
    };
    ServerRow {
        id: unique_name(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        objects,
        place,
        secrets: print(keys.secrets),
        admin: print(&keys.admin.key()),
    }
}

/// Joins the servers of the database. `previous` is the id of the server that had this data directory
/// before, and is gone.
pub(crate) async fn join(app: &App, previous: Option<&str>) -> Result<(), JoinError> {
    // Held until it has cleaned up: no other one begins to serve meanwhile.
    let _starting = wait_for_turn(app).await?;
    let others = wait_to_fit(app, previous).await?;
    app.bus().outbox.set_has_others(!others.is_empty());
    if others.is_empty() {
        cancel::resume(app).await?;
        sweep_objects(app).await?;
    } else {
        let versions: Vec<&str> = others.iter().map(|other| other.version.as_str()).collect();
        tracing::info!(versions = versions.join(", "), "other servers use the database too");
    }
    Ok(())
}

async fn wait_for_turn(app: &App) -> Result<Alone, JoinError> {
    let until = Instant::now() + START_TIMEOUT;
    loop {
        match app.store.try_alone("start").await? {
            Some(alone) => return Ok(alone),
            None if Instant::now() >= until => return Err(JoinError::Starting),
            None => sleep(RETRY_INTERVAL).await,
        }
    }
}

/// Becomes one of the servers. One that does not fit may be gone already: it is waited for until it
/// would have said that it is there.
async fn wait_to_fit(app: &App, previous: Option<&str>) -> Result<Vec<ServerRow>, JoinError> {
    let patience = u64::try_from(app.between.silence_ms()).unwrap_or_default();
    let until = Instant::now() + Duration::from_millis(patience) + Duration::from_secs(1);
    loop {
        let mut tx = app.store.write().await?;
        if let Some(previous) = previous {
            servers::leave(&mut tx, previous).await?;
        }
        let others = servers::present(&mut tx, app.between.silence_ms()).await?;
        match others.iter().find_map(|other| difference(&app.server, other)) {
            None => {
                say_present(app, tx, others.is_empty()).await?;
                return Ok(others);
            }
            Some(what) if Instant::now() >= until => return Err(JoinError::Differs(what)),
            Some(_) => {
                drop(tx);
                sleep(RETRY_INTERVAL).await;
            }
        }
    }
}

async fn say_present(app: &App, mut tx: WriteTx, is_first: bool) -> Result<(), StoreError> {
    let arrival = Arrival { now_ms: app.clock.wall_ms(), schema: app.store.known(), is_first };
    let presence =
        servers::say_present(&mut tx, &app.server, app.between.silence_ms(), arrival).await?;
    tx.commit().await?;
    app.attendance.note(&presence);
    if presence.absence_ms > 0 {
        let ms = presence.absence_ms;
        tracing::info!(ms, "no server was there; leases last longer by that");
    }
    Ok(())
}

/// Returns what two servers do not share though they have to.
fn difference(one: &ServerRow, other: &ServerRow) -> Option<&'static str> {
    if one.objects != other.objects {
        Some("other objects: all servers of a database need the same place for them")
    } else if one.secrets != other.secrets {
        Some("another secrets.key: give all servers of a database the same one")
    } else if one.admin != other.admin {
        Some("another admin.token: give all servers of a database the same one")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::{Keys, difference, new_server};
    use crate::credentials::TokenHash;

    #[test]
    fn servers_share_objects_and_keys_and_do_not_tell_the_keys() {
        let server = |objects: &str, secrets: u8, admin: &str| {
            let secrets = &Zeroizing::new([secrets; 32]);
            new_server(
                objects.to_owned(),
                "one:8080".to_owned(),
                &Keys { secrets, admin: &TokenHash::of(admin) },
            )
        };
        let one = server("o", 1, "a");
        assert_ne!(one.id, server("o", 1, "a").id);
        assert_eq!(difference(&one, &server("o", 1, "a")), None);
        let differs = |other| difference(&one, &other).unwrap();
        assert!(differs(server("p", 1, "a")).contains("objects"));
        assert!(differs(server("o", 2, "a")).contains("secrets.key"));
        assert!(differs(server("o", 1, "b")).contains("admin.token"));
        assert!(!one.secrets.contains(&"01".repeat(32)));
    }
}
