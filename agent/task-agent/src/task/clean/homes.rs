//! Remains of a job in homes that the rest of the clean-up does not count or does not reach.
//!
//! A task's `HOME` is a fresh directory of the slot. On macOS that is not the whole story: what
//! is built on Foundation (Xcode, simulators, keychains, launchd) asks the user database where
//! the home is, and where that is another directory than the slot's, what it keeps there would
//! meet the next task. So that home loses what such tools keep.

use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};

use super::shared::Sweep;
use super::tally::{Kind, Tally};

/// One directory for each simulator.
const SIMULATORS: &str = "Library/Developer/CoreSimulator/Devices";

/// Files that a home of the user database may not keep from one task to the next.
const OF_RECORD: [(&str, Kind); 11] = [
    ("Library/LaunchAgents", Kind::LaunchdJobs),
    ("Library/Keychains", Kind::Keychains),
    // The list of keychains that are searched.
    ("Library/Preferences/com.apple.security.plist", Kind::Keychains),
    ("Library/Developer/CoreSimulator", Kind::UserFiles),
    ("Library/Developer/XCTestDevices", Kind::UserFiles),
    ("Library/Developer/Xcode/DerivedData", Kind::UserFiles),
    ("Library/Developer/Xcode/UserData/Provisioning Profiles", Kind::UserFiles),
    ("Library/MobileDevice/Provisioning Profiles", Kind::UserFiles),
    ("Library/Caches", Kind::UserFiles),
    ("Library/Logs", Kind::UserFiles),
    ("Library/Saved Application State", Kind::UserFiles),
];

/// Files of it that belong to a session at the screen, which goes on: its login keychain, and what
/// its programs have open.
const OF_SESSION: [&str; 4] = [
    "Library/Keychains",
    "Library/Preferences/com.apple.security.plist",
    "Library/Caches",
    "Library/Logs",
];

/// Removes it. `home` is the slot's own. A user without a record in the user database has no other,
/// and asking it loads libraries that take longer than the rest of a clean-up.
pub(super) fn sweep_homes(
    sweep: &Sweep<'_>,
    home: &Path,
    has_record: bool,
    has_session: bool,
    tally: &mut Tally,
) {
    let user =
        has_record.then(|| User::from_uid(Uid::from_raw(sweep.uid)).ok().flatten()).flatten();
    let of_record = user.map(|user| user.dir);
    remove_remains(sweep, home, of_record.as_deref(), has_session, tally);
}

fn remove_remains(
    sweep: &Sweep<'_>,
    home: &Path,
    of_record: Option<&Path>,
    has_session: bool,
    tally: &mut Tally,
) {
    // Gone with the rest of the home in a moment; here they are counted.
    sweep.directory(&home.join(SIMULATORS), Kind::Simulators, None, tally);
    let Some(other) = of_record.filter(|other| is_other(other, home)) else { return };
    sweep.directory(&other.join(SIMULATORS), Kind::Simulators, None, tally);
    let goes = |path: &str| !(has_session && OF_SESSION.contains(&path));
    for (path, kind) in OF_RECORD.into_iter().filter(|(path, _)| goes(path)) {
        sweep.path(&other.join(path), kind, tally);
    }
}

/// Returns true if it is a home at all, and not the slot's own.
fn is_other(other: &Path, home: &Path) -> bool {
    let real = |path: &Path| -> PathBuf { path.canonicalize().unwrap_or_else(|_| path.to_owned()) };
    other.is_absolute() && other.parent().is_some() && real(other) != real(home)
}

#[cfg(test)]
mod tests {
    use super::{OF_RECORD, SIMULATORS, Sweep, Tally, is_other, remove_remains};
    use std::path::Path;
    use std::time::{Duration, Instant};

    #[test]
    fn what_tools_keep_in_the_home_of_the_user_database_goes_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (home, other) = (dir.path().join("home"), dir.path().join("other"));
        for path in OF_RECORD.map(|(path, _)| path) {
            std::fs::create_dir_all(other.join(path)).unwrap();
        }
        for home in [&home, &other] {
            std::fs::create_dir_all(home.join(SIMULATORS).join("0A1B/data")).unwrap();
        }
        std::fs::write(other.join("Library/Keychains/login.keychain-db"), b"x").unwrap();
        std::fs::write(other.join(".profile"), b"x").unwrap();
        let uid = nix::unistd::getuid().as_raw();
        let until = Instant::now() + Duration::from_secs(60);
        let sweep = Sweep { uid, spared: &[], until, session: None };
        let mut tally = Tally::default();
        let keychain = other.join("Library/Keychains/login.keychain-db");
        remove_remains(&sweep, &home, Some(&other), true, &mut Tally::default());
        assert!(keychain.exists() && !other.join("Library/LaunchAgents").exists());
        std::fs::create_dir_all(other.join("Library/LaunchAgents")).unwrap();
        for home in [&home, &other] {
            std::fs::create_dir_all(home.join(SIMULATORS).join("0A1B/data")).unwrap();
        }
        remove_remains(&sweep, &home, Some(&other), false, &mut tally);
        for path in OF_RECORD.map(|(path, _)| path) {
            assert!(!other.join(path).exists(), "{path}");
        }
        assert!(other.join(".profile").exists() && other.join("Library/Preferences").exists());
        let numbers = tally.numbers();
        let count = |kind: &str| numbers.iter().find(|number| number.kind == kind).unwrap().removed;
        assert_eq!((count("simulators"), count("keychains"), count("launchd_jobs")), (2, 2, 1));
        assert_eq!(tally.complaints(), &[] as &[String]);
    }

    #[test]
    fn the_slots_own_home_and_no_home_are_no_other_home() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert!(!is_other(&link, dir.path()));
        for none in ["/", "", "home"] {
            assert!(!is_other(Path::new(none), dir.path()), "{none}");
        }
        assert!(is_other(Path::new("/var/empty"), dir.path()));
    }
}
