//! The task agent's own heartbeat: it renews the lease when the launch agent is away, and brings
//! a cancel at once, because our server holds the call until there is one.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use russet_protocol::outcome::Outcome;
use russet_protocol::runner::{HeartbeatFrom, HeartbeatRequest, HeartbeatResponse};

use super::api::{Api, ApiError};
use super::stop::{Stop, StopSignal};
use super::supervisor::Supervisor;
use russet_platform::clock::{Clock, whole_millis};

/// A task that is over sooner needs no heartbeat.
const FIRST: Duration = Duration::from_secs(1);

const SHORTEST: Duration = Duration::from_millis(100);

/// Sends heartbeats until it is dropped, or there is nobody to send them to.
pub(crate) async fn beat(
    api: Api,
    clock: Clock,
    supervisor: Arc<Supervisor>,
    stop: StopSignal,
    every: Duration,
) {
    let every = every.max(SHORTEST);
    clock.sleep(FIRST.min(every)).await;
    loop {
        let began = clock.now();
        match once(&api, &supervisor, every).await {
            Ok(HeartbeatResponse { cancel: Some(reason), .. }) => {
                stop.stop(Stop::Asked { outcome: Outcome::Canceled, reason });
            }
            Ok(_) => {}
            Err(ApiError::Stale(why)) => {
                stop.stop(Stop::Stale(why));
                return;
            }
            Err(error) => tracing::warn!("{error}"),
        }
        // A server that does not hold the call answers at once.
        if clock.now().since(began) < every / 2 || stop.is_set() {
            clock.sleep(every).await;
        }
    }
}

async fn once(
    api: &Api,
    supervisor: &Supervisor,
    every: Duration,
) -> Result<HeartbeatResponse, ApiError> {
    api.json("send a heartbeat", || {
        let body = HeartbeatRequest {
            allocation: api.allocation().clone(),
            from: HeartbeatFrom::TaskAgent,
            peer_silent_ms: supervisor.silent_for().map(whole_millis),
        };
        api.request(Method::POST, "/api/v3/task/heartbeat")
            .header("prefer", format!("wait={}", every.as_secs()))
            .json(&body)
    })
    .await
}
