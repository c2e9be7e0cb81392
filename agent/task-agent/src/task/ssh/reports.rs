//! Reports to the control plane: how the hold goes, and who was connected.

use std::time::Duration;

use reqwest::Method;
use russet_protocol::ssh::{
    HoldOrders, HoldReport, SessionReport, TASK_HOLD_PATH, TASK_SESSIONS_PATH,
};
use tokio::sync::{mpsc, watch};

use crate::task::api::{Api, ApiError};

/// Timeout of a report: the next one says the same, and more.
const REPORT_TIMEOUT: Duration = Duration::from_secs(15);

/// Pause after a report that failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Sends the newest report whenever there is one, until it is dropped. Orders come with the answers.
///
/// If the allocation is stale, the heartbeat says so.
pub(super) async fn report_hold(
    api: Api,
    mut reports: watch::Receiver<Option<HoldReport>>,
    orders: watch::Sender<HoldOrders>,
) {
    while reports.changed().await.is_ok() {
        let Some(report) = *reports.borrow_and_update() else { continue };
        match send_hold(&api, &report).await {
            Ok(given) => {
                orders.send_if_modified(|known| {
                    let is_new = *known != given;
                    *known = given;
                    is_new
                });
            }
            Err(error) => {
                tracing::debug!("{error}");
                tokio::time::sleep(RETRY_INTERVAL).await;
                // As it is by then.
                reports.mark_changed();
            }
        }
    }
}

async fn send_hold(api: &Api, report: &HoldReport) -> Result<HoldOrders, ApiError> {
    let call = "report the hold for SSH";
    let request = || api.request(Method::POST, TASK_HOLD_PATH).json(report).timeout(REPORT_TIMEOUT);
    // Not tried again with what is old by then.
    let answer = api.call_unless(call, request, || true).await?;
    if answer.status == reqwest::StatusCode::CONFLICT {
        return Err(ApiError::Stale(answer.message()));
    }
    answer.json().ok_or_else(|| ApiError::GaveUp { call, last: "there are no orders".to_owned() })
}

/// Sends reports of sessions in their order, each until it has arrived, until there can be no more.
pub(super) async fn report_sessions(
    api: Api,
    mut sessions: mpsc::UnboundedReceiver<SessionReport>,
) {
    while let Some(session) = sessions.recv().await {
        let request = || api.request(Method::POST, TASK_SESSIONS_PATH).json(&session);
        let sent = api.small("report a session of SSH", request).await;
        if let Err(error) = sent {
            tracing::warn!("{error}");
        }
    }
}
