//! One connection that waits for a person, of either way in: when one comes it is theirs, and the next is
//! dialled.

use std::time::Duration;

use russet_platform::http;
use russet_ssh_server::SshServer;
use tokio::task::JoinSet;

/// Pauses between attempts after one that failed.
const FIRST_REDIAL_INTERVAL: Duration = Duration::from_millis(200);
const MAX_REDIAL_INTERVAL: Duration = Duration::from_secs(15);

/// Way by which people come.
pub(super) trait Way {
    /// Connection with a person at its end.
    type Connection: Send + 'static;
    type Error: std::fmt::Display;
    /// Name of the way, for the log.
    const NAME: &'static str;

    /// Dials, and returns once a person has come. May be dropped.
    async fn wait_for_person(&mut self) -> Result<Self::Connection, Self::Error>;

    /// Serves that person until they have gone.
    fn serve(
        server: SshServer,
        connection: Self::Connection,
    ) -> impl Future<Output = ()> + Send + 'static;
}

/// Keeps a connection waiting, and serves whoever comes, until it is dropped: connections end with it.
/// An error is tried again, whatever it is: the other side is being restarted, most likely.
pub(super) async fn keep_waiting<W: Way>(mut way: W, server: SshServer) {
    let mut backoff = http::backoff(FIRST_REDIAL_INTERVAL, MAX_REDIAL_INTERVAL);
    let mut people = JoinSet::new();
    loop {
        let waited = {
            let waiting = way.wait_for_person();
            tokio::pin!(waiting);
            loop {
                tokio::select! {
                    waited = &mut waiting => break waited,
                    Some(_) = people.join_next() => {}
                }
            }
        };
        match waited {
            Ok(connection) => {
                backoff.reset();
                people.spawn(W::serve(server.clone(), connection));
            }
            Err(error) => {
                tracing::debug!("{} is dialled again: {error}", W::NAME);
                tokio::time::sleep(backoff.next_pause()).await;
            }
        }
    }
}
