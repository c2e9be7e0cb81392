use super::State;
use crate::files::{Bad, Fault, Health, Probation};
use crate::memory::{Memory, RunTimes};
use crate::trial::Trial;

/// The directory, as it is after it was found to be root's.
fn state(dir: &tempfile::TempDir) -> State {
    let path = dir.path().join("boot");
    std::fs::create_dir_all(&path).unwrap();
    State { state: dir.path().to_owned(), boot: path.clone(), path: Some(path) }
}

fn remembered() -> Memory {
    let note = Probation { version: "2".to_owned(), bundle: "7.1.1".to_owned(), limit: 60 };
    let mut trial = Trial::new(note);
    trial.count_start();
    let (version, reason) = ("1".to_owned(), "it fell".to_owned());
    let bad = Bad { version, bundle: "5.1.1".to_owned(), fault: Fault::Crashed, reason };
    let ran = RunTimes::parse("ran 5.1.1 9\n");
    Memory::new(Some(trial), vec![bad], ran)
}

/// As [`State::save`], for a directory that is not root's.
fn keep_all(state: &State, memory: &Memory) {
    let trial = memory.trial.as_ref().map(Trial::text).unwrap_or_default();
    assert!(state.keep("strikes", &trial));
    assert!(state.keep("bad", &crate::files::bad_text(&memory.bad)));
    assert!(state.keep("ran", &memory.ran.text()));
    state.keep_note(memory.note().as_ref());
}

#[test]
fn what_is_written_is_there_for_the_next_one_and_drafts_are_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let memory = remembered();
    keep_all(&state(&dir), &memory);
    // Killed while it was writing.
    std::fs::write(dir.path().join("boot/bad.new"), "bad 3 9 cra").unwrap();
    assert_eq!(state(&dir).load("7.1.1"), memory);
    assert_eq!(state(&dir).note(), memory.note());
    let another = state(&dir).load("7.1.2");
    assert_eq!((another.trial, another.bad), (None, memory.bad.clone()));
    // Somebody removed one and changed another.
    std::fs::remove_file(dir.path().join("boot/probation")).unwrap();
    std::fs::write(dir.path().join("boot/bad"), "").unwrap();
    keep_all(&state(&dir), &memory);
    assert_eq!((state(&dir).load("7.1.1"), state(&dir).note()), (memory.clone(), memory.note()));
    let settled = Memory::new(None, memory.bad, memory.ran);
    keep_all(&state(&dir), &settled);
    assert_eq!((state(&dir).load("7.1.1"), state(&dir).note()), (settled, None));
    assert!(!dir.path().join("boot/strikes").exists());
}

#[test]
fn nonsense_says_nothing_and_nothing_waits_for_a_fifo() {
    let dir = tempfile::tempdir().unwrap();
    let state = state(&dir);
    for name in ["probation", "strikes", "bad", "ran", "health"] {
        std::fs::write(dir.path().join("boot").join(name), b"\xff\x00 inode\n").unwrap();
    }
    assert_eq!((state.load("7.1.1"), state.note()), (Memory::default(), None));
    assert_eq!(state.report(1), super::Report::default());
    let fifo = dir.path().join("boot/health");
    std::fs::remove_file(&fifo).unwrap();
    let name = std::ffi::CString::new(fifo.to_str().unwrap()).unwrap();
    // SAFETY: the name ends with a zero.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    assert_eq!(state.report(1).health, None);
    std::fs::remove_file(&fifo).unwrap();
    std::fs::write(&fifo, Health::ending_text(&Health::Ready.text(1), 1)).unwrap();
    assert_eq!(state.report(1), super::Report { health: Some(Health::Ready), is_asked: true });
}

#[test]
fn a_directory_that_cannot_be_used_is_done_without() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let mut state = State::open(&file, &file.join("boot"));
    assert!(!state.is_usable() && !state.save(&remembered()));
    assert_eq!((state.load("7.1.1"), state.note()), (Memory::default(), None));
}
