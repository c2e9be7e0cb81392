//! Reports to the control plane of what keeps a class from claiming. Claims say it as well, but a
//! class that is held, or whose slots are all in trouble, sends none.

use std::sync::Arc;
use std::time::Duration;

use russet_protocol::runner::{ClaimRequest, HeldSlot};

use crate::launch::server::{Answer, TokenSource};
use crate::launch::shared::Shared;

/// Interval of reports while there is something to report.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// Reason that keeps a class from claiming.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Obstacles {
    slots: Vec<HeldSlot>,
    holds: Vec<String>,
}

impl Obstacles {
    fn of(shared: &Shared, class: usize) -> Self {
        let board = &shared.sink.board;
        let label = shared.config.classes.get(class).map_or("", |class| class.label.as_str());
        Self { slots: board.held_slots(class), holds: board.class_holds(label) }
    }

    fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.holds.is_empty()
    }
}

/// Reports for as long as there is an agent.
pub(super) async fn report_obstacles(shared: Arc<Shared>) {
    let mut changes = shared.sink.board.watch();
    let mut reported = vec![Obstacles::default(); shared.config.classes.len()];
    loop {
        let mut is_quiet = true;
        for (class, before) in reported.iter_mut().enumerate() {
            let now = Obstacles::of(&shared, class);
            if now.is_empty() && before.is_empty() {
                continue;
            }
            is_quiet &= now.is_empty();
            report_class(&shared, class, now.clone()).await;
            *before = now;
        }
        let is_new = async {
            while changes.changed().await.is_ok() {
                let differs =
                    |(class, before): (usize, &Obstacles)| Obstacles::of(&shared, class) != *before;
                if (0..).zip(&reported).any(differs) {
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

async fn report_class(shared: &Shared, class: usize, obstacles: Obstacles) {
    let Some(class) = shared.config.classes.get(class) else { return };
    let token = match Arc::new(TokenSource::new(&shared.config, class)).fetch().await {
        Ok(token) => token,
        // The claims of the class say so.
        Err(error) => return tracing::debug!(%error, "no token to report obstacles with"),
    };
    let update = shared.sink.board.status().update;
    let request = ClaimRequest {
        held_slots: obstacles.slots,
        holds: obstacles.holds,
        update,
        xcodes: shared.xcodes.told(),
        runtimes: shared.xcodes.told_runtimes(),
        ..shared.request.clone()
    };
    if let Answer::Refused(error) | Answer::Failed(error) =
        shared.api.report(&token, &request).await
    {
        tracing::debug!(error, "could not report obstacles");
    }
}
