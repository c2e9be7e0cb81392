use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Arc;

use super::{Limits, Rotated, numbered_path};

const LIMITS: Limits = Limits { size: 100, files: 3 };

fn write(log: &Rotated, text: &str) {
    (&*log).write_all(text.as_bytes()).unwrap();
}

fn text(path: &Path, number: u32) -> String {
    std::fs::read_to_string(numbered_path(path, number)).unwrap_or_default()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn files_move_up_and_the_last_one_goes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.log");
    let log = Rotated::open(&path, LIMITS).unwrap();
    for number in 0..8 {
        write(&log, &format!("{number}{}\n", "x".repeat(60)));
    }
    let firsts: Vec<char> = (0..4).filter_map(|n| text(&path, n).chars().next()).collect();
    assert_eq!(firsts, ['7', '6', '5']);
    assert_eq!(mode(&path), 0o640);
}

#[test]
fn mode_and_group_are_kept_and_a_restart_goes_on_in_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.log");
    write(&Rotated::open(&path, LIMITS).unwrap(), "one\n");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let log = Rotated::open(&path, LIMITS).unwrap();
    write(&log, "two\n");
    assert_eq!(text(&path, 0), "one\ntwo\n");
    write(&log, &"x".repeat(100));
    assert_eq!((text(&path, 1).as_str(), mode(&path)), ("one\ntwo\n", 0o600));
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(&path, None, Some(12_345)).unwrap();
        write(&log, "new\n");
        assert_eq!(std::fs::metadata(&path).unwrap().gid(), 12_345);
    }
}

#[test]
fn a_rotation_that_was_killed_in_the_middle_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.log");
    // Killed after `.1` became `.2`: there is a gap.
    std::fs::write(&path, "newest\n".repeat(20)).unwrap();
    std::fs::write(numbered_path(&path, 2), "older\n").unwrap();
    let log = Rotated::open(&path, LIMITS).unwrap();
    write(&log, "after\n");
    assert_eq!(text(&path, 0), "after\n");
    assert!(text(&path, 1).starts_with("newest") && text(&path, 2) == "older\n");
    // Killed before the new file was made.
    drop(log);
    std::fs::rename(&path, numbered_path(&path, 9)).unwrap();
    write(&Rotated::open(&path, LIMITS).unwrap(), "again\n");
    assert_eq!(text(&path, 0), "again\n");
}

#[test]
fn a_log_that_somebody_else_moved_or_removed_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.log");
    let log = Rotated::open(&path, LIMITS).unwrap();
    write(&log, "one\n");
    std::fs::rename(&path, dir.path().join("elsewhere")).unwrap();
    write(&log, "two\n");
    std::fs::remove_file(&path).unwrap();
    write(&log, "three\n");
    assert_eq!(text(&path, 0), "three\n");
}

#[test]
fn links_pipes_and_files_with_other_names_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (path, other) = (dir.path().join("agent.log"), dir.path().join("other"));
    std::fs::write(&other, "").unwrap();
    symlink(&other, &path).unwrap();
    let refused = |path: &Path| Rotated::open(path, LIMITS).unwrap_err().to_string();
    assert!(refused(&path).contains("link"));
    std::fs::remove_file(&path).unwrap();
    std::fs::hard_link(&other, &path).unwrap();
    assert!(refused(&path).contains("other names"));
    std::fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let reader = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    assert!(refused(&path).contains("no file"));
    drop(reader);
    // A link that comes later is not followed either.
    let log = Rotated::open(&dir.path().join("late.log"), LIMITS).unwrap();
    std::fs::remove_file(dir.path().join("late.log")).unwrap();
    symlink(&other, dir.path().join("late.log")).unwrap();
    (&log).write_all(b"secret\n").unwrap_err();
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "");
    let open = dir.path().join("open");
    std::fs::create_dir(&open).unwrap();
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert!(refused(&open.join("agent.log")).contains("exchange"));
}

#[test]
fn many_writers_in_two_processes_lose_no_line_and_tear_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.log");
    let limits = Limits { size: 4_000, files: 1_000 };
    // Each has its own open file, as processes have.
    let logs: Vec<Arc<Rotated>> =
        (0..2).map(|_| Arc::new(Rotated::open(&path, limits).unwrap())).collect();
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let log = Arc::clone(&logs[writer % 2]);
            std::thread::spawn(move || {
                for number in 0..1_000 {
                    write(&log, &format!("{writer} {number}\n"));
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    let mut lines: Vec<String> = (0..limits.files)
        .flat_map(|number| text(&path, number).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    assert!(text(&path, 2).len() > 100, "it was rotated");
    lines.sort();
    let count = lines.len();
    lines.dedup();
    assert_eq!((count, lines.len()), (8_000, 8_000));
}
