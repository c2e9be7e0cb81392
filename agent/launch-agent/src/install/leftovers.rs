//! Things that a removal leaves on a machine on purpose, each with the reason: no removal is
//! "without a trace" that does not name its traces.

use std::path::{Path, PathBuf};

use serde::Serialize;

use russet_platform::layout::Layout;

/// One thing that stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Leftover {
    /// Thing, with its path where it has one.
    pub what: String,
    /// Reason why it stays, and how a person removes it.
    pub why: String,
}

impl Leftover {
    fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into() }
    }
}

/// Lists what is left of an installation that was removed.
#[must_use]
pub fn list_leftovers(layout: &Layout) -> Vec<Leftover> {
    let mut left: Vec<Leftover> = files_of_people(layout);
    if cfg!(target_os = "macos") && layout.root() == Path::new("/") {
        left.extend(records_of_macos());
    }
    let locks = PathBuf::from(russet_platform::LOCK_DIRECTORY);
    if cfg!(target_os = "linux") && layout.root() == Path::new("/") && locks.is_dir() {
        left.push(Leftover::new(
            locks.display().to_string(),
            "agents of other users lock user ids there; it is gone when the machine restarts",
        ));
    }
    left
}

/// Files that people or their MDM made, or that are in people's homes.
fn files_of_people(layout: &Layout) -> Vec<Leftover> {
    let mut left = Vec::new();
    let remove = |path: &Path| format!("`sudo rm -r '{}'` removes it", path.display());
    let mut add = |path: PathBuf, why: &str| {
        if path.exists() {
            left.push(Leftover::new(
                path.display().to_string(),
                format!("{why}; {}", remove(&path)),
            ));
        }
    };
    add(layout.config(), "it was there before Russet, and may hold a token");
    add(layout.package_settings(), "somebody told the package what to do, not the package itself");
    let homes = std::fs::read_dir(layout.root().join("Users")).into_iter().flatten().flatten();
    let mut homes: Vec<PathBuf> = homes.map(|home| home.path()).collect();
    homes.sort();
    for home in homes {
        for file in [
            "Library/Application Support/dev.russet.menubar",
            "Library/Preferences/dev.russet.menubar.plist",
        ] {
            add(home.join(file), "the companion's settings of that person");
        }
    }
    left
}

/// Records of macOS's own, which it gives nobody a way to remove one by one.
fn records_of_macos() -> [Leftover; 4] {
    [
        Leftover::new(
            "the background items' records (Login Items in System Settings)",
            "macOS forgets those of files that are gone by itself; `sfltool resetbtm` forgets \
             everybody's",
        ),
        Leftover::new(
            "privacy grants to dev.russet.agent, dev.russet.boot and dev.russet.menubar, if any",
            "`tccutil reset All dev.russet.agent` and so on removes them; a configuration profile is \
             its MDM's",
        ),
        Leftover::new(
            "empty directories of the slots' users in /var/folders",
            "macOS made them, and removes what is in them",
        ),
        Leftover::new(
            "local snapshots and backups of Time Machine",
            "they have the configuration with its token as long as they exist: revoke the token \
             (`russet token delete`)",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::{Layout, list_leftovers};

    #[test]
    fn what_is_of_people_is_named_with_the_reason_and_what_removes_it() {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::below(root.path());
        assert_eq!(list_leftovers(&layout), []);
        let settings = "Users/anna/Library/Application Support/dev.russet.menubar/settings.json";
        for path in [layout.config(), layout.package_settings(), root.path().join(settings)] {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let left = list_leftovers(&layout);
        assert_eq!(left.len(), 3, "{left:?}");
        assert!(left.iter().all(|one| one.why.contains("sudo rm -r")), "{left:?}");
        assert!(left[0].why.contains("may hold a token"));
        assert!(left[2].what.ends_with("anna/Library/Application Support/dev.russet.menubar"));
    }
}
