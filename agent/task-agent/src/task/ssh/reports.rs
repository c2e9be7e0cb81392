//! Reports to the control plane: how the hold goes, and who was connected.

use std::time::Duration;

use reqwest::Method;
use russet_protocol::ssh::{
    HoldOrders, HoldReport, SessionReport, TASK_HOLD_PATH, TASK_SESSIONS_PATH,
};
use tokio::sync::{mpsc, watch};

use crate::task::api::{Api, ApiError};
use crate::task::stop::{Stop, StopSignal};

/// Time between reports of a hold in which nothing changes.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Timeout of a report: the next one says the same, and more.
const REPORT_TIMEOUT: Duration = Duration::from_secs(15);

/// Sends the newest report whenever it changes, and while the task is held every few seconds, until
/// it is dropped. Orders come with the answers.
pub(super) async fn report_hold(
    api: Api,
    stop: StopSignal,
    mut reports: watch::Receiver<Option<HoldReport>>,
    orders: watch::Sender<HoldOrders>,
) {
    loop {
        let Some(report) = *reports.borrow_and_update() else {
            if reports.changed().await.is_err() {
                return;
            }
            continue;
        };
        match send_hold(&api, &report).await {
            Ok(given) => {
                orders.send_if_modified(|known| {
                    let is_new = *known != given;
                    *known = given;
                    is_new
                });
            }
            Err(ApiError::Stale(why)) => {
                stop.stop(Stop::Stale(why));
                return;
            }
            Err(error) => tracing::debug!("{error}"),
        }
        let pause = async {
            if report.waiting {
                tokio::time::sleep(REPORT_INTERVAL).await;
            } else {
                std::future::pending().await
            }
        };
        tokio::select! {
            () = pause => {}
            changed = reports.changed() => if changed.is_err() { return },
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
    stop: StopSignal,
    mut sessions: mpsc::UnboundedReceiver<SessionReport>,
) {
    while let Some(session) = sessions.recv().await {
        let request = || api.request(Method::POST, TASK_SESSIONS_PATH).json(&session);
        match api.small("report a session of SSH", request).await {
            Ok(answer) if answer.status == reqwest::StatusCode::CONFLICT => {
                stop.stop(Stop::Stale(answer.message()));
                return;
            }
            Ok(_) => {}
            Err(ApiError::Stale(why)) => {
                stop.stop(Stop::Stale(why));
                return;
            }
            Err(error) => tracing::warn!("{error}"),
        }
    }
}
