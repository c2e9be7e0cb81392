//! Reports to the control plane of slots that cannot be used. Claims say it as well, but a class
//! whose slots are all in trouble sends none.

use std::sync::Arc;
use std::time::Duration;

use russet_protocol::runner::{ClaimRequest, HeldSlot};

use crate::launch::server::{Answer, TokenSource};
use crate::launch::shared::Shared;

/// Interval of reports while there is something to report.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Reports for as long as there is an agent.
pub(super) async fn report_held_slots(shared: Arc<Shared>) {
    let mut changes = shared.sink.board.watch();
    let mut reported: Vec<Vec<HeldSlot>> = vec![Vec::new(); shared.config.classes.len()];
    loop {
        let mut is_quiet = true;
        for (class, before) in reported.iter_mut().enumerate() {
            let held = shared.sink.board.held_slots(class);
            if held.is_empty() && before.is_empty() {
                continue;
            }
            is_quiet &= held.is_empty();
            report_class(&shared, class, held.clone()).await;
            *before = held;
        }
        let is_new = async {
            while changes.changed().await.is_ok() {
                let board = &shared.sink.board;
                if (0..).zip(&reported).any(|(class, before)| board.held_slots(class) != *before) {
                    return;
                }
            }
        };
        tokio::select! {
            () = is_new => {}
            // The plain timer: nothing is due at a certain time.
            () = tokio::time::sleep(REPORT_INTERVAL), if !is_quiet => {}
        }
    }
}

async fn report_class(shared: &Shared, class: usize, held_slots: Vec<HeldSlot>) {
    let Some(class) = shared.config.classes.get(class) else { return };
    let token = match Arc::new(TokenSource::new(&shared.config, class)).fetch().await {
        Ok(token) => token,
        // The claims of the class say so.
        Err(error) => return tracing::debug!(%error, "no token to report held slots with"),
    };
    let update = shared.sink.board.status().update;
    let request = ClaimRequest { held_slots, update, ..shared.request.clone() };
    if let Answer::Refused(error) | Answer::Failed(error) =
        shared.api.report(&token, &request).await
    {
        tracing::debug!(error, "could not report held slots");
    }
}
