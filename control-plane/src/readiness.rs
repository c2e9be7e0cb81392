//! Looks at the parts that keep this server from taking work.

use std::time::{Duration, Instant};

use russet_protocol::health::CheckState;
use tokio::time::timeout;

use crate::health::{Part, States, state_of};
use crate::objects::Objects;
use crate::state::App;
use crate::store::Store;

/// Longest time that the database or the place of the objects has to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns the state of each part, as it was a moment ago.
pub(crate) async fn examine(app: &App) -> States {
    let mut states = match app.health.fresh(Instant::now()) {
        Some(states) => states,
        None => {
            let app = app.clone();
            // Threat: who asks and hangs up at once, again and again, would begin a look each time.
            let look = tokio::spawn(async move {
                let _turn = app.health.turn.lock().await;
                if let Some(states) = app.health.fresh(Instant::now()) {
                    return states;
                }
                let states = look_at_parts(&app).await;
                app.health.keep(states);
                states
            });
            look.await.unwrap_or([CheckState::Failing; Part::ALL.len()])
        }
    };
    // A state that is known at once is not kept.
    states[Part::Shutdown as usize] = app.health.shutdown();
    states
}

async fn look_at_parts(app: &App) -> States {
    let (database, objects) =
        tokio::join!(look_at_database(&app.store), look_at_objects(&app.objects));
    let schema = match database {
        Some(fits) => state_of(fits),
        None => CheckState::Unknown,
    };
    let disk = state_of(!app.space.is_short());
    [state_of(database.is_some()), schema, state_of(objects), disk, app.health.shutdown()]
}

/// Returns true where this version can use the database; `None` where it does not answer.
async fn look_at_database(store: &Store) -> Option<bool> {
    answer_in_time("the database", store.too_new()).await.map(|needed| needed.is_none())
}

async fn look_at_objects(objects: &Objects) -> bool {
    answer_in_time("the place of the objects", objects.is_there()).await.unwrap_or(false)
}

/// Waits for an answer; `None`: it failed, or did not come in time.
async fn answer_in_time<T, E: std::error::Error + 'static>(
    part: &str,
    answer: impl Future<Output = Result<T, E>>,
) -> Option<T> {
    match timeout(ANSWER_TIMEOUT, answer).await {
        Ok(Ok(answer)) => Some(answer),
        Ok(Err(error)) => {
            tracing::debug!(error = russet_text::error_chain(&error), "{part} failed");
            None
        }
        Err(_) => {
            tracing::debug!("{part} did not answer in time");
            None
        }
    }
}
