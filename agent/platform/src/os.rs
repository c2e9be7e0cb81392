//! The calls of the task agent to the operating system beyond POSIX, under the same names on each.

#[cfg(target_os = "linux")]
use crate::linux as system;
#[cfg(target_os = "macos")]
use crate::macos as system;

pub use crate::limits::{
    Limit, hard_limit, lower_priority, open_files, raise_open_files, set_limit,
};
pub use crate::process_info::{Ids, ProcessInfo, Usage};
pub use crate::syscall::check;
pub use system::environment::{
    DEFAULT_SHELL, HOME_DIRECTORIES, LANG, LOGIN_SHELLS_REORDER_PATH, ORPHANS_COME_BACK,
    SHARED_DIRECTORIES, TERMINAL_FLOOD, login_path, standard_path,
};
pub use system::keyrings::{own_session_keyring, remove_keys};
pub use system::leftovers::{
    detach_images, end_session_jobs, end_user_domain, mounts, remove_ipc, unmount, unprotect,
    user_directories,
};
pub use system::lingering::end_lingering;
pub use system::local_mounts::local_mounts;
pub use system::message_queues::open_message_queues;
pub use system::privileges::{
    become_subreaper, close_from, holds_capabilities, ids, make_undumpable, own_security_session,
    set_gid, set_groups, set_uid, thread_count,
};
pub use system::process_table::{
    age_of_start, command_line, has_others, processes, processes_with_user, signal_others, usage,
};
