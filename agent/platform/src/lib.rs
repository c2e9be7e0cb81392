//! The systems that the agents run on, under the same names on each, and what both agents build
//! upon: clock, layout, HTTP client, replacement of files.
//!
//! This is the one place that chooses between systems. Code that is the same on both stands in
//! its own file here.

pub mod access_list;
pub mod account;
pub mod clock;
pub mod command;
#[cfg(any(target_os = "macos", test))]
mod darwin_abi;
mod errors;
mod exchange;
pub mod hardware;
pub mod http;
pub mod job;
pub mod layout;
mod limits;
mod load;
pub mod machine;
pub mod macos_tools;
mod memory;
pub mod os;
mod pipe_end;
pub mod privacy;
mod private_directory;
mod process_info;
pub mod replace;
pub mod server_layout;
pub mod shared_directories;
mod syscall;
pub mod trust;
pub mod users;
pub mod volume;
mod wakefulness;

pub use errors::{KeychainError, SignatureError};
pub use exchange::exchange_paths;
pub use load::load_average;
pub use memory::{Memory, MemoryPressure, Swap};
pub use pipe_end::PipeEnd;
pub use wakefulness::Wakefulness;

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
