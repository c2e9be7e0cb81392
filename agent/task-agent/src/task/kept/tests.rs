//! Trees that want to do harm, cloned out of one home and into another.

use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use nix::fcntl::{Flock, FlockArg};
use russet_protocol::supervise::WHOLE_SET_FILE;

use super::restore::restore_sets;
use super::save::save_sets;
use super::sets::OpenSet;

/// Homes of two tasks, and the set that goes from one to the other.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["home", "next", "set"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn set(&self, paths: &[&str], max_bytes: u64) -> OpenSet {
        let open = || -> OwnedFd { std::fs::File::open(self.path("set")).unwrap().into() };
        OpenSet {
            paths: paths.iter().map(PathBuf::from).collect(),
            from: Some(Flock::lock(open(), FlockArg::LockSharedNonblock).unwrap()),
            to: Some(open()),
            max_bytes,
        }
    }

    fn save(&self, paths: &[&str], max_bytes: u64) -> String {
        let sets = [self.set(paths, max_bytes)];
        save_sets(&sets, &self.path("home"), &AtomicBool::new(false)).join("\n")
    }

    fn restore(&self, paths: &[&str]) -> String {
        let mut sets = [self.set(paths, 0)];
        restore_sets(&mut sets, &self.path("next"), &AtomicBool::new(false)).join("\n")
    }

    fn is_whole(&self) -> bool {
        self.path("set").join(WHOLE_SET_FILE).exists()
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn what_is_kept_comes_back_where_it_was_with_its_times() {
    let place = Place::new();
    let project = place.path("home/Library/DerivedData/App-x");
    std::fs::create_dir_all(project.join("Build")).unwrap();
    let then = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
    std::fs::write(project.join("Build/a.o"), vec![7; 100_000]).unwrap();
    std::fs::File::open(project.join("Build/a.o")).unwrap().set_modified(then).unwrap();
    set_mode(&project.join("Build/a.o"), 0o700);
    symlink("a.o", project.join("Build/link")).unwrap();
    std::fs::File::open(project.join("Build")).unwrap().set_modified(then).unwrap();
    let paths = ["Library/DerivedData", ".gradle/caches"];
    let said = place.save(&paths, 1 << 30);
    assert!(said.contains("4 entries") && place.is_whole(), "{said}");
    assert_eq!(mode(&place.path("set")), 0o755);
    let said = place.restore(&paths);
    assert!(said.contains("~/.gradle/caches: nothing is kept"), "{said}");
    let back = place.path("next/Library/DerivedData/App-x/Build");
    assert_eq!(std::fs::read(back.join("a.o")).unwrap(), vec![7; 100_000]);
    assert_eq!(std::fs::read_link(back.join("link")).unwrap(), Path::new("a.o"));
    for path in [back.join("a.o"), back.clone()] {
        assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), then, "{path:?}");
    }
    assert_eq!(mode(&back.join("a.o")), 0o755);
    assert!(!place.path("next").join(WHOLE_SET_FILE).exists());
}

#[test]
fn links_fifos_set_uid_files_and_what_cannot_be_read_do_no_harm() {
    let place = Place::new();
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("theirs"), "theirs").unwrap();
    let cache = place.path("home/cache");
    std::fs::create_dir_all(cache.join("sub")).unwrap();
    symlink(outside.path(), cache.join("out")).unwrap();
    symlink(outside.path(), place.path("home/linked")).unwrap();
    nix::unistd::mkfifo(&cache.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::os::unix::net::UnixListener::bind(cache.join("socket")).unwrap();
    std::fs::write(cache.join("setuid"), "x").unwrap();
    set_mode(&cache.join("setuid"), 0o6755);
    set_mode(&cache.join("sub"), 0o3777);
    // Larger than any disk, and nothing in it.
    std::fs::File::create(cache.join("hole")).unwrap().set_len(1 << 26).unwrap();
    let said = place.save(&["cache", "linked", "linked/theirs"], 10 << 20);
    assert!(said.contains("2 were left out") && place.is_whole(), "{said}");
    let kept = place.path("set/cache");
    assert_eq!((mode(&kept.join("setuid")), mode(&kept.join("sub"))), (0o755, 0o755));
    assert!(!kept.join("fifo").exists() && !kept.join("socket").exists());
    assert!(std::fs::metadata(kept.join("hole")).unwrap().blocks() < 1000);
    assert_eq!(std::fs::read_link(kept.join("out")).unwrap(), outside.path());
    assert!(std::fs::read_dir(place.path("set/linked")).map_or(0, Iterator::count) == 0);
    // Nor does a home that leads elsewhere.
    std::fs::create_dir(place.path("next/real")).unwrap();
    symlink(outside.path(), place.path("next/cache")).unwrap();
    let said = place.restore(&["cache"]);
    assert!(!outside.path().join("setuid").exists(), "{said}");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn the_oldest_entries_are_left_out_where_there_are_more_than_may_be_kept() {
    let place = Place::new();
    for (name, hours) in [("old", 50), ("new", 1), ("middle", 20)] {
        let dir = place.path("home/cache").join(name);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("file"), vec![1; 400_000]).unwrap();
        let then = SystemTime::now() - Duration::from_secs(hours * 3600);
        for path in [dir.join("file"), dir.clone()] {
            std::fs::File::open(path).unwrap().set_modified(then).unwrap();
        }
    }
    let said = place.save(&["cache"], 1_000_000);
    assert!(said.contains("1 of the entries that were not changed for longest"), "{said}");
    let kept = place.path("set/cache");
    assert!(kept.join("new/file").exists() && kept.join("middle/file").exists());
    assert!(!kept.join("old").exists());
}

#[test]
fn levels_without_end_are_cut_and_a_stop_leaves_no_whole_set() {
    let place = Place::new();
    let deep = place.path("home/cache").join(["d"; 300].join("/"));
    std::fs::create_dir_all(&deep).unwrap();
    let sets = [place.set(&["cache"], 1 << 30)];
    let said = save_sets(&sets, &place.path("home"), &AtomicBool::new(true)).join("\n");
    assert!(said.contains("what was kept before stays") && !place.is_whole(), "{said}");
    std::fs::remove_dir_all(place.path("set/cache")).unwrap();
    let said = place.save(&["cache"], 1 << 30);
    assert!(said.contains("1 were left out") && place.is_whole(), "{said}");
    std::fs::remove_dir_all(place.path("home/cache")).unwrap();
}

#[test]
fn what_the_home_has_of_its_own_stays() {
    let place = Place::new();
    for (home, text) in [("home", "kept"), ("next", "own")] {
        std::fs::create_dir_all(place.path(home).join("cache/sub")).unwrap();
        std::fs::write(place.path(home).join("cache/sub/file"), text).unwrap();
    }
    std::fs::write(place.path("home/cache/other"), "kept").unwrap();
    place.save(&["cache"], 1 << 30);
    let said = place.restore(&["cache"]);
    assert!(said.contains("1 were left out"), "{said}");
    let read = |name: &str| std::fs::read_to_string(place.path("next/cache").join(name)).unwrap();
    assert_eq!((read("sub/file").as_str(), read("other").as_str()), ("own", "kept"));
}
