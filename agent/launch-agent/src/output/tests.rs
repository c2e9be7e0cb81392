//! Reading the output of tasks, and keeping the end of it.

use std::io::Read as _;
use std::os::unix::fs::symlink;

use super::reading::MAX_KEPT_BYTES;
use super::{FOLDER, MAX_KEPT_TASKS, OutputReader, Spool, keep_end, open_kept};

fn spool() -> (tempfile::TempDir, std::path::PathBuf, Spool) {
    let state = tempfile::tempdir().unwrap();
    let dir = state.path().join("slots/1/spool");
    std::fs::create_dir_all(&dir).unwrap();
    let spool = Spool::open(state.path(), 1).unwrap();
    (state, dir, spool)
}

fn all(reading: &mut OutputReader) -> String {
    let pieces =
        std::iter::from_fn(|| Some(reading.next_piece()).filter(|piece| !piece.is_empty()));
    String::from_utf8(pieces.flatten().collect()).unwrap()
}

#[test]
fn steps_are_told_in_their_order_and_each_goes_on_where_it_was() {
    let (_state, dir, spool) = spool();
    let mut reading = OutputReader::default();
    std::fs::write(dir.join("10.log"), "ten\n").unwrap();
    std::fs::write(dir.join("2.log"), "two\n").unwrap();
    std::fs::write(dir.join("reserve"), "no log").unwrap();
    reading.open(&spool);
    assert_eq!(all(&mut reading), "== step 2\ntwo\n== step 10\nten\n");
    std::fs::write(dir.join("10.log"), "ten\nmore\n").unwrap();
    // What was written before the files went away is still told.
    std::fs::remove_file(dir.join("10.log")).unwrap();
    assert_eq!(all(&mut reading), "more\n");
}

#[test]
fn of_what_was_said_before_the_end_is_told() {
    let (_state, dir, spool) = spool();
    std::fs::write(dir.join("0.log"), vec![b'x'; 1000]).unwrap();
    std::fs::write(dir.join("1.log"), vec![b'y'; 500]).unwrap();
    let mut reading = OutputReader::default();
    reading.open(&spool);
    reading.skip_to_last(1000);
    let text = all(&mut reading);
    let count = |c: char| text.chars().filter(|it| *it == c).count();
    assert_eq!((count('x'), count('y')), (500, 500));
}

#[test]
fn a_link_a_second_name_and_a_fifo_in_the_place_of_output_are_not_read() {
    let (state, dir, spool) = spool();
    let secret = state.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    symlink(&secret, dir.join("0.log")).unwrap();
    std::fs::hard_link(&secret, dir.join("1.log")).unwrap();
    nix::unistd::mkfifo(&dir.join("2.log"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    std::fs::write(dir.join("3.log"), "ours").unwrap();
    let mut reading = OutputReader::default();
    reading.open(&spool);
    assert_eq!(all(&mut reading), "== step 3\nours");
}

#[test]
fn the_end_of_the_last_tasks_is_kept_for_root_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (state, dir, spool) = spool();
    let folder = state.path().join(FOLDER);
    let long = usize::try_from(MAX_KEPT_BYTES).unwrap() + 5;
    std::fs::write(dir.join("0.log"), vec![b'x'; long]).unwrap();
    for task in 0..=MAX_KEPT_TASKS {
        let mut reading = OutputReader::default();
        reading.open(&spool);
        keep_end(&folder, &format!("task-{task}.log"), reading).unwrap();
    }
    let mut text = String::new();
    let mut file = open_kept(state.path(), &"task-50".into()).unwrap().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text.len(), "== step 0\n".len() + long - 5);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), MAX_KEPT_TASKS);
    for none in ["task-0", "../state", "", "task-50.log"] {
        assert!(open_kept(state.path(), &none.into()).unwrap().is_none(), "{none}");
    }
}

#[test]
fn what_another_task_has_removed_already_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    assert!(super::remove_kept(dir.path().join("task-1.log")).is_ok());
    assert!(super::remove_kept(dir.path().to_owned()).is_err());
}
