//! Linux: a real back end. It is what the tests drive with real users and real processes.

mod time;

/// Where a launch agent that is root keeps its state.
pub const ROOT_STATE_DIRECTORY: &str = "/var/lib/russet";

pub use time::{boot_clock_ms, boot_id};
