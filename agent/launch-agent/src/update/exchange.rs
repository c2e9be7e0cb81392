//! Putting a new version in place, in one step that no loss of power can cut in two.
//!
//! The note that the new one has to prove itself is written first; one whose bundle does not stand
//! at the agent's path is worth nothing. Then the staged bundle becomes the one that lies beside
//! the agent, and both change places: so at every moment the agent's path holds a whole bundle, and
//! after the step the version before lies where `russet-boot` looks for it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use russet_protocol::boot_files::{PROBATION, Probation};

use super::UpdateError;
use super::record::{Failed, Installed, Record, identity_of};
use russet_platform::layout::Layout;
use russet_platform::replace;

/// Characters of a reason that is kept.
const MAX_WHY_CHARS: usize = 300;

/// A version that lies ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Staged {
    pub(crate) version: String,
    pub(crate) bundle: PathBuf,
    pub(crate) layout: Layout,
    pub(crate) state: PathBuf,
    pub(crate) probation: Duration,
}

/// Puts a version in place. Only while nothing runs: the state machine sees to that. Where it
/// fails the version before stands where it stood, and the new one is left alone for a while.
pub(crate) fn put_in_place(staged: &Staged, now_s: u64) -> Result<(), UpdateError> {
    let result = exchange_bundles(staged, now_s);
    result.inspect_err(|error| {
        let why = russet_text::one_line_within(&error.to_string(), MAX_WHY_CHARS);
        let failed = Failed { version: staged.version.clone(), at_s: now_s, why };
        let noted = Record::read(&staged.state)
            .and_then(|record| Record { failed: Some(failed), ..record }.write(&staged.state));
        if let Err(error) = noted {
            tracing::warn!(%error, "could not note that an update failed");
        }
    })
}

fn exchange_bundles(staged: &Staged, now_s: u64) -> Result<(), UpdateError> {
    let Staged { version, bundle, layout, state, probation } = staged;
    let (current, previous) = (layout.bundle(), layout.previous());
    let missing = || std::io::Error::other("it is gone");
    let identity = identity_of(bundle)
        .ok_or_else(missing)
        .map_err(UpdateError::file("could not find", bundle))?;
    let installed = Installed { version: version.clone(), bundle: identity.clone(), at_s: now_s };
    note_installed(state, installed, &identity_of(&current).unwrap_or_default())?;
    let probation =
        Probation { version: version.clone(), bundle: identity, limit: probation.as_secs() };
    let path = layout.boot_state().join(PROBATION);
    replace::write(&path, probation.text().as_bytes(), 0o600)
        .map_err(UpdateError::file("could not write", &path))?;
    // Only now, when all is noted for which the state directory may have no room: until here the
    // version before that one is still there. A change of names does not change what it is known
    // by.
    crate::files::remove_tree(&previous)
        .map_err(UpdateError::file("could not remove", &previous))?;
    std::fs::rename(bundle, &previous).map_err(UpdateError::file("could not put", &previous))?;
    russet_platform::exchange_paths(&previous, &current)
        .map_err(UpdateError::file("could not exchange", &current))?;
    let code = layout.code();
    if let Err(error) = replace::sync_directory(&code) {
        // It is in place; after a loss of power it may be the one before, which is as good.
        tracing::warn!(directory = %code.display(), %error, "could not sync");
    }
    Ok(())
}

fn note_installed(state: &Path, installed: Installed, current: &str) -> Result<(), UpdateError> {
    let path = Record::path(state);
    let record = Record::read(state).map_err(UpdateError::file("could not read", &path))?;
    record
        .install(installed, current)
        .write(state)
        .map_err(UpdateError::file("could not write", &path))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use russet_protocol::boot_files::PROBATION;

    use super::{Staged, identity_of, put_in_place};
    use crate::update::record::Record;
    use russet_platform::layout::Layout;

    fn staged(root: &std::path::Path) -> Staged {
        let layout = Layout::below(root);
        for path in [layout.bundle(), layout.previous(), layout.boot_state()] {
            std::fs::create_dir_all(&path).unwrap();
        }
        let bundle = layout.staging().join("new");
        std::fs::create_dir_all(&bundle).unwrap();
        std::fs::write(layout.bundle().join("which"), "one").unwrap();
        std::fs::write(bundle.join("which"), "two").unwrap();
        let (state, probation) = (layout.state(), Duration::from_secs(60));
        Staged { version: "1.2.0".to_owned(), bundle, layout, state, probation }
    }

    #[test]
    fn the_new_one_stands_in_its_place_and_the_one_before_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let staged = staged(dir.path());
        put_in_place(&staged, 9).unwrap();
        let layout = &staged.layout;
        let which = |path: std::path::PathBuf| std::fs::read_to_string(path.join("which")).unwrap();
        assert_eq!(
            (which(layout.bundle()), which(layout.previous())),
            ("two".into(), "one".into())
        );
        let identity = identity_of(&layout.bundle()).unwrap();
        let note = std::fs::read_to_string(layout.boot_state().join(PROBATION)).unwrap();
        assert_eq!(note, format!("version 1.2.0\nbundle {identity}\nlimit 60\n"));
        let record = Record::read(&staged.state).unwrap();
        assert_eq!(record.version_of(&identity), Some("1.2.0"));
    }

    #[test]
    fn what_can_not_be_noted_is_not_put_in_place_and_the_version_before_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let staged = staged(dir.path());
        let layout = &staged.layout;
        std::fs::write(layout.previous().join("which"), "zero").unwrap();
        // In the way of the note, as a disk without room is.
        std::fs::create_dir(layout.boot_state().join(PROBATION)).unwrap();
        assert!(put_in_place(&staged, 9).unwrap_err().to_string().contains("could not write"));
        let which = |path: std::path::PathBuf| std::fs::read_to_string(path.join("which")).unwrap();
        let all = [layout.previous(), layout.bundle(), staged.bundle.clone()].map(which);
        assert_eq!(all, ["zero", "one", "two"]);
    }

    #[test]
    fn one_that_is_gone_is_an_error_that_is_remembered_and_nothing_has_moved() {
        let dir = tempfile::tempdir().unwrap();
        let staged = staged(dir.path());
        std::fs::remove_dir_all(&staged.bundle).unwrap();
        assert!(put_in_place(&staged, 9).unwrap_err().to_string().contains("gone"));
        let which = std::fs::read_to_string(staged.layout.bundle().join("which")).unwrap();
        assert_eq!(which, "one");
        let failed = Record::read(&staged.state).unwrap().failed.unwrap();
        assert!(failed.version == "1.2.0" && failed.why.contains("gone"), "{failed:?}");
    }
}
