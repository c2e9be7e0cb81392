//! macOS: everything that compiles there alone.

use crate::command::Tools;
use crate::macos_tools::user_domain::{self, DomainError};

mod access_list;
pub mod accounts;
mod attributes;
mod bundle;
mod clone;
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
mod mounts;
mod power;
pub(crate) mod privileges;
mod process;
pub(crate) mod process_table;
mod responsibility;
pub mod service;
mod sysctl;
mod time;
pub(crate) mod volume;
mod watch;

/// State directory of a launch agent that is root.
pub const ROOT_STATE_DIRECTORY: &str = "/var/db/russet";

/// Directory of what tasks write, of a launch agent that is root: see [`crate::layout`].
pub const ROOT_DATA_DIRECTORY: &str = "/opt/russet/data";

/// Locks of user ids. The system clears it when it starts.
pub const LOCK_DIRECTORY: &str = "/var/run/russet";

/// Slots need a user with a record: Foundation, `ssh` and the simulators find no home for a number.
pub const NEEDS_USER_RECORDS: bool = true;

/// The agent may not repair its users by itself: macOS refuses that to what launchd started, or has
/// to be told otherwise by a person.
pub const MAY_REPAIR_USERS: bool = false;

/// `PATH` where there is none.
pub const STANDARD_PATH: &str = "/usr/bin:/bin:/usr/sbin:/sbin";

pub use access_list::list_writer;
pub use attributes::{HAS_PACKED_ATTRIBUTES, pack_attributes, unpack_attributes};
pub use bundle::{check_code_signature, check_signature_of};
pub use clone::clone_file;
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

/// Gives back memory that holds code. Here the system compresses and drops what is not used by
/// itself.
pub fn forget_code() {}

/// Ends the launchd domain of a user.
///
/// # Errors
///
/// launchd refused.
pub fn end_user_domain(uid: u32) -> Result<(), DomainError> {
    user_domain::check_bootout(&user_domain::bootout(&Tools::system(), uid).run()?)
}
