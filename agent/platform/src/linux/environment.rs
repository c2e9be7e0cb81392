//! Defaults of a step's environment, and the directories that tasks share.

/// Orphans of a subreaper become its children.
pub const ORPHANS_COME_BACK: bool = true;

/// The shell of a step that names none, as at CircleCI.
pub const DEFAULT_SHELL: &str = "/bin/bash -eo pipefail";

/// `PATH` of a step, before what the owner adds.
const STANDARD_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Bytes from one read of a terminal that show that more are on their way: Linux gives at most about four kilobytes at a time.
pub const TERMINAL_FLOOD: usize = 2 * 1024;

/// Directories that a home has before anything runs in it, with their modes.
pub const HOME_DIRECTORIES: &[(&str, u32)] = &[];

/// `LANG` of a step: UTF-8, so that tools do not choke on names.
pub const LANG: &str = "C.UTF-8";

/// Directories that anybody may write to and that tasks leave files in.
pub const SHARED_DIRECTORIES: [&str; 5] =
    ["/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock"];

/// `PATH` of a step, before what the owner adds.
pub fn standard_path() -> String {
    STANDARD_PATH.to_owned()
}

/// Login shells of all kinds put the system's directories first, in a way that is known.
pub const LOGIN_SHELLS_REORDER_PATH: bool = false;

/// `PATH` of a login shell after `/etc/profile`: every distribution makes another, so what is known
/// is the caller's.
pub fn login_path(path: &str) -> String {
    path.to_owned()
}
