use super::{Kind, MAX_NAMES, Sweep, Tally};
use crate::task::clean::moment::Beginning;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::time::{Duration, Instant};

const UID: u32 = 59_999;

fn made(path: &Path, mode: u32, owner: u32) {
    std::fs::create_dir(path).unwrap();
    std::fs::write(path.join("file"), b"x").unwrap();
    chown(path.join("file"), Some(owner), None).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    chown(path, Some(owner), None).unwrap();
}

#[test]
fn in_a_shared_directory_only_files_of_the_user_go_also_those_in_directories_of_others() {
    if !russet_test_skip::can_be_root("to have files of others") {
        return;
    }
    let shared = tempfile::tempdir().unwrap();
    let path = |name: &str| shared.path().join(name);
    made(&path("mine"), 0o755, UID);
    made(&path("spared"), 0o755, UID);
    made(&path("other"), 0o755, 0);
    made(&path("open"), 0o1777, 0);
    made(&path("open/mine"), 0o700, UID);
    // Nobody else could have written here, so nobody looks.
    made(&path("closed"), 0o755, 0);
    std::fs::write(path("closed/odd"), b"x").unwrap();
    chown(path("closed/odd"), Some(UID), None).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", path("link")).unwrap();
    std::os::unix::fs::lchown(path("link"), Some(UID), None).unwrap();
    let spared = [path("spared")];
    let until = Instant::now() + Duration::from_secs(60);
    let sweep = Sweep { uid: UID, spared: &spared, until, session: None };
    let mut tally = Tally::default();
    sweep.directory(shared.path(), Kind::SharedFiles, None, &mut tally);
    assert_eq!(tally.numbers()[0].removed, 3, "{tally:?}");
    for (name, is_there) in [
        ("mine", false),
        ("open/mine", false),
        ("link", false),
        ("spared/file", true),
        ("other/file", true),
        ("open/file", true),
        ("closed/odd", true),
    ] {
        assert_eq!(path(name).symlink_metadata().is_ok(), is_there, "{name}");
    }
    assert!(Path::new("/etc/passwd").exists());
    let mut tally = Tally::default();
    sweep.path(&path("spared"), Kind::Keychains, &mut tally);
    sweep.path(&path("other"), Kind::Keychains, &mut tally);
    sweep.path(&path("none/at/all"), Kind::Keychains, &mut tally);
    assert_eq!(tally.numbers()[0].removed, 1);
    assert!(!path("spared").exists() && path("other").exists());
}

fn sweep_all(until: Instant) -> Sweep<'static> {
    Sweep { uid: UID, spared: &[], until, session: None }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn make_files(dir: &Path, names: impl Iterator<Item = String>, owner: u32) {
    for name in names {
        let path = dir.join(name);
        std::fs::write(&path, b"").unwrap();
        chown(&path, Some(owner), None).unwrap();
    }
}

#[test]
fn thousands_of_files_among_those_of_others_all_go() {
    if !russet_test_skip::can_be_root("to have files of others") {
        return;
    }
    let shared = tempfile::tempdir().unwrap();
    let count = MAX_NAMES * 26;
    make_files(shared.path(), (0..count).map(|number| format!("mine-{number}")), UID);
    make_files(shared.path(), (0..2000).map(|number| format!("other-{number}")), 0);
    let mut tally = Tally::default();
    sweep_all(soon()).directory(shared.path(), Kind::SharedFiles, None, &mut tally);
    assert_eq!(tally.numbers()[0].removed, count as u64);
    assert_eq!(std::fs::read_dir(shared.path()).unwrap().count(), 2000);
    assert!(!tally.holds_slot());
}

#[test]
fn a_sweep_that_runs_out_of_time_says_where_and_goes_on_the_next_time() {
    if !russet_test_skip::can_be_root("to have files of others") {
        return;
    }
    let shared = tempfile::tempdir().unwrap();
    made(&shared.path().join("open"), 0o777, 0);
    make_files(&shared.path().join("open"), (0..50).map(|number| format!("mine-{number}")), UID);
    let mut tally = Tally::default();
    let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
    sweep_all(past).directory(shared.path(), Kind::SharedFiles, None, &mut tally);
    assert!(tally.holds_slot());
    let told = tally.complaints().join("; ");
    assert!(told.contains(shared.path().to_str().unwrap()), "{told}");
    let mut tally = Tally::default();
    sweep_all(soon()).directory(shared.path(), Kind::SharedFiles, None, &mut tally);
    assert!(!tally.holds_slot());
    assert_eq!(std::fs::read_dir(shared.path().join("open")).unwrap().count(), 1);
}

#[test]
fn a_file_that_can_not_be_removed_holds_the_slot_and_is_named_once() {
    if !russet_test_skip::can_be_root("to have files of others") {
        return;
    }
    let shared = tempfile::tempdir().unwrap();
    let mounted = shared.path().join("mounted");
    made(&mounted, 0o755, UID);
    let mount = |program: &str, arguments: &[&str]| {
        let command = std::process::Command::new(program).args(arguments).arg(&mounted).status();
        command.is_ok_and(|status| status.success())
    };
    if !mount("mount", &["-t", "tmpfs", "-o", &format!("uid={UID}"), "tmpfs"]) {
        // A container may forbid it.
        return;
    }
    make_files(shared.path(), (0..2 * MAX_NAMES).map(|number| format!("mine-{number}")), UID);
    let mut tally = Tally::default();
    sweep_all(soon()).directory(shared.path(), Kind::SharedFiles, None, &mut tally);
    assert!(mount("umount", &[]));
    assert_eq!(tally.count_kept(Kind::SharedFiles), 1, "{tally:?}");
    assert!(tally.holds_slot());
    let told = tally.complaints().join("; ");
    assert!(told.contains(mounted.to_str().unwrap()), "{told}");
}

#[test]
fn in_an_unchanged_directory_only_directories_are_looked_at_and_nested_ones_do_not_hide() {
    if !russet_test_skip::can_be_root("to have files of others") {
        return;
    }
    let shared = tempfile::tempdir().unwrap();
    let nested = shared.path().join("a");
    std::fs::create_dir_all(nested.join("b")).unwrap();
    for path in [nested.clone(), nested.join("b")] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o1777)).unwrap();
    }
    make_files(shared.path(), std::iter::once("before".to_owned()), UID);
    // Times of files are that coarse.
    let later = || {
        let probe = tempfile::NamedTempFile::new_in(shared.path().parent().unwrap()).unwrap();
        super::changed_at(&nix::sys::stat::stat(probe.path()).unwrap())
    };
    let since = loop {
        let now = later();
        if now > super::changed_at(&nix::sys::stat::stat(shared.path()).unwrap()) {
            break now;
        }
    };
    make_files(&nested.join("b"), std::iter::once("mine".to_owned()), UID);
    let mut tally = Tally::default();
    sweep_all(soon()).directory(shared.path(), Kind::SharedFiles, Some(since), &mut tally);
    assert!(!nested.join("b/mine").exists());
    assert!(shared.path().join("before").exists(), "it was there before, and is not looked at");
    make_files(shared.path(), std::iter::once("after".to_owned()), UID);
    sweep_all(soon()).directory(shared.path(), Kind::SharedFiles, Some(since), &mut tally);
    assert!(!shared.path().join("after").exists() && !shared.path().join("before").exists());
    assert!(Beginning::now().earliest().is_some());
}

#[test]
fn what_a_session_had_before_stays() {
    if !russet_test_skip::can_be_root("to have files of others") {
        return;
    }
    let shared = tempfile::tempdir().unwrap();
    make_files(shared.path(), std::iter::once("of-session".to_owned()), UID);
    let path = shared.path().join("of-session");
    let session = super::changed_at(&nix::sys::stat::stat(&path).unwrap());
    for (session, is_there) in [(session + 1, true), (session, false)] {
        let sweep = Sweep { session: Some(session), ..sweep_all(soon()) };
        sweep.directory(shared.path(), Kind::SharedFiles, None, &mut Tally::default());
        assert_eq!(path.exists(), is_there);
    }
}
