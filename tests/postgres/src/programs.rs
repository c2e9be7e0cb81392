//! The programs of PostgreSQL, and the user that they run as.

use std::path::{Path, PathBuf};

use nix::unistd::{User, geteuid};

/// Directories that have a directory for each version of PostgreSQL: on Debian, and of Homebrew.
const VERSIONS: [&str; 3] = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"];

/// Users that a server of root's tests may run as.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// User and group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Returns the directory of the newest version's programs.
pub(crate) fn programs() -> Option<PathBuf> {
    let has_all = |dir: &PathBuf| {
        ["initdb", "postgres", "psql", "pg_isready", "pg_dump"]
            .iter()
            .all(|name| dir.join(name).is_file())
    };
    let of_versions = VERSIONS.iter().flat_map(|parent| {
        let mut found: Vec<PathBuf> = std::fs::read_dir(Path::new(parent))
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
            .collect();
        found.sort();
        found.into_iter().rev()
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    of_versions.chain(in_path).find(has_all)
}

/// Returns the user to run as; `None` where that is the current one.
pub(crate) fn account() -> Option<Account> {
    if !geteuid().is_root() {
        return None;
    }
    let user = USERS.iter().find_map(|name| User::from_name(name).ok().flatten());
    let user = user.expect("there is neither postgres nor nobody");
    Some(Account { uid: user.uid.as_raw(), gid: user.gid.as_raw() })
}
