//! Times of the last use of personal tokens, gathered in memory and written in batches: a call costs
//! no write.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use russet_protocol::ids::PersonalTokenId;

use crate::contention;
use crate::state::App;
use crate::store::{StoreError, user_tokens};

/// Interval between two writes, in milliseconds.
const WRITE_INTERVAL_MS: i64 = 60_000;

/// Uses that are not written yet: the last of each token, in milliseconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct PersonalUses(Mutex<HashMap<PersonalTokenId, i64>>);

impl PersonalUses {
    /// Notes a use.
    pub(crate) fn note(&self, id: &PersonalTokenId, now_ms: i64) {
        let mut uses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match uses.get_mut(id) {
            Some(used_ms) => *used_ms = now_ms.max(*used_ms),
            None => drop(uses.insert(id.clone(), now_ms)),
        }
    }

    /// Takes the uses that are to be written.
    fn take(&self) -> HashMap<PersonalTokenId, i64> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes uses from time to time, until the server stops.
pub(crate) async fn run_token_uses(app: App) {
    loop {
        let next = app.clock.steady_ms() + WRITE_INTERVAL_MS;
        tokio::select! {
            () = app.clock.sleep_until(next) => {}
            () = app.closed() => return,
        }
        write_token_uses(&app).await;
    }
}

/// Writes the uses that are not written yet.
pub(crate) async fn write_token_uses(app: &App) {
    let uses = app.personal_uses.take();
    if uses.is_empty() {
        return;
    }
    if let Err(error) = contention::retry(|| write(app, &uses)).await {
        uses.iter().for_each(|(id, used_ms)| app.personal_uses.note(id, *used_ms));
        let error = russet_text::error_chain(&error);
        tracing::warn!(error, "could not note the last uses of personal tokens; trying again");
    }
}

async fn write(app: &App, uses: &HashMap<PersonalTokenId, i64>) -> Result<(), StoreError> {
    let mut tx = app.store.write().await?;
    for (id, used_ms) in uses {
        user_tokens::note_use(&mut tx, id, *used_ms).await?;
    }
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use super::PersonalUses;

    #[test]
    fn many_uses_of_a_token_are_one_write() {
        let uses = PersonalUses::default();
        for at in [5, 9, 7] {
            uses.note(&"a".into(), at);
        }
        assert_eq!(uses.take(), [("a".into(), 9)].into());
        assert!(uses.take().is_empty());
    }
}
