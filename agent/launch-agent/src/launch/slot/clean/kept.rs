//! Directories that outlive tasks, when a slot has been cleaned: what its task filled comes into its
//! place, and what goes is emptied.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use russet_protocol::ids::AllocationId;
use russet_protocol::supervise::{SlotUser, Trim};

use super::trim::trim_as;
use crate::launch::kept::{Gone, KeptStore, Rules, plan_removal};
use crate::launch::slot::info::SlotInfo;

/// Sets that go, at most, at once: the slot waits meanwhile.
const MAX_GONE: usize = 16;

/// Time that a system which only schedules writing is given to write.
const WRITE_TIME: Duration = Duration::from_secs(60);

/// Puts what the slot's task has filled in its place. What cannot be is said, and tried again when
/// the slot is cleaned the next time; the set of before stays.
pub(super) fn settle_kept(info: &SlotInfo, task: Option<&AllocationId>) {
    let shared = &info.shared;
    let Some(store) = &shared.kept else { return };
    match store.settle(info.number, info.user().uid, task, shared.clock.wall_ms()) {
        Ok(placed) if placed.is_empty() => {}
        Ok(placed) => {
            let task = task.map(|task| task.as_str().to_owned()).unwrap_or_default();
            tokio::spawn(sync_sets(Arc::clone(shared), placed, task));
        }
        Err(error) => {
            tracing::warn!(slot = info.number, %error, "kept directories are those of before");
        }
    }
}

/// Sees to it that sets outlive a loss of power.
async fn sync_sets(shared: Arc<crate::launch::shared::Shared>, names: Vec<String>, task: String) {
    for is_last in [false, true] {
        let Some(path) = shared.kept.as_ref().map(|store| store.path().to_owned()) else { return };
        let synced = tokio::task::spawn_blocking(move || russet_platform::sync_volume(&path)).await;
        match synced.map_err(io::Error::other).and_then(|synced| synced) {
            // It is written when the call returns.
            Ok(true) => break,
            Ok(false) if !is_last => shared.clock.sleep(WRITE_TIME).await,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "kept directories may not outlive a loss of power");
                return;
            }
        }
    }
    let Some(store) = &shared.kept else { return };
    for name in names {
        if let Err(error) = store.mark_synced(&name, &task) {
            tracing::warn!(%error, name, "a kept set is used until the machine starts again alone");
        }
    }
}

/// Lets sets go where there are too many, and has those that go emptied, as far as there is time.
pub(super) async fn trim_kept(info: &SlotInfo) {
    let Some(store) = &info.shared.kept else { return };
    if let Err(error) = retire_sets(info, store) {
        tracing::warn!(slot = info.number, %error, "cannot trim kept directories");
    }
    let own = info.user().uid;
    let mut gone = match store.gone(own) {
        Ok(gone) => gone,
        Err(error) => {
            tracing::warn!(slot = info.number, %error, "cannot look for kept directories that go");
            return;
        }
    };
    // One user at a time, the slot's own first.
    gone.sort_by_key(|gone| gone.uid != own);
    let Some(Gone { uid, gid, .. }) = gone.first().cloned() else { return };
    let user = SlotUser { uid, gid, name: None, dedicated: false };
    let files = gone.into_iter().filter(|gone| gone.uid == uid).map(|gone| gone.files);
    let trim = Trim {
        paths: Vec::new(),
        copies: Vec::new(),
        watermark_bytes: None,
        max_age_ms: None,
        everything: false,
        memory: None,
        gone: files.take(MAX_GONE).collect(),
    };
    trim_as(info, user, trim).await;
    if let Err(error) = store.gone(uid) {
        tracing::warn!(slot = info.number, %error, "kept directories that went stay empty");
    }
}

fn retire_sets(info: &SlotInfo, store: &KeptStore) -> io::Result<()> {
    let (config, now) = (&info.shared.config, info.shared.clock.now());
    if !info.shared.caches.is_due(store.path(), now) {
        return Ok(());
    }
    info.shared.caches.mark_trimmed(store.path(), now);
    let rules = Rules {
        max_bytes: config.keep.max_bytes,
        max_age: config.keep.max_age,
        lacking: lacking_bytes(store, config.housekeeping.watermark),
    };
    for name in plan_removal(&store.states()?, rules) {
        tracing::info!(name, "a kept set goes");
        store.retire(&name)?;
    }
    Ok(())
}

/// Returns the bytes by which the disk has less free than its owner wants.
#[cfg_attr(
    target_os = "linux",
    expect(clippy::useless_conversion, reason = "it counts in 32 bits on macOS")
)]
fn lacking_bytes(store: &KeptStore, watermark: Option<u64>) -> u64 {
    let (Some(watermark), Ok(room)) = (watermark, nix::sys::statvfs::statvfs(store.path())) else {
        return 0;
    };
    let free = u64::from(room.blocks_available()).saturating_mul(room.fragment_size());
    watermark.saturating_sub(free)
}
