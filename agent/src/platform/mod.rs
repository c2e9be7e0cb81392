//! What differs between operating systems, under the same names on each.
//!
//! This is the one place that chooses. Whatever is the same on both stands in its own file here.

pub mod account;
pub mod command;
pub mod darwin;
mod exchange;
pub mod job;
pub mod machine;
pub mod trust;
pub mod users;

pub use exchange::exchange;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::*;

#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
pub use macos::*;

/// This machine's name; empty where it has none.
#[must_use]
pub fn hostname() -> String {
    nix::unistd::gethostname()
        .map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned())
}
