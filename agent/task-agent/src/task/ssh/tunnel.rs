//! The way in through the control plane: one WebSocket waits there for a person.

use reqwest::Method;
use russet_platform::http::{self, WebSocketError};
use russet_protocol::ssh::{TASK_TUNNEL_PATH, TunnelOpened};
use russet_ssh_server::SshServer;

use super::dial::Way;
use crate::task::api::Api;

/// Bytes between the WebSocket and the server: a few packets.
const PIPE_BYTES: usize = 128 * 1024;

/// Way through the control plane. A refusal is tried again too: if the allocation is stale, the heartbeat
/// says so, and a server of an older version knows no tunnels.
pub(super) struct Tunnel(pub(super) Api);

impl Way for Tunnel {
    type Connection = (http::WebSocket, TunnelOpened);
    type Error = WebSocketError;
    const NAME: &'static str = "the tunnel of SSH";

    async fn wait_for_person(&mut self) -> Result<Self::Connection, WebSocketError> {
        let request = self.0.request(Method::GET, TASK_TUNNEL_PATH);
        let mut socket = http::open_websocket(request).await?;
        let text = http::wait_for_text(&mut socket).await?;
        let opened = serde_json::from_str(&text);
        let opened = opened.map_err(|error| WebSocketError::Broken(error.to_string()))?;
        Ok((socket, opened))
    }

    async fn serve(server: SshServer, (socket, opened): Self::Connection) {
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let serving = server.serve(near, opened.from);
        let (pumped, ()) = tokio::join!(http::pump(socket, far), serving);
        if let Some(error) = pumped.error {
            tracing::debug!("a tunnel of SSH ended: {error}");
        }
    }
}
