//! Linux: a real back end. It is what the tests drive with real users and real processes.

mod time;

pub use time::{boot_clock_ms, boot_id};
