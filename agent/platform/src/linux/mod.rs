//! Linux: a real back end. It is what the tests drive with real users and real processes.

use crate::macos_tools::user_domain::DomainError;

mod access_list;
pub mod accounts;
mod attributes;
mod bundle;
mod clone;
mod code;
pub(crate) mod environment;
mod groups;
pub mod keychain;
pub(crate) mod keyrings;
pub(crate) mod leftovers;
pub(crate) mod lingering;
pub(crate) mod local_mounts;
mod machine;
mod memory;
pub(crate) mod message_queues;
mod mountinfo;
mod mounts;
mod power;
pub(crate) mod privileges;
mod process;
pub(crate) mod process_table;
mod responsibility;
pub mod service;
mod time;
pub(crate) mod volume;
mod watch;

/// State directory of a launch agent that is root.
pub const ROOT_STATE_DIRECTORY: &str = "/var/lib/russet";

/// Directory of what tasks write, of a launch agent that is root.
pub const ROOT_DATA_DIRECTORY: &str = ROOT_STATE_DIRECTORY;

/// Locks of user ids. Memory on every distribution: a reboot clears it.
pub const LOCK_DIRECTORY: &str = "/run/lock/russet";

/// Slots do with a number where nobody made a user.
pub const NEEDS_USER_RECORDS: bool = false;

/// The agent repairs its users by itself.
pub const MAY_REPAIR_USERS: bool = true;

/// `PATH` where there is none.
pub const STANDARD_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub use access_list::list_writer;
pub use attributes::{HAS_PACKED_ATTRIBUTES, pack_attributes, unpack_attributes};
pub use bundle::{check_code_signature, check_signature_of};
pub use clone::clone_file;
pub use code::forget_code;
pub use groups::Groups;
pub use machine::{hardware_id, machine};
pub use memory::{memory, memory_pressure, resident_memory, swap};
pub use mounts::{detach_below, mount_points};
pub use power::stay_awake;
pub use process::Process;
pub use process_table::{
    has_processes, is_of_user, processes_of, start_time, user_ids_with_processes, user_of,
};
pub use responsibility::disclaim_responsibility;
pub use time::{boot_clock_ms, boot_id};
pub use volume::sync_volume;
pub use watch::FileWatch;

/// Ends the launchd domain of a user, which Linux does not have.
///
/// # Errors
///
/// None here; on macOS, that launchd refused.
pub fn end_user_domain(_uid: u32) -> Result<(), DomainError> {
    Ok(())
}
