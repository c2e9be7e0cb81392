//! Defaults of a step's environment, and the directories that tasks share.

use std::path::Path;

use crate::macos_tools::path_helper;

/// Orphans become children of launchd.
pub const ORPHANS_COME_BACK: bool = false;

/// The shell of a step that names none, as on CircleCI's own Macs: a login shell, so that what
/// people put into `.bash_profile` and `/etc/profile` counts.
pub const DEFAULT_SHELL: &str = "/bin/bash --login -eo pipefail";

/// Homebrew on Apple silicon, before everything of the system.
const HOMEBREW: [&str; 2] = ["/opt/homebrew/bin", "/opt/homebrew/sbin"];

/// Directories that every Mac has, where `/etc/paths` says less.
const ALWAYS: [&str; 5] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// `PATH` of a step, before what the owner adds: as a login shell makes it (path_helper(8)).
pub fn standard_path() -> String {
    let mut all: Vec<String> = HOMEBREW.iter().map(|&path| path.to_owned()).collect();
    let of_system = path_helper::helper_path(Path::new("/"));
    for path in of_system.into_iter().chain(ALWAYS.iter().map(|&path| path.to_owned())) {
        if !all.contains(&path) {
            all.push(path);
        }
    }
    all.join(":")
}

/// Login shells of all kinds put the system's directories first, in a way that is known:
/// `/etc/profile` and `/etc/zprofile` run path_helper(8).
pub const LOGIN_SHELLS_REORDER_PATH: bool = true;

/// `PATH` of a login shell after `/etc/profile`, where its caller's was `path`.
pub fn login_path(path: &str) -> String {
    path_helper::after_login(Path::new("/"), path)
}

/// Bytes from one read of a terminal that show that more are on their way: Darwin holds 2,048 bytes at the speed that it is set to.
pub const TERMINAL_FLOOD: usize = 512;

/// Directories that a home has before anything runs in it, with their modes.
pub const HOME_DIRECTORIES: &[(&str, u32)] = &crate::macos_tools::home::DIRECTORIES;

/// `LANG` of a step: UTF-8, so that tools do not choke on names.
pub const LANG: &str = "en_US.UTF-8";

/// Directories that anybody may write to and that tasks leave files in.
pub const SHARED_DIRECTORIES: [&str; 3] = ["/private/tmp", "/private/var/tmp", "/Users/Shared"];
