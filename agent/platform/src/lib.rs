//! The systems that the agents run on, under the same names on each, and what both agents build
//! upon: clock, layout, HTTP client, replacement of files.
//!
//! This is the one place that chooses between systems. Code that is the same on both stands in
//! its own file here.

pub mod account;
pub mod clock;
pub mod command;
pub mod darwin;
mod exchange;
pub mod http;
pub mod job;
pub mod layout;
pub mod machine;
mod memory;
pub mod os;
pub mod replace;
pub mod trust;
pub mod users;

pub use exchange::exchange;
pub use memory::Memory;

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
