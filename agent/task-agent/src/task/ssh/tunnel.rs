//! The way in: one WebSocket waits at the control plane for a person; when one comes, it is their
//! connection, and the next one is dialled.

use std::time::Duration;

use reqwest::Method;
use russet_platform::http::{self, WebSocketError};
use russet_protocol::ssh::{TASK_TUNNEL_PATH, TunnelOpened};
use russet_ssh_server::SshServer;

use crate::task::api::Api;

/// Pauses between attempts after one that failed.
const FIRST_REDIAL_INTERVAL: Duration = Duration::from_millis(200);
const MAX_REDIAL_INTERVAL: Duration = Duration::from_secs(15);

/// Bytes between the WebSocket and the server: a few packets.
const PIPE_BYTES: usize = 128 * 1024;

/// Keeps a WebSocket waiting, and serves whoever comes, until it is dropped. A refusal is tried again
/// too: if the allocation is stale, the heartbeat says so, and a server of an older version knows no
/// tunnels.
pub(super) async fn keep_waiting(api: Api, server: SshServer) {
    let mut backoff = http::backoff(FIRST_REDIAL_INTERVAL, MAX_REDIAL_INTERVAL);
    // Dropped with this: connections end with the tunnel.
    let mut people = tokio::task::JoinSet::new();
    loop {
        let waiting = wait_for_person(&api);
        tokio::pin!(waiting);
        let waited = loop {
            tokio::select! {
                waited = &mut waiting => break waited,
                Some(_) = people.join_next() => {}
            }
        };
        match waited {
            Ok((socket, opened)) => {
                backoff.reset();
                let server = server.clone();
                people.spawn(async move {
                    let (near, far) = tokio::io::duplex(PIPE_BYTES);
                    let serving = server.serve(near, opened.from);
                    let (pumped, ()) = tokio::join!(http::pump(socket, far), serving);
                    if let Some(error) = pumped.error {
                        tracing::debug!("a tunnel of SSH ended: {error}");
                    }
                });
            }
            Err(error) => {
                tracing::debug!("the tunnel of SSH is dialled again: {error}");
                tokio::time::sleep(backoff.next_pause()).await;
            }
        }
    }
}

async fn wait_for_person(api: &Api) -> Result<(http::WebSocket, TunnelOpened), WebSocketError> {
    let mut socket = http::open_websocket(api.request(Method::GET, TASK_TUNNEL_PATH)).await?;
    let text = http::wait_for_text(&mut socket).await?;
    let opened = serde_json::from_str(&text);
    let opened = opened.map_err(|error| WebSocketError::Broken(error.to_string()))?;
    Ok((socket, opened))
}
