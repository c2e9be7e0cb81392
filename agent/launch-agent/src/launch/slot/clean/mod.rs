//! Cleaning a slot after its task, and trimming caches meanwhile.

mod cleaner;
mod error;
mod kept;
mod mounts;
mod trim;

pub(super) use cleaner::SlotCleaner;
