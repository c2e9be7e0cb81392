//! macOS.

mod sysctl;
mod time;

pub use time::{boot_clock_ms, boot_id};
