//! The files in the state directory, as `docs/service.md` describes them.
//!
//! The agent must start with whatever is found here: a file that is missing or makes no sense
//! says nothing, and one that cannot be written is done without.

use std::cell::RefCell;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::files::{self, Bad, Fault, Health, Probation};
use crate::{signals, trust};

/// A longer file is none of these.
const LONGEST: u64 = 16 * 1024;

/// The directory.
#[derive(Debug)]
pub(crate) struct State {
    /// `None`: it cannot be used.
    path: Option<PathBuf>,
    /// The strikes of this boot, should they not be writable.
    strikes: RefCell<(String, u32)>,
}

impl State {
    /// Makes the directory where it is absent. It has to be root's alone.
    pub(crate) fn open(state: &Path, boot: &Path) -> Self {
        let path = prepare_directory(state, boot).map_err(|reason| {
            signals::log_line(&format!("{reason}; going on without memory of bad versions"));
        });
        Self { path: path.ok(), strikes: RefCell::default() }
    }

    /// Returns the version that has to prove itself, if there is one.
    pub(crate) fn probation(&self) -> Option<Probation> {
        Probation::parse(&self.read(files::PROBATION)?)
    }

    /// It proved itself, or is gone.
    pub(crate) fn end_probation(&self) {
        self.strikes.take();
        self.remove(files::PROBATION);
        self.remove(files::STRIKES);
    }

    /// Returns the number of quick ends of this bundle.
    pub(crate) fn quick_ends_of(&self, bundle: &str) -> u32 {
        let here = self.strikes.borrow();
        let here = if here.0 == bundle { here.1 } else { 0 };
        let text = self.read(files::STRIKES).unwrap_or_default();
        files::parse_strikes(&text, bundle).max(here)
    }

    /// Notes it.
    pub(crate) fn set_strikes(&self, bundle: &str, strikes: u32) {
        self.strikes.replace((bundle.to_owned(), strikes));
        self.write(files::STRIKES, &files::strikes_text(bundle, strikes));
    }

    /// Returns the progress of the agent with this process id.
    pub(crate) fn health(&self, pid: u32) -> Option<Health> {
        Health::parse(&self.read(files::HEALTH)?, pid)
    }

    /// Forgets what an earlier agent said.
    pub(crate) fn forget_health(&self) {
        self.remove(files::HEALTH);
    }

    /// Returns true if it went back from this bundle before.
    pub(crate) fn is_bad(&self, bundle: &str) -> bool {
        self.bad().iter().any(|bad| bad.bundle == bundle)
    }

    fn bad(&self) -> Vec<Bad> {
        files::parse_bad(&self.read(files::BAD).unwrap_or_default())
    }

    /// Notes that it goes back from this bundle, before it does.
    pub(crate) fn add_bad(&self, bundle: &str, fault: Fault, reason: &str) {
        let version = self
            .probation()
            .filter(|probation| probation.bundle == bundle)
            .map_or_else(|| "unknown".to_owned(), |probation| probation.version);
        let mut all = self.bad();
        all.retain(|bad| bad.bundle != bundle);
        all.push(Bad { version, bundle: bundle.to_owned(), fault, reason: reason.to_owned() });
        self.write(files::BAD, &files::bad_text(&all));
    }

    fn read(&self, name: &str) -> Option<String> {
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let path = self.path.as_ref()?.join(name);
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// Replaces the file, whole or not at all, also when the machine loses power.
    fn write(&self, name: &str, text: &str) {
        let Some(directory) = &self.path else { return };
        let replace = || -> io::Result<()> {
            let draft = directory.join(format!("{name}.new"));
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .custom_flags(libc::O_NOFOLLOW)
                .open(&draft)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&draft, directory.join(name))?;
            File::open(directory)?.sync_all()
        };
        if let Err(error) = replace() {
            signals::log_line(&format!(
                "could not write {}: {error}",
                directory.join(name).display()
            ));
        }
    }

    fn remove(&self, name: &str) {
        if let Some(directory) = &self.path {
            // What is not there need not be removed.
            drop(std::fs::remove_file(directory.join(name)));
        }
    }
}

/// The directory, without links on the way to it (`/var` is one on macOS).
fn prepare_directory(state: &Path, boot: &Path) -> Result<PathBuf, String> {
    let failed = |error: io::Error| format!("could not make {}: {error}", boot.display());
    DirBuilder::new().recursive(true).mode(0o711).create(state).map_err(failed)?;
    match DirBuilder::new().mode(0o700).create(boot) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let name = boot.file_name().unwrap_or_default();
    let path = state.canonicalize().map_err(failed)?.join(name);
    trust::check_directory(&path, trust::ROOT)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::State;
    use crate::files::{Fault, Health};
    use std::cell::RefCell;

    fn state(dir: &tempfile::TempDir) -> State {
        State { path: Some(dir.path().to_owned()), strikes: RefCell::default() }
    }

    #[test]
    fn what_is_written_is_there_for_the_next_one_and_drafts_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("probation"), "version 2\nbundle 7\nlimit 60\n").unwrap();
        state(&dir).set_strikes("7", 2);
        assert_eq!(state(&dir).quick_ends_of("7"), 2);
        assert_eq!(state(&dir).quick_ends_of("8"), 0);
        state(&dir).add_bad("7", Fault::Crashed, "it fell");
        // Killed while it was writing.
        std::fs::write(dir.path().join("bad.new"), "bad 3 9 cra").unwrap();
        assert!(state(&dir).is_bad("7") && !state(&dir).is_bad("9"));
        assert_eq!(state(&dir).bad()[0].version, "2");
        state(&dir).end_probation();
        assert_eq!(state(&dir).probation(), None);
        assert_eq!(state(&dir).quick_ends_of("7"), 0);
        assert!(state(&dir).is_bad("7"), "it is remembered");
    }

    #[test]
    fn nonsense_says_nothing_and_nothing_waits_for_a_fifo() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["probation", "strikes", "bad", "health"] {
            std::fs::write(dir.path().join(name), b"\xff\x00 inode\n").unwrap();
        }
        let state = state(&dir);
        assert_eq!(state.probation(), None);
        assert_eq!(
            (state.quick_ends_of("1"), state.health(1), state.is_bad("1")),
            (0, None, false)
        );
        let fifo = dir.path().join("health");
        std::fs::remove_file(&fifo).unwrap();
        let name = std::ffi::CString::new(fifo.to_str().unwrap()).unwrap();
        // SAFETY: the name ends with a zero.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        assert_eq!(state.health(1), None);
        std::fs::remove_file(&fifo).unwrap();
        std::fs::write(&fifo, Health::Ready.text(1)).unwrap();
        assert_eq!(state.health(1), Some(Health::Ready));
    }

    #[test]
    fn without_a_directory_strikes_are_counted_all_the_same() {
        let state = State { path: None, strikes: RefCell::default() };
        state.set_strikes("7", 2);
        state.add_bad("7", Fault::Hung, "");
        assert_eq!((state.quick_ends_of("7"), state.quick_ends_of("8")), (2, 0));
        assert_eq!(state.probation(), None);
    }
}
