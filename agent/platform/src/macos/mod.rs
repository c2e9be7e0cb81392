//! macOS.

pub mod accounts;
mod bundle;
mod clone;
mod groups;
pub mod keychain;
mod machine;
mod memory;
mod power;
mod process;
pub mod service;
mod sysctl;
mod time;
mod watch;

/// State directory of a launch agent that is root.
pub const ROOT_STATE_DIRECTORY: &str = "/var/db/russet";

/// Locks of user ids. The system clears it when it starts.
pub const LOCK_DIRECTORY: &str = "/var/run/russet";

/// `PATH` where there is none.
pub const STANDARD_PATH: &str = "/usr/bin:/bin:/usr/sbin:/sbin";

pub use bundle::code_signature;
pub use clone::clone_file;
pub use groups::Groups;
pub use machine::machine;
pub use memory::{memory, resident_memory};
pub use power::stay_awake;
pub use process::{
    Process, has_processes, processes_of, start_time, user_ids_with_processes, user_of,
};
pub use time::{boot_clock_ms, boot_id};
pub use watch::FileWatch;

/// Gives back memory that holds code. Here the system compresses and drops what is not used by
/// itself.
pub fn forget_code() {}

/// Ends the launchd domain of a user.
///
/// # Errors
///
/// launchd refused, in words.
pub fn end_user_domain(uid: u32) -> Result<(), String> {
    let bootout = super::darwin::user_domain::bootout(&super::command::Tools::system(), uid);
    let output = bootout.run().map_err(|error| error.to_string())?;
    super::darwin::user_domain::problem(&output).map_or(Ok(()), Err)
}
