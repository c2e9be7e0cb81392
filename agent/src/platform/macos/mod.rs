//! macOS.

mod sysctl;
mod time;

/// Where a launch agent that is root keeps its state.
pub const ROOT_STATE_DIRECTORY: &str = "/var/db/russet";

pub use time::{boot_clock_ms, boot_id};
