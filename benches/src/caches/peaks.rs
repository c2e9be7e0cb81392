//! Peak memory of processes that come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::process::{children, usage};

/// The most memory that a task agent has had.
pub(super) struct Peaks {
    kib: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

impl Peaks {
    pub(super) fn watch(agent: u32) -> Self {
        let (kib, is_over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (shared, over) = (Arc::clone(&kib), Arc::clone(&is_over));
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                for child in children(agent) {
                    let peak = usage(child).unwrap_or_default().peak_kib;
                    shared.fetch_max(peak, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self { kib, is_over }
    }

    /// In MB, since the last time.
    pub(super) fn take(&self) -> f64 {
        self.kib.swap(0, Ordering::Relaxed) as f64 / 1024.0
    }
}

impl Drop for Peaks {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}
